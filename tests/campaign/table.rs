//! What a campaign came to, as a table.

use super::history::{Fate, History};
use super::strike::{Kind, Striker};
use super::verdict::{Reason, Verdict};
use std::fmt::Write;

pub(super) fn table(striker: &Striker, history: &History, verdict: &Verdict) -> String {
    let mut text = String::from("| what | how many |\n|---|---|\n");
    let mut row = |what: &str, count: &dyn std::fmt::Display| writeln!(text, "| {what} | {count} |").unwrap();
    let killed = |kind| striker.deaths.iter().filter(|death| death.fate == Fate::Killed(kind)).count();
    row("`kill -9`", &striker.kills());
    row("… of workers", &killed(Kind::Worker));
    row("… of running scripts", &killed(Kind::Script));
    row("… of enqueuing programs", &killed(Kind::Feeder));
    row("… of ticks", &killed(Kind::Tick));
    row("… of `run`", &killed(Kind::Resident));
    row("STOP, and CONT after up to 6 s", &striker.stops);
    let fate = |fate| history.deaths.iter().filter(|death| death.fate == fate).count();
    row("… workers killed by others, since they were stopped for longer than `stall` (2 s)", &fate(Fate::Stopped));
    row("… others that the machine kept from running for as long, and that were killed for it", &fate(Fate::Frozen));
    row("tasks", &history.tasks.len());
    row("… acknowledged to the program that enqueued them", &history.acked.len());
    row("… done", &history.tasks.values().filter(|task| task.status == "done").count());
    row("… of jobs that run at most once, dead with their worker or program", &dead(history));
    row("runs begun", &verdict.runs);
    let again = |wanted: &dyn Fn(&Reason) -> bool| -> usize {
        verdict.again.iter().filter(|(reason, _)| wanted(reason)).map(|(_, count)| count).sum()
    };
    row("runs again", &again(&|_| true));
    row("… because the worker died while it ran", &again(&|r| matches!(r, Reason::WorkerDiedInRun(_))));
    row("… because the script was killed", &again(&|r| *r == Reason::ProgramKilled));
    row(
        "… because the worker died between the run and its settlement (duplicates)",
        &again(&|r| matches!(r, Reason::WorkerDiedBeforeSettlement(_))),
    );
    row("attempts charged for a death before the run had written its first line", &verdict.charged_unbegun);
    row("lost", &verdict.lost);
    row("overlapping runs of one task", &verdict.overlaps);
    row("effects that happened twice", &verdict.effects_twice);
    row(
        "anything else that must not be",
        &(verdict.faults.len() - verdict.lost - verdict.overlaps - verdict.effects_twice),
    );
    row(
        "from a worker's death to the next run of its task, by a worker that lived then: median",
        &middle(&verdict.by_living_ms),
    );
    row("… worst", &worst(&verdict.by_living_ms));
    row(
        "the same, by a worker that was started later (by a tick each second, or by `run`): median",
        &middle(&verdict.by_next_ms),
    );
    row("… worst", &worst(&verdict.by_next_ms));
    row("the same, where more workers or ticks were killed meanwhile: median", &middle(&verdict.disturbed_ms));
    row("… worst", &worst(&verdict.disturbed_ms));
    row(
        "from the stop of a worker that was killed for it to the next run of its task: worst",
        &worst(&verdict.thaw_ms),
    );
    text
}

fn dead(history: &History) -> usize {
    history.tasks.values().filter(|task| task.status == "dead").count()
}

fn middle(spans: &[i64]) -> String {
    let mut sorted = spans.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).map_or("–".to_string(), |ms| format!("{ms} ms"))
}

fn worst(spans: &[i64]) -> String {
    spans.iter().max().map_or("–".to_string(), |ms| format!("{ms} ms"))
}
