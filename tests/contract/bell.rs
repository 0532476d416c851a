//! `listen`, `sleep`, `ring`, `is_lookout`, `pass_lookout`: what wakes a sleeper.
//!
//! No test here waits: what is to wake a sleeper has happened before it lies down, and one that nothing is to wake
//! sleeps for no time at all.

use crate::scene::{HOME, Scene, task};
use rowmill::store::{Store, Woken};
use rowmill::task::Partition;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

on_every_backend!(
    a_ring_wakes_the_home_worker,
    a_ring_reaches_the_next_one_that_listens,
    nobody_listens_and_nothing_fails,
    a_commit_since_the_last_sleep_wakes,
    a_commit_of_ones_own_does_not_wake,
    stop_wakes,
    no_ring_is_lost_in_the_pause_after_a_wake,
    who_does_not_listen_is_no_lookout,
    the_lookout_is_passed_on,
);

/// Longer than any test may take: a sleeper that misses what should wake it is seen by that.
const LONG: Duration = Duration::from_secs(30);

/// A descriptor that stays silent while its other end lives.
fn silence() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

/// Sleeps until there is nothing more to see: then only what happens later wakes it.
fn settle_down(store: &mut dyn Store) {
    let (_end, stop) = silence();
    while store.sleep(Duration::ZERO, stop.as_fd()).unwrap() != Woken::TimeOut {}
}

/// Whether it is woken at once.
fn is_woken(store: &mut dyn Store) -> bool {
    let (_end, stop) = silence();
    store.sleep(Duration::ZERO, stop.as_fd()).unwrap() == Woken::Rung
}

fn listener(s: &Scene, index: u32) -> Box<dyn Store> {
    let mut store = s.another();
    store.listen(index).unwrap();
    settle_down(store.as_mut());
    store
}

fn a_ring_wakes_the_home_worker(s: &mut Scene) {
    let (mut one, mut two) = (listener(s, 0), listener(s, 1));
    s.store.ring(&[HOME], 2);
    let (_end, stop) = silence();
    assert_eq!(two.sleep(LONG, stop.as_fd()).unwrap(), Woken::Rung);
    assert!(!is_woken(one.as_mut()), "not all of them wake for one row");
    settle_down(two.as_mut());
}

fn a_ring_reaches_the_next_one_that_listens(s: &mut Scene) {
    let mut three = listener(s, 3);
    s.store.ring(&[HOME, Partition { index: 2, ..HOME }], 4);
    let (_end, stop) = silence();
    assert_eq!(three.sleep(LONG, stop.as_fd()).unwrap(), Woken::Rung);
}

fn nobody_listens_and_nothing_fails(s: &mut Scene) {
    s.store.ring(&[HOME], 4);
    s.store.ring(&[HOME], 0);
    s.store.ring(&[], 4);
    s.store.pass_lookout(4);
}

fn a_commit_since_the_last_sleep_wakes(s: &mut Scene) {
    let mut one = listener(s, 0);
    s.sql("INSERT INTO queue (job) VALUES ('subject')");
    let (_end, stop) = silence();
    assert_eq!(one.sleep(LONG, stop.as_fd()).unwrap(), Woken::Rung);
    assert!(!is_woken(one.as_mut()), "once for each");
}

fn a_commit_of_ones_own_does_not_wake(s: &mut Scene) {
    let mut one = listener(s, 0);
    one.enqueue(&[task("subject")]).unwrap();
    assert!(!is_woken(one.as_mut()));
}

fn stop_wakes(s: &mut Scene) {
    let mut one = listener(s, 0);
    let (end, stop) = silence();
    std::io::Write::write_all(&mut &end, b"!").unwrap();
    assert_eq!(one.sleep(LONG, stop.as_fd()).unwrap(), Woken::Stopped);
    // Also of one who does not listen.
    settle_down(s.store.as_mut());
    assert_eq!(s.store.sleep(LONG, stop.as_fd()).unwrap(), Woken::Stopped);
}

/// Sleeps until it is the lookout, which nobody else may be.
fn become_lookout(store: &mut dyn Store) {
    let (_end, stop) = silence();
    assert_eq!(store.sleep(LONG, stop.as_fd()).unwrap(), Woken::Rung);
    assert!(store.is_lookout());
}

/// Two who listen, the first of them the lookout.
fn lookout_and_other(s: &Scene) -> (Box<dyn Store>, Box<dyn Store>) {
    let (mut one, two) = (listener(s, 0), listener(s, 1));
    become_lookout(one.as_mut());
    (one, two)
}

/// The first sleep after a commit pauses for a moment, so that wakes keep apart: what rings then was heard all the same.
fn no_ring_is_lost_in_the_pause_after_a_wake(s: &mut Scene) {
    let (_one, mut two) = lookout_and_other(s);
    let (_end, stop) = silence();
    for _ in 0..3 {
        s.store.ring(&[HOME], 2);
        assert_eq!(two.sleep(LONG, stop.as_fd()).unwrap(), Woken::Rung);
    }
    assert!(!two.is_lookout(), "one sleeper is the lookout, and it is another");
}

fn who_does_not_listen_is_no_lookout(s: &mut Scene) {
    settle_down(s.store.as_mut());
    let (_end, stop) = silence();
    assert_eq!(s.store.sleep(Duration::from_millis(1), stop.as_fd()).unwrap(), Woken::TimeOut);
    assert!(!s.store.is_lookout());
}

fn the_lookout_is_passed_on(s: &mut Scene) {
    let (mut one, mut two) = lookout_and_other(s);
    one.pass_lookout(2);
    assert!(!one.is_lookout());
    let (_end, stop) = silence();
    assert_eq!(two.sleep(LONG, stop.as_fd()).unwrap(), Woken::Rung);
    if !two.is_lookout() {
        become_lookout(two.as_mut());
    }
}
