//! What is to be said of what lies around the data: nothing of it makes the data wrong.

use super::Seen;
use crate::cli::show;
use crate::store::sqlite::{LogReader, Sure};

/// Outcomes are folded within seconds while anybody works.
const UNFOLDED_MS: i64 = 60_000;
/// Clocks are set by small steps all the time.
const GRACE_MS: i64 = 60_000;
/// On a disk with less than this, work may stop soon: in bytes.
const LITTLE: u64 = 256 << 20;
/// So many names stand in one line.
const FEW: usize = 5;

/// One thing that is worth knowing.
pub(super) struct Note {
    /// What it is about, in a word.
    pub(super) about: &'static str,
    pub(super) what: String,
    pub(super) hint: String,
}

/// Everything that is worth knowing.
pub(super) fn notes(seen: &Seen) -> Vec<Note> {
    let mut notes = Vec::new();
    files(seen, &mut notes);
    clock(seen, &mut notes);
    workers(seen, &mut notes);
    run_folder(seen, &mut notes);
    jobs(seen, &mut notes);
    notes
}

fn files(seen: &Seen, notes: &mut Vec<Note>) {
    let at = &seen.condition;
    let mut say = |about, what: String, hint: &str| notes.push(Note { about, what, hint: hint.to_string() });
    for reader in &seen.readers {
        let (what, hint) = reads(reader, at.log_bytes);
        say("log", what, &hint);
    }
    if seen.readers.is_empty() && at.log_bytes > 2 * at.log_bound {
        let what = format!("the write-ahead log has {}, and nobody is seen to hold it", show::size(at.log_bytes));
        say("log", what, "the next write truncates it, unless a reader of another user or container is in the way");
    }
    let need = LITTLE.max(at.log_bytes);
    if at.free_bytes < need {
        let what = format!("the disk of the database has {} left for this user", show::size(at.free_bytes));
        say(
            "disk",
            what,
            "on a full disk work stops until there is room; nothing is lost. `rowmill prune` deletes old tasks",
        );
    }
    if at.settings.get("journal_mode").is_some_and(|mode| mode != "wal") {
        say("settings", "the database is not in journal mode wal".into(), "the next command that works sets it");
    }
    if at.settings.get("auto_vacuum").is_some_and(|mode| mode == "full") {
        let hint = "every commit that deletes moves pages: set auto_vacuum to none and VACUUM while nobody works";
        say("settings", "the database has auto_vacuum = full".into(), hint);
    }
    if let Some(oldest) = at.oldest_fresh.filter(|oldest| seen.now_ms - oldest > UNFOLDED_MS) {
        let what = format!("an outcome has waited {} to be folded", show::span(seen.now_ms - oldest));
        say("fold", what, "queue itself is behind, the view task is right; `rowmill tick` folds");
    }
    for left in seen.found.iter().filter(|found| found.left_out.is_some()) {
        let what =
            format!("{} was not looked at whole: {}", left.law.name, left.left_out.as_deref().unwrap_or_default());
        say("laws", what, "call it again while there is less to do");
    }
}

fn reads(reader: &LogReader, log_bytes: u64) -> (String, String) {
    let name = show::excerpt(reader.name.as_bytes(), 40);
    let who = format!("process {} ({name})", reader.pid);
    let log = format!("the write-ahead log, now {}", show::size(log_bytes));
    match reader.sure {
        Sure::Certain => (
            format!("{who} reads an old state of the database, and keeps {log}, from being truncated"),
            "the log grows until that process ends its transaction: commit there, or end it".into(),
        ),
        Sure::Likely => (
            format!("{who} has a read transaction open, and keeps {log}, from being truncated while it does"),
            "harmless if it ends soon: commit there, or end it".into(),
        ),
        Sure::Possible => (
            format!("{who} has the log open, and may keep {log}, from being truncated"),
            "the kernel does not tell from here who has a lock: call this outside of the container, or as root".into(),
        ),
    }
}

fn clock(seen: &Seen, notes: &mut Vec<Note>) {
    if let Some(ahead) = seen.condition.last_tick.map(|at| at - seen.now_ms).filter(|ahead| *ahead > GRACE_MS) {
        notes.push(Note {
            about: "clock",
            what: format!("the last tick was {} from now: the clock was set back", show::span(ahead)),
            hint: "delays and schedules follow the clock of now; see that it is right".into(),
        });
    }
}

fn workers(seen: &Seen, notes: &mut Vec<Note>) {
    for dead in &seen.condition.dead {
        let ids: Vec<String> = dead.tasks.iter().map(ToString::to_string).collect();
        notes.push(Note {
            about: "workers",
            what: format!(
                "worker {} (pid {}) is dead, and its claims wait since {}: {}",
                dead.index,
                dead.pid,
                show::span(seen.now_ms - dead.since),
                ids.join(", ")
            ),
            hint: "the next tick, and any worker that looks, recovers them; is cron's line still there?".into(),
        });
    }
}

fn run_folder(seen: &Seen, notes: &mut Vec<Note>) {
    let run = &seen.condition.run;
    let mut say = |what: String, hint: &str| notes.push(Note { about: "run folder", what, hint: hint.to_string() });
    if let Some(why) = &run.closed {
        say(
            format!("the run folder cannot be looked into: {why}"),
            "who works with the database can; the first tick makes it",
        );
    }
    for (body, pids) in &run.strays {
        let what = format!("something that a worker's program had started still lives: {body}, {}", processes(pids));
        say(what, "it is killed before the worker's tasks run again, and by the next worker of that index");
    }
    for (lock, pids) in &run.orphans {
        let what = format!("{lock} is locked by {}, which is no worker that is written down", processes(pids));
        say(what, "nobody else can have it until that process ends: see what it is");
    }
    if !run.bodies.is_empty() {
        say(format!("left over in the run folder: {}", few(&run.bodies)), "nobody needs them: delete them if you like");
    }
    if !run.foreign.is_empty() {
        say(format!("not Rowmill's, in the run folder: {}", few(&run.foreign)), "see who has put that there");
    }
}

fn jobs(seen: &Seen, notes: &mut Vec<Note>) {
    let Some(known) = &seen.known else { return };
    for (job, waits) in seen.waiting.jobs.iter().filter(|(job, _)| !known.contains(*job)) {
        let counts = [(waits.ready, "ready"), (waits.delayed, "delayed"), (waits.parked, "parked")];
        let counts: Vec<String> =
            counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", show::number(*n))).collect();
        notes.push(Note {
            about: "jobs",
            what: format!(
                "no job `{}` is known here, and its tasks wait: {}",
                show::excerpt(job.as_bytes(), 80),
                counts.join(", ")
            ),
            hint: "register it, and they run; or `rowmill cancel --job` them".into(),
        });
    }
}

fn processes(pids: &[i64]) -> String {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    if pids.is_empty() {
        "by processes that are not to be seen from here".into()
    } else {
        format!("pid {}", pids.join(", "))
    }
}

fn few(names: &[String]) -> String {
    let mut text: Vec<String> = names.iter().take(FEW).map(|name| show::excerpt(name.as_bytes(), 80)).collect();
    if names.len() > FEW {
        text.push(format!("and {} more", names.len() - FEW));
    }
    text.join(", ")
}
