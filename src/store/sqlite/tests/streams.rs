//! What a holder notes about a stream: several tasks in hand, and work that is not settled while the stream lives on.

use super::*;
use crate::store::IN_HAND;
use std::process::{Child, Command, Stdio};

/// A process that has inherited the body of a worker.
fn stray(badge: &Badge) -> Child {
    let body = badge.body().open().unwrap().unwrap();
    let mut sleep = Command::new("sleep");
    sleep.arg("60").stdin(Stdio::from(body)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Holds the partition of a hold that has ended. While another test starts a program, that has our locks for an instant too.
fn next_hold(store: &mut Sqlite, place: Partition, own: &Badge, blame: &dyn Fn(&Task) -> Settlement) -> Hold {
    let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
    for _ in 0..10_000 {
        if let Some(hold) = store.hold(place, own, 6, blame).unwrap() {
            return hold;
        }
        let _ = rustix::event::poll(&mut [], Some(&pause));
    }
    panic!("the partition is not given back")
}

fn is_killed(mut child: Child) -> bool {
    let ended = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    ended
}

#[test]
fn of_several_tasks_in_hand_none_is_charged_and_each_is_a_suspect() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder);
    let ids: Vec<i64> = (0..400).map(|_| add(&mut store, "noop", 0)).collect();
    let place = home(&mut store, ids[0]);
    let here: Vec<i64> = ids.iter().copied().filter(|id| home(&mut store, *id) == place).collect();
    let me = badge(&mut store, 0);
    let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
    // As many as can be in hand, of which the first ones end.
    here[..IN_HAND].iter().for_each(|id| hold.note().starts(*id));
    here[..IN_HAND - 3].iter().for_each(|id| hold.note().ends(*id));
    die(hold);
    let hold = next_hold(&mut store, place, &me, &nobody);
    let batch = store.fetch(&hold, 100).unwrap();
    let careful: Vec<i64> = batch.tasks.iter().filter(|(task, _)| task.careful).map(|(task, _)| task.id).collect();
    assert_eq!(careful, here[IN_HAND - 3..IN_HAND]);
    assert!(batch.tasks.iter().all(|(task, _)| task.attempts_charged == 0));
    // The last that is left in hand would be charged: the others were taken back.
    hold.note().starts(here[0]);
    hold.note().starts(here[1]);
    hold.note().ends(here[0]);
    die(hold);
    drop(next_hold(&mut store, place, &me, &suspect));
    assert_eq!(store.task(here[1]).unwrap().unwrap().attempt, 1);
    assert_eq!(store.task(here[0]).unwrap().unwrap().attempt, 0);
}

#[test]
fn what_a_stream_has_started_is_gone_before_its_unsettled_work_can_run_again() {
    for (streams, cleared, killed) in [(true, false, true), (false, false, false), (true, true, false)] {
        let folder = TempDir::new().unwrap();
        let mut store = open(&folder);
        let id = add(&mut store, "noop", 0);
        let (place, me, other) = (home(&mut store, id), badge(&mut store, 0), badge(&mut store, 1));
        let hold = store.hold(place, &me, 5, &nobody).unwrap().unwrap();
        let stray = stray(&me);
        hold.note().starts(id);
        if streams {
            hold.note().streams(true);
        }
        hold.note().ends(id);
        if cleared {
            hold.note().clear();
        }
        die(hold);
        drop(next_hold(&mut store, place, &other, &nobody));
        assert_eq!(is_killed(stray), killed, "{streams} {cleared}");
    }
}
