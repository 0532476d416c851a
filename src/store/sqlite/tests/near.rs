//! Who is seen to write between our transactions.

use super::*;
use crate::store::sqlite::pulse;
use std::time::Duration;

fn is_near(store: &mut Sqlite) -> bool {
    let turn = store.gate.take().unwrap();
    turn.room().is_near(pulse::now_us())
}

#[test]
fn an_application_that_inserts_is_seen_and_our_own_doors_are_not_taken_for_one() {
    let folder = TempDir::new().unwrap();
    let (mut store, mut other) = (open(&folder), open(&folder));
    let application = rusqlite::Connection::open(folder.path().join("q.db")).unwrap();
    for _ in 0..3 {
        add(&mut store, "noop", 0);
        store.enqueue_many(&[NewTask::of("noop", "1")]).unwrap();
        other.write(|_| Ok(())).unwrap();
    }
    assert!(!is_near(&mut store), "nobody else is there");
    application.execute("INSERT INTO queue (job) VALUES ('noop')", []).unwrap();
    other.write(|_| Ok(())).unwrap();
    assert!(is_near(&mut store));
}

#[test]
fn an_application_that_writes_to_tables_of_its_own_is_seen_when_it_is_in_the_way() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let application = rusqlite::Connection::open(folder.path().join("q.db")).unwrap();
    application.busy_timeout(Duration::from_secs(30)).unwrap();
    application.execute_batch("CREATE TABLE its_own (n)").unwrap();
    store.write(|_| Ok(())).unwrap();
    assert!(!is_near(&mut store), "it was not in the way");
    // Whether our writer comes while the application writes is up to the machine: again, until it does.
    let met = (0..200).any(|_| {
        application.execute_batch("BEGIN IMMEDIATE; INSERT INTO its_own VALUES (1)").unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| store.write(|_| Ok(())));
            let some_ms = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            rustix::event::poll(&mut [], Some(&some_ms)).unwrap();
            application.execute_batch("COMMIT").unwrap();
            writer.join().unwrap().unwrap();
        });
        is_near(&mut store)
    });
    assert!(met);
}
