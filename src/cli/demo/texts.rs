//! What the demo writes and runs, as it is shown: the configuration, a script job, and the SQL of an application.
//!
//! Nothing is shown that is not what is run, so a reader who types it gets the same.

/// The configuration.
pub(super) const CONFIG: &str = r#"workers = 10
linger = "30s"

[[job]]
name = "greet"
command = ["/bin/sh", "greet.sh"]

[[schedule]]
name = "each-five-seconds"
cron = "*/5 * * * * *"
job = "greet"
param = { who = "the schedule" }
"#;

/// The script job.
pub(super) const SCRIPT: &str = r#"# The param comes on standard input; what is printed goes to the log.
printf 'task %s greets %s\n' "$ROWMILL_TASK_ID" "$(cat)"
"#;

/// What the occurrences of the schedule are given, as their rows have it.
pub(super) const SCHEDULE_PARAM: &[u8] = br#"{"who":"the schedule"}"#;

/// How an application sets up its connection.
pub(super) const CONNECTION: &str = "\
PRAGMA busy_timeout = 5000;      -- wait for another writer instead of failing
PRAGMA wal_autocheckpoint = 0;   -- leave the write-ahead log to Rowmill
";

/// A thousand tasks in one statement.
pub(super) const MANY: &str = "\
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
INSERT INTO queue (job) SELECT 'noop' FROM n;
";

/// Tasks of the script job.
pub(super) const GREETINGS: &str = "\
INSERT INTO queue (job, param) VALUES
  ('greet', '{\"who\":\"Ada\"}'), ('greet', '{\"who\":\"Grace\"}'), ('greet', '{\"who\":\"Edsger\"}');
";

/// One that fails and has no second attempt.
pub(super) const HOPELESS: &str =
    "INSERT INTO queue (job, param, max_attempts) VALUES ('fail', '\"there is no such customer\"', 1);\n";

/// One that fails and is tried again later.
pub(super) const HOPEFUL: &str = "INSERT INTO queue (job, param) VALUES ('fail', '\"the mail server is away\"');\n";

/// One whose time is three seconds ahead.
pub(super) const LATER: &str = "\
INSERT INTO queue (job, run_at)
  VALUES ('noop', CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) + 3000);
";

/// One more row, when the workers are asleep.
pub(super) const ONE_MORE: &str = "INSERT INTO queue (job) VALUES ('noop');\n";
