//! Rows that come in while workers are killed and all are restarted, and the account of them afterwards.
//!
//! `ROWMILL_STORM_SECONDS` says for how long; a short one kills more often, so that it proves something too. The account:
//! every row is done, each is settled once, each effect has happened once, no task ever ran twice at the same time, and each
//! occurrence of a schedule is one task.

#![allow(dead_code, reason = "each test target that includes this module uses a part of it")]

use crate::installation::{BOUND, Installation, pause, signal, within};
use rowmill::clock::Watch;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::Duration;

/// Four workers; `mark` sees whether an earlier run of its task lives.
pub(crate) const CONFIG: &str = "workers = 4\n[[schedule]]\nname = \"often\"\ncron = \"*/2 * * * * *\"\njob = \"noop\"\n\
    [[job]]\nname = \"mark\"\ncommand = [\"./mark\"]\nmax_attempts = 1000\nbackoff = { first = \"10ms\", max = \"50ms\" }\n";

/// Notes a run that begins while an earlier one of the same task lives, and how many runs there are. One that is ending (bit 2
/// of the flags in its `stat`) runs nothing any more. A number is in its place whole or not at all: its writer may be killed.
const MARK: &str = "id=$ROWMILL_TASK_ID\n\
    if [ -e \"pid-$id\" ]; then\n\
      set -- $(cat \"/proc/$(cat \"pid-$id\")/stat\" 2> /dev/null)\n\
      case \"${3:-X}\" in Z|X) ending=4 ;; *) ending=$(($9 & 4)) ;; esac\n\
      if [ \"$ending\" = 4 ]; then echo \"$id\" >> again; else echo \"$id: $*\" >> overlap; fi\n\
    fi\necho $$ > \"new-$$\"\nmv \"new-$$\" \"pid-$id\"\nsleep 0.05\n";

/// For how long, in seconds.
#[allow(clippy::disallowed_methods, reason = "a test is told by its environment")]
pub(crate) fn seconds() -> u64 {
    std::env::var("ROWMILL_STORM_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// How long, and how often what happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storm {
    span: Duration,
    kill: Duration,
    restart: Duration,
}

impl Storm {
    /// A kill each ten seconds and a restart each minute; in a short storm each two and seven.
    pub(crate) fn of(seconds: u64) -> Storm {
        let (kill, restart) = if seconds < 60 { (2, 7) } else { (10, 60) };
        let [span, kill, restart] = [seconds, kill, restart].map(Duration::from_secs);
        Storm { span, kill, restart }
    }

    /// Lets it rage; answers what was done, in words.
    pub(crate) fn over(&self, here: &Installation) -> String {
        here.script("../mark", MARK);
        let watch = Watch::start();
        let (mut kills, mut restarts, mut inserted) = (0_u32, 0_u32, 0_u64);
        while !watch.left_of(self.span).is_zero() {
            here.insert(20, "noop", "");
            here.insert(2, "mark", "");
            here.insert(2, "sleep", "150");
            here.insert(1, "send_message", r#"{"uid":4,"uids":[6,34,77],"content":"hi"}"#);
            inserted += 1;
            if watch.elapsed() > self.kill * (kills + 1)
                && let alive = here.workers()
                && let Some((_, pid)) = alive.iter().nth(kills as usize % alive.len().max(1))
            {
                let pid = *pid;
                signal(pid, Signal::KILL);
                kills += 1;
            }
            if watch.elapsed() > self.restart * (restarts + 1) {
                here.run(&["restart"]);
                restarts += 1;
            }
            pause(Duration::from_millis(100));
        }
        self.account(here, inserted, kills, restarts)
    }

    fn account(&self, here: &Installation, inserted: u64, kills: u32, restarts: u32) -> String {
        let own = i64::try_from(inserted).unwrap();
        let is_done = || here.count("status NOT IN ('done')") == 0;
        within(BOUND * 3, "all rows to be done", || is_done().then_some(()));
        assert!(kills > 0 && restarts > 0, "there was no storm: {kills} kills, {restarts} restarts");
        for (job, rows) in [("mark", 2 * own), ("sleep", 2 * own), ("send_message", own), ("deliver_message", 3 * own)]
        {
            assert_eq!(here.count(&format!("job = '{job}'")), rows, "{job}");
        }
        let one = |text: &str| here.sql().query_row(text, [], |r| r.get::<_, i64>(0)).unwrap();
        let occurrences = one("SELECT count(*) FROM rowmill_occurrence WHERE outcome = 'fired'");
        assert_eq!(here.count("job = 'noop'"), 20 * own + occurrences, "each occurrence is one task");
        assert_eq!(one("SELECT count(DISTINCT due_at) FROM rowmill_occurrence WHERE outcome = 'fired'"), occurrences);
        assert_eq!(one("SELECT count(*) FROM messages_outbox"), 3 * own, "each effect happened once");
        let log = here.log();
        let settled: Vec<&str> = log
            .lines()
            .filter_map(|line| line.split(' ').find(|word| line.contains(" done ") && word.starts_with("task=")))
            .collect();
        assert_eq!(settled.iter().collect::<BTreeSet<_>>().len(), settled.len(), "a task was settled twice");
        assert_eq!(here.read("overlap"), "", "these tasks ran twice at one time");
        here.keeps_the_laws();
        let again = here.read("again").lines().count();
        let twice = here.count("attempt > 1");
        assert!(twice <= i64::from(kills), "{twice} tasks were charged for {kills} kills");
        format!(
            "{} s, {kills} kills, {restarts} restarts: {} rows done, {} of them settled in the log, {twice} charged for a \
             kill, {again} scripts begun again, {occurrences} occurrences",
            self.span.as_secs(),
            here.done(),
            settled.len()
        )
    }
}
