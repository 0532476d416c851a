//! The checker itself: each kind of fault, put into a history that is right, is found.

use super::history::{Death, Fate, History, Line, Task, Word};
use super::strike::Kind;
use super::verdict::{Reason, Verdict};

const AT: i64 = 1_800_000_000_000;

fn task(job: &str, number: i64, attempt: i64) -> Task {
    let (status, job) = ("done".to_string(), job.to_string());
    Task { job, status, attempt, cause: None, parent: None, number: Some(number), effect: true, notes: 0 }
}

fn line(word: Word, task: i64, attempt: i64, worker: i32, at_ms: i64) -> Line {
    Line { word, task, attempt, pid: worker, worker, at_ms: AT + at_ms }
}

/// Task 1 ran through. Task 2 died with worker 20 and ran again. Task 3 had run when worker 20 died, and ran again.
fn right() -> History {
    let (begin, end) = (Word::Begin, Word::End);
    let mut history = History {
        lines: vec![
            line(begin, 1, 1, 10, 0),
            line(end, 1, 1, 10, 5),
            line(begin, 3, 1, 20, 10),
            line(end, 3, 1, 20, 15),
            line(begin, 2, 1, 20, 20),
            line(begin, 3, 1, 10, 200),
            line(end, 3, 1, 10, 205),
            line(begin, 2, 2, 10, 240),
            line(Word::Beat, 2, 2, 10, 245),
            line(end, 2, 2, 10, 250),
        ],
        deaths: vec![Death { fate: Fate::Killed(Kind::Worker), pid: 20, at_ms: AT + 100, living: vec![10] }],
        ..History::default()
    };
    for (id, attempt) in [(1, 1), (2, 2), (3, 1)] {
        history.tasks.insert(id, task("errand", id + 100, attempt));
        history.effects.insert(id, 1);
        history.acked.insert(id + 100);
    }
    history
}

#[track_caller]
fn finds(change: impl FnOnce(&mut History), words: &str) {
    let mut history = right();
    change(&mut history);
    let faults = Verdict::of(&history).faults;
    assert!(faults.iter().any(|(_, text)| text.contains(words)), "{faults:?}");
}

#[test]
fn a_history_that_is_right_has_no_fault_and_its_reasons() {
    let verdict = Verdict::of(&right());
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    let fate = Fate::Killed(Kind::Worker);
    let reasons = [(Reason::WorkerDiedInRun(fate), 1), (Reason::WorkerDiedBeforeSettlement(fate), 1)];
    assert_eq!(verdict.again, reasons.into());
    assert_eq!((verdict.by_living_ms, verdict.by_next_ms.len()), (vec![140, 100], 0));
}

#[test]
fn each_kind_of_fault_is_found() {
    finds(|h| drop(h.tasks.remove(&1)), "acknowledged, and is lost");
    finds(|h| h.tasks.get_mut(&2).unwrap().number = Some(101), "there twice");
    finds(|h| h.tasks.get_mut(&2).unwrap().status = "ready".into(), "ended as ready");
    finds(|h| h.tasks.get_mut(&2).unwrap().status = "dead".into(), "ended as dead");
    finds(|h| *h.effects.get_mut(&1).unwrap() = 2, "happened 2 times");
    finds(|h| *h.effects.get_mut(&1).unwrap() = 0, "happened 0 times");
    finds(|h| h.tasks.get_mut(&1).unwrap().notes = 3, "0 follow-ups instead of 3");
    finds(|h| h.lines.push(line(Word::Beat, 2, 1, 20, 260)), "still runs attempt 1");
    finds(|h| h.deaths.clear(), "although nobody had died");
    finds(|h| h.lines.push(line(Word::Begin, 1, 1, 20, 300)), "although nobody had died");
    finds(|h| h.lines[7].attempt = 1, "attempt 1 follows attempt 1");
    finds(|h| h.tasks.get_mut(&2).unwrap().job = "pay".into(), "began 2 times");
    finds(|h| h.tasks.get_mut(&1).unwrap().attempt = 2, "1 deaths of workers cost 2 attempts");
    finds(|h| h.said_done.extend([(1, 2)]), "more than once that it is done");
}
