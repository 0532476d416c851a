//! The disk fails: every call of every verb, once and from then on, and what is to be found afterwards.
//!
//! A verb that fails says that it may be called again, and has changed nothing. Called again when the cause is gone, it
//! comes to what it comes to on a disk that never failed.

use super::disk::{Disk, Fault, Way};
use super::platter::Image;
use super::scale;
use super::tasks;
use super::verbs::{Base, Stage, VERBS, Verb, base};
use super::verdict::{NOTHING, integrity, sum};
use rowmill::Result;
use rowmill::error::Kind;
use rusqlite::Connection;

/// The sum of a database whose store is open or closed, and what is wrong with it. Rows that are as `well` keep the laws.
fn rows(stage: &Stage, well: &[u64]) -> (u64, Vec<String>) {
    let path = stage.path();
    if !path.exists() {
        return (NOTHING, Vec::new());
    }
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA wal_autocheckpoint = 0").unwrap();
    let mut wrong: Vec<String> = integrity(&conn).err().into_iter().collect();
    let sum = sum(&conn, false);
    let entry = "SELECT count(*) FROM sqlite_master WHERE name = 'entry'";
    if wrong.is_empty() && !well.contains(&sum) && conn.query_row(entry, [], |r| r.get(0)).unwrap() {
        wrong = tasks::breaches(&conn);
    }
    (sum, wrong)
}

/// What a verb comes to when nothing fails: the rows before and after it.
fn well(verb: &Verb, image: &Image) -> (u64, u64) {
    let mut stage = Stage::of(image, &Disk::plain());
    (verb.prepare)(&mut stage);
    let (before, wrong_before) = rows(&stage, &[]);
    (verb.act)(&mut stage).unwrap();
    let (after, wrong_after) = rows(&stage, &[]);
    assert_eq!((wrong_before, wrong_after), (vec![], vec![]), "{}", verb.name);
    stage.close();
    (before, after)
}

/// Calls a verb on a disk that fails; `None` when the fault came too late to be met.
fn fail(verb: &Verb, image: &Image, fault: Fault, well: (u64, u64)) -> Option<Vec<String>> {
    let disk = Disk::plain();
    let mut stage = Stage::of(image, &disk);
    (verb.prepare)(&mut stage);
    disk.fail(fault);
    let mut wrong = Vec::new();
    let mut answer = (verb.act)(&mut stage);
    if fault.lasts && answer.is_err() {
        wrong.extend(said(&answer));
        answer = (verb.act)(&mut stage);
    }
    if disk.mend() == 0 {
        stage.close();
        return None;
    }
    if answer.is_err() {
        wrong.extend(said(&answer));
        if !verb.in_steps && rows(&stage, &[well.0, well.1]).0 != well.0 {
            wrong.push("it says that it failed, and has changed something".to_string());
        }
        if let Err(e) = (verb.act)(&mut stage) {
            wrong.push(format!("called again, it still says: {e}"));
        }
    }
    let (after, broken) = rows(&stage, &[well.0, well.1]);
    wrong.extend(broken);
    if after != well.1 {
        wrong.push("it has not come to what it should".to_string());
    }
    stage.close();
    Some(wrong)
}

/// An answer that does not say that it may pass.
fn said(answer: &Result<()>) -> Option<String> {
    let e = answer.as_ref().err()?;
    (e.kind() != Kind::TryAgain).then(|| format!("it says {:?}: {e}", e.kind()))
}

/// Lets every call of all verbs fail in this way.
fn fail_everywhere(ways: &[(Way, bool)], stride: usize) {
    let faults = fail_in(|_| true, ways, stride);
    println!("{ways:?}: {} verbs, {faults} faults, 0 wrong", VERBS.len());
}

/// Lets every call of these verbs fail in this way; answers how many did.
fn fail_in(these: impl Fn(&Verb) -> bool, ways: &[(Way, bool)], stride: usize) -> usize {
    let bases = [Base::Empty, Base::Busy, Base::Fanned].map(|one| (one, base(one)));
    let (mut faults, mut wrong) = (0, Vec::new());
    for verb in VERBS.iter().filter(|verb| these(verb)) {
        let image = &bases.iter().find(|(one, _)| *one == verb.base).unwrap().1;
        let well = well(verb, image);
        for (way, lasts) in ways {
            for at in (1..).step_by(stride) {
                let fault = Fault { at, way: *way, lasts: *lasts, only: None };
                let Some(found) = fail(verb, image, fault, well) else { break };
                faults += 1;
                wrong.extend(found.into_iter().map(|what| format!("{}, {fault:?}: {what}", verb.name)));
            }
        }
    }
    let first: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{faults} faults, {} wrong, among them {first:#?}", wrong.len());
    faults
}

/// At scale 1 every third call of the long rows is tried.
fn stride() -> usize {
    if scale() > 1 { 1 } else { 3 }
}

#[test]
fn a_full_disk_leaves_everything_as_it_was() {
    fail_everywhere(&[(Way::Full, false), (Way::Full, true)], 1);
}

#[test]
fn a_device_error_leaves_everything_as_it_was() {
    fail_everywhere(&[(Way::Broken, false)], 1);
}

#[test]
fn a_device_that_stays_broken_leaves_everything_as_it_was() {
    fail_everywhere(&[(Way::Broken, true)], stride());
}

#[test]
fn a_short_write_leaves_everything_as_it_was() {
    fail_everywhere(&[(Way::Short, false), (Way::Short, true)], stride());
}

/// One that was passed over had SQLite roll the transaction back, and what followed was written statement by statement.
#[test]
fn a_read_that_fails_within_a_transaction_is_not_passed_over() {
    let faults = fail_in(|verb| verb.name == "enqueue many", &[(Way::Broken, false)], 1);
    assert!(faults > 5, "only {faults} calls to fail");
}
