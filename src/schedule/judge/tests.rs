//! What each policy makes of the same due times.

use super::*;
use crate::store::Order;
use chrono_tz::Tz;
use proptest::prelude::*;

/// Noon of the first of January 2030, UTC.
const NOON: Millis = 1_893_499_200_000;
const MINUTE: Millis = 60_000;

/// A schedule that is due each minute, and not seen to from noon on.
fn minutely(catch_up: CatchUp) -> Kept {
    Kept {
        schedule: Schedule { catch_up, ..Schedule::new("m", "* * * * *", "job") },
        made_at: 0,
        next_at: Some(NOON),
        seen_at: NOON - 1,
        idle: None,
        paused: None::<Order>,
        last: None,
        missed: None,
    }
}

fn judged(kept: &Kept, known: &[Millis], now_ms: Millis) -> Judged {
    let timing = Timing::parse(&kept.schedule.timing, kept.made_at, kept.schedule.zone).unwrap();
    judge(kept, &timing, known, now_ms)
}

/// First and last minute, how many, whether skipped.
type Run = (Millis, Millis, u32, bool);

/// The minutes after noon that are enqueued, then the runs that are not: first, last, count, whether skipped.
fn minutes(judged: &Judged) -> (Vec<Millis>, Vec<Run>) {
    let minute = |at: Millis| (at - NOON) / MINUTE;
    let runs = judged.passed.iter().map(|p| (minute(p.first_ms), minute(p.last_ms), p.count, p.skipped));
    (judged.due.iter().map(|at| minute(*at)).collect(), runs.collect())
}

#[test]
fn each_policy_takes_what_it_says() {
    // Five minutes and a second after noon six are due.
    let now = NOON + 5 * MINUTE + 1_000;
    for (catch_up, due, passed) in [
        (CatchUp::Once, vec![5], vec![(0, 4, 5, false)]),
        (CatchUp::Skip, vec![4, 5], vec![(0, 3, 4, false)]),
        (CatchUp::All, vec![0, 1, 2, 3, 4, 5], vec![]),
        (CatchUp::Window(180_000), vec![3, 4, 5], vec![(0, 2, 3, false)]),
        (CatchUp::Window(181_000), vec![2, 3, 4, 5], vec![(0, 1, 2, false)]),
    ] {
        let judged = judged(&minutely(catch_up), &[], now);
        assert_eq!(minutes(&judged), (due, passed), "{catch_up}");
        assert_eq!(judged.next_at, Some(NOON + 6 * MINUTE));
    }
}

#[test]
fn a_year_is_bounded() {
    let year = NOON + 365 * 1_440 * MINUTE;
    let all = judged(&minutely(CatchUp::All), &[], year);
    assert_eq!((all.due.len(), all.due.last()), (MOST_AT_ONCE, Some(&year)));
    let [run] = &all.passed[..] else { panic!("{:?}", all.passed) };
    assert_eq!((run.first_ms, run.last_ms, run.count), (NOON, all.due[0] - MINUTE, MOST_COUNTED));
    assert_eq!(judged(&minutely(CatchUp::Skip), &[], year).due.len(), 3);
}

#[test]
fn what_came_due_in_a_pause_says_so() {
    let mut kept = minutely(CatchUp::Once);
    kept.idle = Some((NOON + 2 * MINUTE, "it was paused by a@b".to_string()));
    let judged = judged(&kept, &[], NOON + 5 * MINUTE);
    assert_eq!(minutes(&judged), (vec![5], vec![(0, 2, 3, true), (3, 4, 2, false)]));
    assert_eq!(judged.passed[0].reason, "it was paused by a@b");
}

#[test]
fn what_was_enqueued_before_stays_out() {
    let known = [NOON + 2 * MINUTE, NOON + 5 * MINUTE];
    let now = NOON + 5 * MINUTE;
    let once = judged(&minutely(CatchUp::Once), &known, now);
    assert_eq!(minutes(&once), (vec![], vec![(0, 1, 2, false), (3, 4, 2, false)]), "the latest has run");
    let all = judged(&minutely(CatchUp::All), &known, now);
    assert_eq!(minutes(&all), (vec![0, 1, 3, 4], vec![]));
}

#[test]
fn nothing_is_due_after_the_end() {
    let mut kept = minutely(CatchUp::All);
    kept.schedule.until_ms = Some(NOON + 2 * MINUTE);
    let judged = judged(&kept, &[], NOON + 5 * MINUTE);
    assert_eq!((minutes(&judged), judged.next_at), ((vec![0, 1, 2], vec![]), None));
    kept.schedule.until_ms = Some(NOON - 1);
    let timing = Timing::parse("* * * * *", 0, Tz::UTC).unwrap();
    assert_eq!(first(&kept.schedule, &timing, NOON - MINUTE), None);
}

proptest! {
    #[test]
    fn every_due_time_is_judged_once(
        minutes in 0i64..400, late_ms in 0i64..MINUTE, policy in 0usize..4, window_ms in 1u64..30_000_000,
        idle in proptest::option::of(0i64..400), picks in proptest::collection::btree_set(0i64..400, 0..6),
    ) {
        let catch_up = [CatchUp::Skip, CatchUp::Once, CatchUp::All, CatchUp::Window(window_ms)][policy];
        let mut kept = minutely(catch_up);
        kept.idle = idle.map(|minute| (NOON + minute * MINUTE, "idle".to_string()));
        let now = NOON + minutes * MINUTE + late_ms;
        let known: Vec<Millis> = picks.into_iter().map(|n| NOON + n * MINUTE).filter(|at| *at <= now).collect();
        let judged = judged(&kept, &known, now);
        let mut seen: Vec<Millis> = judged.due.iter().chain(&known).copied().collect();
        for run in &judged.passed {
            let of_run: Vec<Millis> = (0..).map(|n| run.first_ms + n * MINUTE).take_while(|at| *at <= run.last_ms).collect();
            prop_assert_eq!(of_run.len(), run.count as usize);
            seen.extend(of_run);
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..=minutes).map(|n| NOON + n * MINUTE).collect::<Vec<_>>());
    }
}
