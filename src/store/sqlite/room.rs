//! Room for applications: when our writers, who hold the database one after the other, leave it free for a while.
//!
//! Applications know only SQLite's own lock, and poll for it: after 1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50 ms, and then each
//! 100 ms. Nobody can see that one waits. So while our writers follow each other without a gap, time is kept free in two
//! ways. Now and then for longer than the longest pause of that polling: whoever waits is sure to look in it, well within
//! five seconds. And once one was seen to write, often and briefly: one of its first looks finds the database free.

use super::mapped::WORDS;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Once an application was seen: so much writing of ours, in microseconds, ...
const WORK_US: i64 = 12_000;
/// ... and then so much room. Of what was measured (`benches/room.rs`), this made most inserts wait least for what it costs.
const SHORT_US: i64 = 8_000;
/// For how long an application is taken to be near after it was last seen.
const NEAR_US: i64 = 60_000_000;
/// Room each time that so much has passed without any as long as this, ...
const LONG_EVERY_US: i64 = 3_000_000;
/// ... and so long: the longest pause of SQLite's polling, and some time to write.
const LONG_US: i64 = 115_000;
/// Rows that an application wrote show that it is near if we have written so recently. A backlog that was inserted before
/// anybody worked shows nothing.
const RECENT_US: i64 = 1_000_000;

/// What all our writers know of the room that was left, in words that they share. Only who has the turn changes them.
/// They outlive a boot, whose clock they have: what lies ahead of `now` counts for nothing then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room<'a> {
    /// Until when an application is taken to be near.
    near_until: &'a AtomicI64,
    /// How long our turns have lasted since room was last left.
    worked: &'a AtomicI64,
    /// When our last turn ended.
    ended: &'a AtomicI64,
    /// When the database was last left free for long.
    long: &'a AtomicI64,
    /// The highest id that any row of the queue was ever given, as our last transaction left it.
    newest: &'a AtomicI64,
}

impl<'a> Room<'a> {
    /// The words of the gate's file; the second of them is not for this.
    pub(super) fn of([near_until, _, worked, ended, long, newest, ..]: &'a [AtomicI64; WORDS]) -> Room<'a> {
        Room { near_until, worked, ended, long, newest }
    }

    /// How long whoever has the turn, at `now` microseconds, is to leave the database free before it begins.
    pub(super) fn due(&self, now: i64) -> Duration {
        let free = since(self.ended, now);
        if free >= SHORT_US {
            set(self.worked, 0);
        }
        // One that is near looks often at first.
        if free >= if self.is_near(now) { SHORT_US } else { LONG_US } {
            set(self.long, now);
        }
        // Also while one is near: where our turns are long, the brief pauses are a small part of the time.
        if since(self.long, now) >= LONG_EVERY_US {
            set(self.long, now);
            return self.leave(LONG_US);
        }
        match self.is_near(now) && get(self.worked) >= WORK_US {
            true => self.leave(SHORT_US),
            false => Duration::ZERO,
        }
    }

    fn leave(&self, room_us: i64) -> Duration {
        set(self.worked, 0);
        Duration::from_micros(room_us.unsigned_abs())
    }

    /// Whether an application is taken to be near.
    pub(super) fn is_near(&self, now: i64) -> bool {
        (1..=NEAR_US).contains(&(get(self.near_until) - now))
    }

    /// An application was seen to write.
    pub(super) fn meet(&self, now: i64) {
        set(self.near_until, now + NEAR_US);
    }

    /// Tells the highest id as a transaction of ours finds it: if it is not as the last one left it, an application has
    /// inserted.
    pub(super) fn find(&self, newest: i64, now: i64) {
        if newest != get(self.newest) && since(self.ended, now) < RECENT_US {
            self.meet(now);
        }
    }

    /// Tells the highest id as a transaction of ours leaves it.
    pub(super) fn keep(&self, newest: i64) {
        set(self.newest, newest);
    }

    /// A turn that began at `began`, after its room, is over.
    pub(super) fn over(&self, began: i64, now: i64) {
        set(self.worked, get(self.worked).saturating_add(now - began));
        set(self.ended, now);
    }
}

fn get(word: &AtomicI64) -> i64 {
    word.load(Ordering::Acquire)
}

fn set(word: &AtomicI64, value: i64) {
    word.store(value, Ordering::Release);
}

/// How long ago it was; endlessly long, if it was in another boot.
fn since(word: &AtomicI64, now: i64) -> i64 {
    match now - get(word) {
        passed @ 0.. => passed,
        _ => i64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// SQLite's pauses between two looks at the lock, in microseconds; the last one again and again.
    const PAUSES: [i64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];

    /// Our writers from `begin` on, without a gap of their own, each turn as long as the next of `turns`, until `end`:
    /// when the database was free.
    fn room_left(shared: &[AtomicI64; WORDS], turns: &[i64], begin: i64, end: i64) -> Vec<(i64, i64)> {
        let room = Room::of(shared);
        let (mut now, mut left) = (begin, Vec::new());
        for turn in turns.iter().cycle() {
            let pause = i64::try_from(room.due(now).as_micros()).unwrap();
            if pause > 0 {
                left.push((now, now + pause));
            }
            room.over(now + pause, now + pause + turn);
            now += pause + turn;
            if now > end {
                break;
            }
        }
        left
    }

    /// How long an application waits that begins to look at `begin`, and needs the database free for `need`.
    fn wait(left: &[(i64, i64)], begin: i64, need: i64) -> i64 {
        let mut now = begin;
        for n in 0.. {
            let began = left.partition_point(|(from, _)| *from <= now);
            if began > 0 && now + need <= left[began - 1].1 {
                break;
            }
            now += PAUSES[n.min(11)] * 1_000;
        }
        now - begin
    }

    fn shared() -> [AtomicI64; WORDS] {
        std::array::from_fn(|_| AtomicI64::new(0))
    }

    proptest! {
        /// Whoever meets writers without a gap gets through in time, whenever he comes, seen before or not, however long
        /// their turns are.
        #[test]
        fn whoever_comes_waits_for_less_than_four_seconds(
            turns in prop::collection::vec(300_i64..300_000, 1..9),
            come in 0_i64..8_000_000,
            need in 0_i64..10_000,
            seen in any::<bool>(),
        ) {
            let (boot, shared) = (50_000_000, shared());
            if seen {
                Room::of(&shared).meet(boot);
            }
            let left = room_left(&shared, &turns, boot, boot + 20_000_000);
            let waited = wait(&left, boot + come, need);
            prop_assert!(waited < 4_000_000, "{waited} us with {turns:?}");
        }
    }

    /// Once seen, he is hardly ever left to the looks that are far apart. (Turns that are all alike could keep time with the
    /// looks; those of ten processes do not.)
    #[test]
    fn who_was_seen_gets_through_with_one_of_the_first_looks() {
        for turns in [&[4_000, 700, 5_500, 2_300, 900][..], &[1_500, 350, 2_600], &[6_100, 5_200, 4_900, 300]] {
            let (boot, shared) = (50_000_000, shared());
            Room::of(&shared).meet(boot);
            let left = room_left(&shared, turns, boot, boot + 20_000_000);
            // Spread by the golden ratio.
            let late = (0..200).filter(|n| wait(&left, boot + n * 11_124_612 % 18_000_000, 1_000) > 110_000).count();
            assert!(late <= 30, "{late} of 200 wait long with {turns:?}");
            let free: i64 = left.iter().map(|(from, to)| to - from).sum();
            assert!(free < 8_200_000, "our writers keep three fifths of the time: {free} us were free");
        }
    }

    #[test]
    fn where_the_database_was_free_by_itself_nothing_is_left() {
        let shared = shared();
        let room = Room::of(&shared);
        room.meet(0);
        let mut now = 0;
        for _ in 0..1_000 {
            assert_eq!(room.due(now), Duration::ZERO, "at {now}");
            room.over(now, now + 5_000);
            now += 5_000 + SHORT_US;
        }
    }

    #[test]
    fn an_insert_between_two_transactions_is_seen_and_a_backlog_is_not() {
        let shared = shared();
        let (room, now) = (Room::of(&shared), 90_000_000);
        room.find(1_000_000, now);
        assert!(!room.is_near(now), "rows that were there before anybody worked");
        room.keep(1_000_000);
        room.over(now, now + 4_000);
        room.find(1_000_000, now + 5_000);
        assert!(!room.is_near(now + 5_000), "nothing was inserted, or by ourselves");
        room.find(1_000_001, now + 5_000);
        assert!(room.is_near(now + 5_000) && room.is_near(now + NEAR_US) && !room.is_near(now + NEAR_US + 5_000));
    }

    #[test]
    fn what_another_boot_left_counts_for_nothing() {
        let shared = shared();
        let room = Room::of(&shared);
        room.meet(900_000_000_000);
        room.over(900_000_000_000, 900_000_100_000);
        assert!(!room.is_near(5_000_000));
        assert_eq!(room.due(5_000_000), Duration::ZERO);
        room.find(7, 5_000_000);
        assert!(!room.is_near(5_000_000));
    }
}
