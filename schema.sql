-- Rowmill's tables on SQLite. This file is the contract with the applications that insert rows, and it is what the
-- binary itself applies: `rowmill migrate`, or any command on a database that has no tables of ours yet.
--
-- To ask for work, an application needs one statement:
--
--     INSERT INTO queue (job, param) VALUES ('send_message', '{"uid":4,"uids":[6,234],"content":"hi"}');
--
-- It may set    job, param, codec, priority, run_at, unique_key, max_attempts. All else belongs to the engine.
-- It may later  change priority, run_at or param of an unsettled row; set status = 'cancelled' on it; or delete it.
-- It reads      the view `task`, which is right at every instant; `queue` itself is right whenever the queue is at
--               rest, and about a second behind while workers are busy.
--
-- On its own connection an application sets two things:
--
--     PRAGMA busy_timeout = 5000;         wait for a writer instead of failing
--     PRAGMA wal_autocheckpoint = 0;      leave checkpoints to the engine: SQLite before 3.51.3 can lose commits when
--                                         two connections checkpoint and write at the same instant
--
-- The triggers run inside the application's SQLite. They use nothing newer than 3.35.
-- Instants are integers: milliseconds since 1970-01-01 00:00 UTC.
-- (Lists of words are written out with OR: SQLite builds a table in memory for every longer IN, at every statement.)

-- Every task from its insert to the end of retention: what was asked, and what became of it.
CREATE TABLE queue (
  -- Given by the database, never by the application, and never used twice. The partition is id mod N.
  id           INTEGER PRIMARY KEY AUTOINCREMENT
               CONSTRAINT "id is given by the database: leave it out" CHECK (id > 0),

  -- Which registered job runs this. A name that no worker knows parks the row; it never names a file to run.
  job          TEXT NOT NULL
               CONSTRAINT "job must be a name of 1 to 200 characters" CHECK (typeof(job) = 'text' AND length(job) BETWEEN 1 AND 200),
  -- What the job is given. Text or bytes, at most 16 MiB.
  param        TEXT NOT NULL DEFAULT ''
               CONSTRAINT "param must be text or bytes of at most 16777216 bytes"
               CHECK (typeof(param) IN ('text', 'blob') AND length(CAST(param AS BLOB)) <= 16777216),
  -- How param is written.
  codec        TEXT NOT NULL DEFAULT 'json'
               CONSTRAINT "codec must be json, form, bincode or text" 
               CHECK (codec = 'json' OR codec = 'form' OR codec = 'text' OR codec = 'bincode'),
  -- Larger runs first; equal priorities run by id.
  priority     INTEGER NOT NULL DEFAULT 0
               CONSTRAINT "priority must be an integer from -2147483648 to 2147483647"
               CHECK (typeof(priority) = 'integer' AND priority BETWEEN -2147483648 AND 2147483647),
  -- Not before this instant; NULL means now.
  run_at       INTEGER
               CONSTRAINT "run_at must be UTC milliseconds, an integer from 100000000000 on (smaller looks like seconds)"
               CHECK (run_at IS NULL OR (typeof(run_at) = 'integer' AND run_at BETWEEN 100000000000 AND 253402300799999)),
  -- At most one unsettled task has a given key. Settlement frees it.
  unique_key   TEXT
               CONSTRAINT "unique_key must be a text of 1 to 500 characters"
               CHECK (unique_key IS NULL OR (typeof(unique_key) = 'text' AND length(unique_key) BETWEEN 1 AND 500)),
  -- Attempts until the task is dead; NULL means what the job says.
  max_attempts INTEGER
               CONSTRAINT "max_attempts must be an integer from 1 to 1000"
               CHECK (max_attempts IS NULL OR (typeof(max_attempts) = 'integer' AND max_attempts BETWEEN 1 AND 1000)),

  -- The engine's columns. Of these an application may only set status, and only to 'cancelled'.
  status       TEXT NOT NULL DEFAULT 'ready'
               CONSTRAINT "status is ready, delayed, running, parked, done, dead or cancelled"
               CHECK (status = 'ready' OR status = 'done' OR status = 'delayed' OR status = 'running'
                      OR status = 'parked' OR status = 'dead' OR status = 'cancelled'),
  attempt      INTEGER NOT NULL DEFAULT 0   -- attempts charged so far
               CONSTRAINT "attempt is set by the engine: leave it out"
               CHECK (typeof(attempt) = 'integer' AND attempt BETWEEN 0 AND 4294967295),
  created_at   INTEGER NOT NULL DEFAULT (CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
               CONSTRAINT "created_at is set by the database: leave it out" CHECK (typeof(created_at) = 'integer'),
  started_at   INTEGER,                     -- of the last attempt
  finished_at  INTEGER,                     -- when it became final
  worker       INTEGER,                     -- index of the worker that ran the last attempt
  result       BLOB,                        -- what the handler returned
  error        TEXT,                        -- of the last failed attempt, or why the row is parked
  cause        TEXT,                        -- kind of that error: error, timeout, exit, signal, panic, rejected, …
  parent       INTEGER,                     -- the task that this one follows, if its handler asked for it

  CONSTRAINT "status is set by the engine; an application may only set it to cancelled"
    CHECK ((status = 'done' OR status = 'dead') = (finished_at IS NOT NULL) OR status = 'cancelled'),
  CONSTRAINT "a parked row says why" CHECK (status <> 'parked' OR error IS NOT NULL),
  CONSTRAINT "a dead row says why" CHECK (status <> 'dead' OR cause IS NOT NULL)
);

-- One unsettled task per key. Applications: INSERT OR IGNORE, or INSERT … ON CONFLICT DO UPDATE SET ….
CREATE UNIQUE INDEX rowmill_unique ON queue (unique_key)
  WHERE unique_key IS NOT NULL AND status <> 'done' AND status <> 'dead' AND status <> 'cancelled';

-- The few rows that people look for. 'ready' and 'done', nearly all of the table, are left out.
CREATE INDEX rowmill_exception ON queue (status, job, id)
  WHERE status = 'running' OR status = 'parked' OR status = 'dead' OR status = 'cancelled';

-- What N, the number of partitions, was and is. A change of N starts a new generation: ids from first_id on.
CREATE TABLE rowmill_generation (
  generation INTEGER PRIMARY KEY,
  first_id   INTEGER NOT NULL UNIQUE,
  partitions INTEGER NOT NULL CHECK (partitions BETWEEN 1 AND 4096)
);

-- Who holds a partition. The epoch rises with every hold; a settlement with an older one changes nothing.
CREATE TABLE rowmill_partition (
  generation  INTEGER NOT NULL,
  partition   INTEGER NOT NULL,
  epoch       INTEGER NOT NULL,
  incarnation INTEGER NOT NULL,  -- of the worker process: see rowmill_worker
  held_at     INTEGER NOT NULL,
  lock_device INTEGER NOT NULL,  -- of the lock file under which it is or was held; both 0 when that hold is known
  lock_inode  INTEGER NOT NULL,  -- to be over, although its process lives
  PRIMARY KEY (generation, partition)
) WITHOUT ROWID;

-- Worker processes, from their start to their end; of one that died, until its claims are recovered. Which process it is
-- is proven by the boot, the process id and the instant of its start, in clock ticks since the boot.
CREATE TABLE rowmill_worker (
  incarnation INTEGER PRIMARY KEY AUTOINCREMENT,
  worker      INTEGER NOT NULL,
  boot        TEXT NOT NULL,
  pid         INTEGER NOT NULL,
  pid_start   INTEGER NOT NULL,
  pid_space   INTEGER NOT NULL,  -- its pid namespace: 0 when that could not be told
  lock_device INTEGER NOT NULL,  -- of its liveness lock's file
  lock_inode  INTEGER NOT NULL,
  started_at  INTEGER NOT NULL,
  jobs        TEXT NOT NULL DEFAULT '[]'  -- the names of the jobs that it knows, as JSON: others leave rows of these to it
);

-- While a row is here nobody works, whatever cron does: a person has stopped everything, until one starts it again.
CREATE TABLE rowmill_stop (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  since    INTEGER NOT NULL,
  by_whom  TEXT NOT NULL         -- user@host
);

-- While a row is here fewer workers than N are to be there, because the machine is under load: those with the lowest indexes.
CREATE TABLE rowmill_curb (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  workers  INTEGER NOT NULL CHECK (workers >= 1),
  since    INTEGER NOT NULL,
  why      TEXT NOT NULL
);

-- Jobs whose tasks are parked instead of run, until a person resumes them.
CREATE TABLE rowmill_pause (
  job      TEXT PRIMARY KEY,
  since    INTEGER NOT NULL,
  by_whom  TEXT NOT NULL
) WITHOUT ROWID;

-- Running tasks that were claimed: each by one worker process. Whoever takes the claim away may settle the task. What the
-- worker knew of the task before it ended itself stands here for whoever does.
CREATE TABLE rowmill_claim (
  id          INTEGER PRIMARY KEY,
  incarnation INTEGER NOT NULL,
  claimed_at  INTEGER NOT NULL,
  delivery    TEXT NOT NULL,      -- under which it began: at_least_once or at_most_once
  timeout_ms  INTEGER,            -- the timeout that it ran past without yielding
  interrupted INTEGER             -- 1 when it was told to stop and did not
);

-- The order of work. A key stands here exactly while its row is ready; workers of different partitions share no page.
CREATE TABLE rowmill_ready (
  generation INTEGER NOT NULL,
  partition  INTEGER NOT NULL,
  priority   INTEGER NOT NULL,
  id         INTEGER NOT NULL,
  PRIMARY KEY (generation, partition, priority DESC, id)
) WITHOUT ROWID;

-- Tasks whose time has not come. A key stands here exactly while its row is delayed.
CREATE TABLE rowmill_delayed (
  run_at INTEGER NOT NULL,
  id     INTEGER NOT NULL,
  PRIMARY KEY (run_at, id)
) WITHOUT ROWID;

-- Fresh outcomes of tasks that are done, until they are folded into their rows of queue.
CREATE TABLE rowmill_settled (
  generation  INTEGER NOT NULL,
  partition   INTEGER NOT NULL,
  id          INTEGER NOT NULL,
  attempt     INTEGER NOT NULL,
  started_at  INTEGER NOT NULL,
  finished_at INTEGER NOT NULL,
  worker      INTEGER NOT NULL,
  result      BLOB,
  PRIMARY KEY (generation, partition, id)
) WITHOUT ROWID;

-- Follow-ups of settled tasks that are still to be inserted: what was more than one transaction takes. Each row is up to
-- a thousand of them, as JSON, and leaves in the transaction that inserts them.
CREATE TABLE rowmill_followup (
  chunk  INTEGER PRIMARY KEY AUTOINCREMENT,
  parent INTEGER NOT NULL,
  tasks  TEXT NOT NULL,
  error  TEXT                     -- why those that are left in it were refused: such a row is kept for a person
);

-- How many tasks of a job became final on a day (days since 1970-01-01, in UTC), counted by the transaction in which they
-- did. What is deleted afterwards stays counted.
CREATE TABLE rowmill_history (
  day    INTEGER NOT NULL,
  job    TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status = 'done' OR status = 'dead' OR status = 'cancelled'),
  count  INTEGER NOT NULL,
  PRIMARY KEY (day, job, status)
) WITHOUT ROWID;

-- Tasks by job and status as the view `task` has them, of the rows up to the id in rowmill_counted. They change with every
-- transition. Whoever folds also counts the rows that came since; until then whoever asks counts these himself, so that an
-- insert pays nothing for it.
CREATE TABLE rowmill_count (
  job       TEXT PRIMARY KEY,
  ready     INTEGER NOT NULL,
  delayed   INTEGER NOT NULL,
  running   INTEGER NOT NULL,
  parked    INTEGER NOT NULL,
  done      INTEGER NOT NULL,
  dead      INTEGER NOT NULL,
  cancelled INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE rowmill_counted (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  up_to INTEGER NOT NULL
);
INSERT INTO rowmill_counted (one, up_to) VALUES (1, 0);

-- The task that has the unique_key which the row at hand asks for: noted before that is written, looked at after it, because
-- a REPLACE deletes it and tells no trigger. One row at most, and of no meaning between two statements.
CREATE TABLE rowmill_rival (
  id       INTEGER NOT NULL,
  job      TEXT NOT NULL,
  status   TEXT NOT NULL,
  priority INTEGER NOT NULL,
  run_at   INTEGER
);

-- How far the housekeeping of ticks has come through the old rows, and when its next pass begins.
CREATE TABLE rowmill_sweep (
  one      INTEGER PRIMARY KEY CHECK (one = 1),
  after_id INTEGER NOT NULL,
  next_at  INTEGER NOT NULL
);

-- Schedules: what is asked for when, and how far they have come. No row names a program to run: what a schedule of the
-- configuration starts is that file's, and looked up there.
CREATE TABLE rowmill_schedule (
  name         TEXT PRIMARY KEY,
  origin       TEXT NOT NULL         -- who says what it is: the file, a pack (the program), or a person (the command line)
               CHECK (origin = 'file' OR origin = 'pack' OR origin = 'person'),
  timing       TEXT NOT NULL,        -- a cron expression; or `at` and a local time; or `every` and an interval
  timezone     TEXT NOT NULL,
  job          TEXT NOT NULL,
  param        TEXT NOT NULL,        -- {due}, {due_ms} and {date} stand for the occurrence's time
  priority     INTEGER NOT NULL,
  unique_key   TEXT,                 -- of its tasks, with the same placeholders
  catch_up     TEXT NOT NULL,        -- skip, once, all, or window and a span
  overlap      TEXT NOT NULL         -- what happens while a task of it is unsettled
               CHECK (overlap = 'allow' OR overlap = 'skip' OR overlap = 'queue'),
  guarded      INTEGER NOT NULL,     -- 1: the configuration has an only_if for it
  jitter_ms    INTEGER NOT NULL,
  until_at     INTEGER,              -- no occurrence is due after it
  enabled      INTEGER NOT NULL,
  made_at      INTEGER NOT NULL,     -- since when it is due at these times
  next_at      INTEGER,              -- the first due time that is not seen to; NULL: never again
  seen_at      INTEGER NOT NULL,     -- by which clock next_at was moved last: while that lies ahead, the clock was set back
  idle_until   INTEGER,              -- what came due up to then did so while it was paused, or all was stopped,
  idle_why     TEXT,                 -- in these words
  paused_since INTEGER,
  paused_by    TEXT,                 -- user@host
  last_due_at  INTEGER,              -- the due time that was enqueued last,
  last_fired_at INTEGER,             -- when that was,
  last_task    INTEGER,              -- and its task
  last_missed_at INTEGER,            -- the due time that was missed or skipped last,
  last_missed_why TEXT               -- and the reason
) WITHOUT ROWID;

-- What a tick looks for: schedules that are due, and those that a clock from the future has moved.
CREATE INDEX rowmill_schedule_next ON rowmill_schedule (next_at) WHERE next_at IS NOT NULL AND paused_since IS NULL;
CREATE INDEX rowmill_schedule_seen ON rowmill_schedule (seen_at);

-- Which schedules of files and packs are written down, as a number: while it is the same, a tick compares nothing else.
CREATE TABLE rowmill_schedule_source (
  one    INTEGER PRIMARY KEY CHECK (one = 1),
  digest INTEGER NOT NULL
);

-- What became of due times: a row each for those that were enqueued, so that none is enqueued twice; a row for each run of
-- others.
CREATE TABLE rowmill_occurrence (
  schedule TEXT NOT NULL,
  due_at   INTEGER NOT NULL,
  by_hand  INTEGER NOT NULL DEFAULT 0,    -- 1: a person asked for it at this time
  outcome  TEXT NOT NULL                  -- waiting: for the task before it, with overlap = queue
           CHECK (outcome = 'fired' OR outcome = 'waiting' OR outcome = 'missed' OR outcome = 'skipped'),
  task     INTEGER,                       -- of one that was fired
  open     INTEGER NOT NULL DEFAULT 0,    -- 1: its task may still be unsettled
  last_at  INTEGER NOT NULL,              -- of a run of missed or skipped ones: the last due time; else due_at
  count    INTEGER NOT NULL DEFAULT 1,    -- how many these are; 10,000 means that or more
  reason   TEXT,                          -- why it was not enqueued
  PRIMARY KEY (schedule, due_at, by_hand),
  CHECK ((outcome = 'fired') = (task IS NOT NULL)),
  CHECK ((outcome = 'missed' OR outcome = 'skipped') = (reason IS NOT NULL))
) WITHOUT ROWID;

CREATE INDEX rowmill_occurrence_open ON rowmill_occurrence (schedule, due_at) WHERE open = 1;
CREATE INDEX rowmill_occurrence_waiting ON rowmill_occurrence (schedule, due_at) WHERE outcome = 'waiting';

-- The truth at every instant: queue joined with the fresh outcomes.
CREATE VIEW task AS
  SELECT q.id, q.job, q.param, q.codec, q.priority,
         CASE WHEN s.id IS NULL THEN q.status ELSE 'done' END AS status,
         coalesce(s.attempt, q.attempt) AS attempt,
         q.max_attempts, q.run_at, q.unique_key, q.created_at,
         coalesce(s.started_at, q.started_at) AS started_at,
         coalesce(s.finished_at, q.finished_at) AS finished_at,
         coalesce(s.worker, q.worker) AS worker,
         CASE WHEN s.id IS NULL THEN q.result ELSE s.result END AS result,
         CASE WHEN s.id IS NULL THEN q.error END AS error,
         CASE WHEN s.id IS NULL THEN q.cause END AS cause,
         q.parent
    FROM queue q
    LEFT JOIN rowmill_settled s
      ON (s.generation, s.partition) = (SELECT g.generation, q.id % g.partitions FROM rowmill_generation g
                                         WHERE g.first_id <= q.id ORDER BY g.first_id DESC LIMIT 1)
     AND s.id = q.id;

-- What belongs to the engine cannot be inserted. (In a BEFORE trigger an id that was not given reads as -1.)
CREATE TRIGGER rowmill_insert_refuse BEFORE INSERT ON queue
WHEN NEW.id <> -1 OR NEW.status <> 'ready' OR NEW.attempt <> 0
  OR coalesce(NEW.started_at, NEW.finished_at, NEW.worker, NEW.result, NEW.error, NEW.cause, NEW.parent) IS NOT NULL
BEGIN
  SELECT CASE WHEN NEW.id <> -1
    THEN RAISE(ABORT, 'id is given by the database: leave it out')
    ELSE RAISE(ABORT, 'status, attempt and what came of it are set by the engine: leave them out') END;
END;

CREATE TRIGGER rowmill_insert_ready AFTER INSERT ON queue
WHEN NEW.run_at IS NULL OR NEW.run_at <= CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
BEGIN
  INSERT INTO rowmill_ready (generation, partition, priority, id)
    SELECT generation, NEW.id % partitions, NEW.priority, NEW.id
      FROM rowmill_generation ORDER BY generation DESC LIMIT 1;
END;

CREATE TRIGGER rowmill_insert_delayed AFTER INSERT ON queue
WHEN NEW.run_at > CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
BEGIN
  INSERT INTO rowmill_delayed (run_at, id) VALUES (NEW.run_at, NEW.id);
  UPDATE queue SET status = 'delayed' WHERE id = NEW.id;
END;

-- (Every name that SQLite has for it.)
CREATE TRIGGER rowmill_id_refuse BEFORE UPDATE OF id, rowid, oid, _rowid_ ON queue
WHEN NEW.id <> OLD.id
BEGIN
  SELECT RAISE(ABORT, 'id is given by the database and never changes');
END;

CREATE TRIGGER rowmill_job_refuse AFTER UPDATE OF job ON queue
WHEN NEW.job IS NOT OLD.job
BEGIN
  SELECT RAISE(ABORT, 'job is given at the insert and never changes');
END;

-- A changed priority or run_at moves the key that is there. It makes none: a row that settled meanwhile has no key any
-- more and stays as it is. A delayed row whose new time is past is made ready by the timer, at once.
CREATE TRIGGER rowmill_move AFTER UPDATE OF priority, run_at ON queue
WHEN OLD.status = NEW.status AND NEW.status IN ('ready', 'delayed')
BEGIN
  UPDATE rowmill_ready SET priority = NEW.priority
   WHERE NEW.status = 'ready' AND NEW.priority <> OLD.priority
     AND (generation, partition) = (SELECT generation, NEW.id % partitions FROM rowmill_generation
                                     WHERE first_id <= NEW.id ORDER BY first_id DESC LIMIT 1)
     AND priority = OLD.priority AND id = NEW.id;
  INSERT INTO rowmill_delayed (run_at, id)
    SELECT NEW.run_at, id FROM rowmill_ready
     WHERE NEW.status = 'ready'
       AND NEW.run_at > CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
       AND (generation, partition) = (SELECT generation, NEW.id % partitions FROM rowmill_generation
                                       WHERE first_id <= NEW.id ORDER BY first_id DESC LIMIT 1)
       AND priority = NEW.priority AND id = NEW.id;
  DELETE FROM rowmill_ready
   WHERE NEW.status = 'ready'
     AND (generation, partition) = (SELECT generation, NEW.id % partitions FROM rowmill_generation
                                     WHERE first_id <= NEW.id ORDER BY first_id DESC LIMIT 1)
     AND priority = NEW.priority AND id = NEW.id
     AND EXISTS (SELECT 1 FROM rowmill_delayed d WHERE d.run_at = NEW.run_at AND d.id = NEW.id);
  UPDATE queue SET status = 'delayed'
   WHERE NEW.status = 'ready' AND id = NEW.id
     AND EXISTS (SELECT 1 FROM rowmill_delayed d WHERE d.run_at = NEW.run_at AND d.id = NEW.id);
  UPDATE rowmill_delayed SET run_at = coalesce(NEW.run_at, 0)
   WHERE OLD.status = 'delayed' AND NEW.run_at IS NOT OLD.run_at
     AND run_at = coalesce(OLD.run_at, 0) AND id = NEW.id;
END;

-- A task that is settled already, folded or not, cannot be cancelled: the update passes it over.
CREATE TRIGGER rowmill_cancel_late BEFORE UPDATE OF status ON queue
WHEN NEW.status = 'cancelled' AND OLD.status <> 'cancelled'
 AND (OLD.status IN ('done', 'dead')
      OR EXISTS (SELECT 1 FROM rowmill_settled s
                  WHERE (s.generation, s.partition) = (SELECT generation, OLD.id % partitions FROM rowmill_generation
                                                        WHERE first_id <= OLD.id ORDER BY first_id DESC LIMIT 1)
                    AND s.id = OLD.id))
BEGIN
  SELECT RAISE(IGNORE);
END;

CREATE TRIGGER rowmill_cancel AFTER UPDATE OF status ON queue
WHEN NEW.status = 'cancelled' AND OLD.status <> 'cancelled'
BEGIN
  DELETE FROM rowmill_ready
   WHERE (generation, partition) = (SELECT generation, OLD.id % partitions FROM rowmill_generation
                                     WHERE first_id <= OLD.id ORDER BY first_id DESC LIMIT 1)
     AND priority IN (OLD.priority, NEW.priority) AND id = OLD.id;
  DELETE FROM rowmill_delayed WHERE run_at IN (coalesce(OLD.run_at, 0), coalesce(NEW.run_at, 0)) AND id = OLD.id;
  UPDATE queue SET finished_at = CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)
   WHERE id = OLD.id AND finished_at IS NULL;
  -- (Not an upsert: an UPDATE OR REPLACE by an application would hand its way of resolving conflicts on to it.)
  -- Its day is that of finished_at, whosever clock that is.
  INSERT INTO rowmill_history (day, job, status, count)
    SELECT q.finished_at / 86400000, OLD.job, 'cancelled', 0 FROM queue q
     WHERE q.id = OLD.id
       AND NOT EXISTS (SELECT 1 FROM rowmill_history
                        WHERE day = q.finished_at / 86400000 AND job = OLD.job AND status = 'cancelled');
  UPDATE rowmill_history SET count = count + 1
   WHERE day = (SELECT finished_at / 86400000 FROM queue WHERE id = OLD.id) AND job = OLD.job AND status = 'cancelled';
END;

-- The engine moves a key first and the status after it; whoever writes a status that its key contradicts is told so.
-- (Folding is done with the triggers off.)
CREATE TRIGGER rowmill_status_refuse BEFORE UPDATE OF status ON queue
WHEN NEW.status <> OLD.status AND NEW.status <> 'cancelled'
 AND (OLD.status IN ('done', 'cancelled')
   OR (OLD.status IN ('dead', 'parked') AND NEW.status NOT IN ('ready', 'delayed'))
   OR (NEW.status = 'ready') <> EXISTS (
        SELECT 1 FROM rowmill_ready r
         WHERE (r.generation, r.partition) = (SELECT generation, OLD.id % partitions FROM rowmill_generation
                                               WHERE first_id <= OLD.id ORDER BY first_id DESC LIMIT 1)
           AND r.priority IN (OLD.priority, NEW.priority) AND r.id = OLD.id)
   OR (NEW.status = 'delayed') <> EXISTS (
        SELECT 1 FROM rowmill_delayed d
         WHERE d.run_at IN (coalesce(OLD.run_at, 0), coalesce(NEW.run_at, 0)) AND d.id = OLD.id)
   OR EXISTS (
        SELECT 1 FROM rowmill_settled s
         WHERE (s.generation, s.partition) = (SELECT generation, OLD.id % partitions FROM rowmill_generation
                                               WHERE first_id <= OLD.id ORDER BY generation DESC LIMIT 1)
           AND s.id = OLD.id))
BEGIN
  SELECT RAISE(ABORT, 'status is set by the engine; an application may only set it to cancelled');
END;

CREATE TRIGGER rowmill_count_status AFTER UPDATE OF status ON queue
WHEN NEW.status <> OLD.status AND OLD.id <= (SELECT up_to FROM rowmill_counted)
BEGIN
  UPDATE rowmill_count
     SET ready = ready + (NEW.status = 'ready') - (OLD.status = 'ready'),
         delayed = delayed + (NEW.status = 'delayed') - (OLD.status = 'delayed'),
         running = running + (NEW.status = 'running') - (OLD.status = 'running'),
         parked = parked + (NEW.status = 'parked') - (OLD.status = 'parked'),
         done = done + (NEW.status = 'done') - (OLD.status = 'done'),
         dead = dead + (NEW.status = 'dead') - (OLD.status = 'dead'),
         cancelled = cancelled + (NEW.status = 'cancelled') - (OLD.status = 'cancelled')
   WHERE job = OLD.job;
END;

-- Unsettled rows that are gone: what is inserted here takes their keys, outcomes and counts away. Nothing can be read here.
CREATE VIEW rowmill_gone AS
  SELECT id, job, status, priority, run_at FROM queue WHERE false;

CREATE TRIGGER rowmill_gone_insert INSTEAD OF INSERT ON rowmill_gone
BEGIN
  UPDATE rowmill_count SET done = done - 1
   WHERE job = NEW.job AND NEW.id <= (SELECT up_to FROM rowmill_counted)
     AND EXISTS (SELECT 1 FROM rowmill_settled
                  WHERE (generation, partition) = (SELECT generation, NEW.id % partitions FROM rowmill_generation
                                                    WHERE first_id <= NEW.id ORDER BY first_id DESC LIMIT 1)
                    AND id = NEW.id);
  UPDATE rowmill_count
     SET ready = ready - (NEW.status = 'ready'), delayed = delayed - (NEW.status = 'delayed'),
         running = running - (NEW.status = 'running'), parked = parked - (NEW.status = 'parked')
   WHERE job = NEW.job AND NEW.id <= (SELECT up_to FROM rowmill_counted)
     AND NOT EXISTS (SELECT 1 FROM rowmill_settled
                      WHERE (generation, partition) = (SELECT generation, NEW.id % partitions FROM rowmill_generation
                                                        WHERE first_id <= NEW.id ORDER BY first_id DESC LIMIT 1)
                        AND id = NEW.id);
  DELETE FROM rowmill_ready
   WHERE (generation, partition) = (SELECT generation, NEW.id % partitions FROM rowmill_generation
                                     WHERE first_id <= NEW.id ORDER BY first_id DESC LIMIT 1)
     AND priority = NEW.priority AND id = NEW.id;
  DELETE FROM rowmill_delayed WHERE run_at = coalesce(NEW.run_at, 0) AND id = NEW.id;
  DELETE FROM rowmill_settled
   WHERE (generation, partition) = (SELECT generation, NEW.id % partitions FROM rowmill_generation
                                     WHERE first_id <= NEW.id ORDER BY first_id DESC LIMIT 1)
     AND id = NEW.id;
END;

-- A deleted row is cancelled without a trace.
CREATE TRIGGER rowmill_delete AFTER DELETE ON queue
WHEN OLD.status <> 'done' AND OLD.status <> 'dead' AND OLD.status <> 'cancelled'
BEGIN
  INSERT INTO rowmill_gone (id, job, status, priority, run_at)
    VALUES (OLD.id, OLD.job, OLD.status, OLD.priority, OLD.run_at);
  DELETE FROM rowmill_rival WHERE id = OLD.id;
END;

-- Final rows have no keys, so that retention pays little.
CREATE TRIGGER rowmill_delete_final AFTER DELETE ON queue
WHEN (OLD.status = 'done' OR OLD.status = 'dead' OR OLD.status = 'cancelled')
 AND OLD.id <= (SELECT up_to FROM rowmill_counted)
BEGIN
  UPDATE rowmill_count
     SET done = done - (OLD.status = 'done'), dead = dead - (OLD.status = 'dead'),
         cancelled = cancelled - (OLD.status = 'cancelled')
   WHERE job = OLD.job;
END;

-- A row that is replaced is deleted like any other. SQLite tells the delete triggers of it only where an application has
-- asked for recursive ones; then they have taken it out of rowmill_rival. (A key that nobody has costs reads only.)
CREATE TRIGGER rowmill_insert_rival BEFORE INSERT ON queue
WHEN NEW.unique_key IS NOT NULL
 AND (EXISTS (SELECT 1 FROM rowmill_rival) OR EXISTS (SELECT 1 FROM queue
                WHERE unique_key = NEW.unique_key AND unique_key IS NOT NULL
                  AND status <> 'done' AND status <> 'dead' AND status <> 'cancelled'))
BEGIN
  DELETE FROM rowmill_rival;
  INSERT INTO rowmill_rival (id, job, status, priority, run_at)
    SELECT id, job, status, priority, run_at FROM queue
     WHERE unique_key = NEW.unique_key AND unique_key IS NOT NULL
       AND status <> 'done' AND status <> 'dead' AND status <> 'cancelled';
END;

CREATE TRIGGER rowmill_insert_replaced AFTER INSERT ON queue
WHEN NEW.unique_key IS NOT NULL AND EXISTS (SELECT 1 FROM rowmill_rival)
BEGIN
  INSERT INTO rowmill_gone (id, job, status, priority, run_at)
    SELECT id, job, status, priority, run_at FROM rowmill_rival r
     WHERE NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = r.id);
  DELETE FROM rowmill_rival;
END;

CREATE TRIGGER rowmill_key_rival BEFORE UPDATE OF unique_key ON queue
WHEN NEW.unique_key IS NOT OLD.unique_key
BEGIN
  DELETE FROM rowmill_rival;
  INSERT INTO rowmill_rival (id, job, status, priority, run_at)
    SELECT id, job, status, priority, run_at FROM queue
     WHERE unique_key = NEW.unique_key AND unique_key IS NOT NULL
       AND status <> 'done' AND status <> 'dead' AND status <> 'cancelled';
END;

CREATE TRIGGER rowmill_key_replaced AFTER UPDATE OF unique_key ON queue
WHEN NEW.unique_key IS NOT OLD.unique_key AND EXISTS (SELECT 1 FROM rowmill_rival)
BEGIN
  INSERT INTO rowmill_gone (id, job, status, priority, run_at)
    SELECT id, job, status, priority, run_at FROM rowmill_rival r
     WHERE NOT EXISTS (SELECT 1 FROM queue q WHERE q.id = r.id);
  DELETE FROM rowmill_rival;
END;
