//! `demo`: the whole thing in a scratch folder, explained as it goes.
//!
//! It does what a person would: writes a configuration and a script, inserts rows by plain SQL, calls `rowmill tick` as
//! cron does, and looks at what became of the rows. Everything that it says is looked up in the database first; what did
//! not come out as described is said at the end, and makes the exit code 1. Workers that it started are ended in any case.

mod stage;
mod texts;

use super::args::{LogTo, PlaceArgs};
use super::site::Register;
use super::{Verdict, complain, print, show, tell};
use crate::clock::Watch;
use crate::error::{Error, Result};
use crate::store::{Filter, Row, Store};
use crate::task::Status;
use stage::{Stage, block, end_workers, quoted, say, step, typed};
use std::time::Duration;

/// How long anything that is waited for may take, before the demo says that it did not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Later than this after its time, a start is not what was described.
const LATE_MS: i64 = 1_000;
/// How many workers the configuration asks for.
const WORKERS: usize = 10;
/// How many of the last lines of the log are shown.
const LOG_LINES: usize = 8;

/// The rows that are looked at later.
struct Asked {
    /// Tasks that are done as soon as there are workers.
    soon: u64,
    hopeless: i64,
    hopeful: i64,
    later: i64,
}

pub(super) fn demo(place: &PlaceArgs, register: Register) -> Result<Verdict> {
    if place.config.is_some() || place.database.is_some() || place.log != LogTo::File {
        return Err(Error::usage("the demo has a configuration, a database and a log of its own")
            .hint("call it without options: rowmill demo"));
    }
    let watch = Watch::start();
    let stage = Stage::build(register)?;
    needs_jobs(&stage)?;
    introduce(&stage)?;
    let mut store = stage.site.existing_store()?;
    let mut amiss = Vec::new();
    let played = play(&stage, store.as_mut(), &mut amiss);
    if let Err(e) = &played {
        complain(e);
    }
    finish(&stage, store.as_mut(), &mut amiss)?;
    let took = watch.elapsed().as_secs_f64();
    if amiss.is_empty() && played.is_ok() {
        print(&format!("Everything came out as described, in {took:.1} s.\n"))?;
        return Ok(Verdict::Well);
    }
    for what in &amiss {
        tell(&format!("error: not as described: {what}\n"));
    }
    Ok(Verdict::Failed)
}

/// A program of somebody else's that is built on this library need not have the jobs that the demo asks for.
fn needs_jobs(stage: &Stage) -> Result<()> {
    let registry = stage.site.registry()?;
    match ["noop", "fail"].into_iter().find(|name| registry.get(name).is_none()) {
        Some(name) => Err(Error::usage(format!("this program registers no job `{name}`, which the demo runs"))),
        None => Ok(()),
    }
}

fn introduce(stage: &Stage) -> Result<()> {
    say(&format!(
        "Rowmill runs tasks that are rows of a table. This shows how, in a few seconds.\n\n\
         Everything is in {}, which stays there. `rowmill` is\n{}.",
        stage.folder.display(),
        stage.program.display()
    ))?;
    step(
        1,
        "A configuration, a script, a database",
        "How many workers there are, which programs are jobs, and what is due when. `rowmill init`\n\
         writes a commented one. Here the schedule is due each five seconds.",
    )?;
    typed("cat rowmill.toml", texts::CONFIG)?;
    typed("cat greet.sh", texts::SCRIPT)?;
    typed("rowmill migrate", &stage.rowmill(&["migrate"])?)
}

/// Steps 2 to 7. What came out otherwise than described goes to `amiss`; an error is what nothing can go on after.
fn play(stage: &Stage, store: &mut dyn Store, amiss: &mut Vec<String>) -> Result<()> {
    let asked = ask(stage)?;
    tick(stage, store, &asked, amiss)?;
    while_asleep(stage, store, amiss)?;
    at_its_time(stage, store, &asked, amiss)?;
    failed(stage, store, &asked, amiss)?;
    look(stage, amiss)
}

fn ask(stage: &Stage) -> Result<Asked> {
    step(
        2,
        "Work is asked for by plain SQL",
        "Any program that can write to the file can ask, within a transaction of its own. Nobody works\n\
         yet. First the two settings of a connection, for example in `sqlite3 rowmill.db`:",
    )?;
    block(texts::CONNECTION)?;
    say("A thousand tasks that do nothing, and three for the script:")?;
    stage.sql(texts::MANY)?;
    stage.sql(texts::GREETINGS)?;
    say("One that fails and may not be tried again, and one that fails and may:")?;
    let hopeless = stage.sql(texts::HOPELESS)?;
    let hopeful = stage.sql(texts::HOPEFUL)?;
    say("One that is to run three seconds from now (times are UTC milliseconds):")?;
    let later = stage.sql(texts::LATER)?;
    Ok(Asked { soon: 1_003, hopeless, hopeful, later })
}

fn tick(stage: &Stage, store: &mut dyn Store, asked: &Asked, amiss: &mut Vec<String>) -> Result<()> {
    let (config, program) = (quoted(&stage.folder.join("rowmill.toml")), quoted(&stage.program));
    step(
        3,
        "What cron does each minute",
        "One line of a crontab drives everything. It starts the workers that are missing, asks for what\n\
         is due, and ends. It prints nothing when all is well. This would be the line:",
    )?;
    block(&format!("* * * * * {program} tick --config {config}"))?;
    say("The demo leaves your crontab alone, and calls it by hand:")?;
    let watch = Watch::start();
    typed("rowmill tick", &stage.rowmill(&["tick"])?)?;
    let done = stage.wait(store, PATIENCE, |store| {
        let done = store.counts()?.total(Status::Done);
        Ok((done >= asked.soon).then_some(done))
    })?;
    let took = watch.elapsed().as_secs_f64();
    let alive = stage.wait(store, PATIENCE, |store| {
        let alive = store.workers()?.len();
        Ok((alive == WORKERS).then_some(alive))
    })?;
    if done.is_none() {
        amiss.push(format!("{} tasks are not done within {} s", asked.soon, PATIENCE.as_secs()));
    }
    if alive.is_none() {
        amiss.push(format!("{WORKERS} workers are not alive: {:?}", store.workers()?));
    }
    if let (Some(done), Some(alive)) = (done, alive) {
        let done = show::number(done);
        say(&format!(
            "{done} tasks were done {took:.1} s after that. {alive} workers are alive, and sleep until there is more."
        ))?;
    }
    Ok(())
}

fn while_asleep(stage: &Stage, store: &mut dyn Store, amiss: &mut Vec<String>) -> Result<()> {
    step(
        4,
        "A new row does not wait for cron",
        "The commit itself wakes a worker, whoever makes it. Three rows, one after the other:",
    )?;
    let mut waits = Vec::new();
    for _ in 0..3 {
        let id = stage.sql(texts::ONE_MORE)?;
        let row = ended(stage, store, id)?;
        match row.as_ref().and_then(|row| Some(row.started_at? - row.created_at)) {
            Some(wait_ms) => waits.push(wait_ms),
            None => {
                amiss.push(format!("task {id}, inserted while the workers slept, has not run"));
                break;
            }
        }
    }
    if waits.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = waits.iter().map(|ms| format!("{ms} ms")).collect();
    say(&format!("From insert to start (`SELECT started_at - created_at FROM task`): {}.", shown.join(", ")))?;
    // The fastest of the three: on a machine that is busy with other things one of them may have waited for that.
    if waits.iter().min().is_some_and(|ms| *ms >= LATE_MS) {
        amiss.push(format!("new rows waited for {} before they started", shown.join(", ")));
    }
    Ok(())
}

/// The row of a task once it is final.
fn ended(stage: &Stage, store: &mut dyn Store, id: i64) -> Result<Option<Row>> {
    stage.wait(store, PATIENCE, |store| Ok(store.task(id)?.filter(|row| row.status.is_final())))
}

fn at_its_time(stage: &Stage, store: &mut dyn Store, asked: &Asked, amiss: &mut Vec<String>) -> Result<()> {
    step(
        5,
        "What has its time",
        "The delayed task runs when its time has come; a worker keeps the timer. Schedules are looked at\n\
         by `rowmill tick`; the demo calls it once more when the schedule is due, instead of each minute.",
    )?;
    let row = ended(stage, store, asked.later)?;
    match row.as_ref().and_then(|row| Some(row.started_at? - row.run_at?)) {
        Some(late_ms) => {
            say(&format!("Task {} has run, {late_ms} ms after its time.", asked.later))?;
            if !(0..LATE_MS).contains(&late_ms) {
                amiss.push(format!("the delayed task started {late_ms} ms after its time"));
            }
        }
        None => amiss.push(format!("the delayed task {} has not run", asked.later)),
    }
    let due = stage.wait(store, PATIENCE, |store| {
        let now_ms = stage.site.clock.now_ms();
        Ok(store.schedules()?.into_iter().find(|kept| kept.next_at.is_some_and(|at| at <= now_ms)))
    })?;
    let Some(due) = due else {
        amiss.push("the schedule has not come due".to_string());
        return Ok(());
    };
    typed("rowmill tick", &stage.rowmill(&["tick"])?)?;
    let filter = Filter { status: Some(Status::Done), job: Some("greet".to_string()), since_ms: None, limit: 100 };
    let occurrence = stage.wait(store, PATIENCE, |store| {
        Ok(store.tasks(&filter)?.into_iter().find(|row| row.param == texts::SCHEDULE_PARAM))
    })?;
    match occurrence {
        Some(row) => say(&format!("Its occurrence became task {}, and has run: an ordinary row of the queue.", row.id)),
        None => {
            amiss.push(format!("no occurrence of the schedule `{}` has run", due.schedule.name));
            Ok(())
        }
    }
}

fn failed(stage: &Stage, store: &mut dyn Store, asked: &Asked, amiss: &mut Vec<String>) -> Result<()> {
    step(
        6,
        "What failed",
        "The one that may not be tried again is dead, and says why. It is kept. The other one waits for\n\
         its next attempt, with longer pauses each time, and is dead after its last.",
    )?;
    let seen = |store: &mut dyn Store, id: i64, status: Status| {
        stage.wait(store, PATIENCE, |store| Ok(store.task(id)?.filter(|row| row.status == status)))
    };
    for (id, status) in [(asked.hopeless, Status::Dead), (asked.hopeful, Status::Delayed)] {
        match seen(store, id, status)? {
            Some(row) if row.error.is_some() && row.attempt > 0 => {}
            other => amiss.push(format!("task {id} should be {status} with its error, and is {other:?}")),
        }
        let id = id.to_string();
        typed(&format!("rowmill task {id}"), &stage.rowmill(&["task", &id])?)?;
    }
    Ok(())
}

fn look(stage: &Stage, amiss: &mut Vec<String>) -> Result<()> {
    step(7, "What an admin sees", "How things stand, and the last lines of the day's log:")?;
    typed("rowmill status", &stage.rowmill(&["status"])?)?;
    let log = stage.rowmill(&["logs"])?;
    let lines: Vec<&str> = log.lines().collect();
    let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
    typed(&format!("rowmill logs | tail -n {LOG_LINES}"), &last)?;
    say(&format!("The log of all days is in {}.", stage.site.config.log_dir.display()))?;
    if !log.contains(" greets {\"who\":\"Ada\"}") {
        amiss.push("the log does not have what the script printed".to_string());
    }
    Ok(())
}

/// Step 8, whatever was before it: nothing that was started is left.
fn finish(stage: &Stage, store: &mut dyn Store, amiss: &mut Vec<String>) -> Result<()> {
    step(
        8,
        "The end",
        "Workers end by themselves after a while without work (`linger`), or when they get TERM; what\n\
         runs is finished first.",
    )?;
    let (told, all_ended) = end_workers(store)?;
    if all_ended {
        say(&format!("{told} workers were told to end, and have ended."))?;
    } else {
        amiss.push(format!("workers are still there: {:?}", store.workers()?));
    }
    let (folder, program) = (quoted(&stage.folder), quoted(&stage.program));
    say("Look around, and remove the folder when you have seen enough:")?;
    block(&format!("cd {folder} && {program} tasks --status dead\nrm -r {folder}"))
}
