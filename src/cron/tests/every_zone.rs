//! Every zone of chrono-tz, through each change of its clock from 1970 to 2040.
//!
//! The oracle asks chrono-tz one thing only, how far local time is ahead of UTC at an instant; the code under test asks it
//! for the instants of local times, too, and rests on its answers.

use super::oracle::Plain;
use super::text_of;
use crate::cron::{Cron, zone};
use chrono::{DateTime, NaiveDateTime, Timelike};
use chrono_tz::Tz;
use std::collections::BTreeSet;

const FROM_S: i64 = 0;
const TO_S: i64 = 2_208_988_800;

/// Changes that lie closer together than this are seen as one, or not at all; there are hardly any.
const STEP_S: i64 = 5 * 86_400;

fn ahead_s(at_s: i64, zone: Tz) -> i64 {
    zone::local(at_s, zone).unwrap().and_utc().timestamp() - at_s
}

/// The changes of a zone's clock: the instant, and how far local time is ahead before and after.
fn changes(zone: Tz) -> Vec<(i64, i64, i64)> {
    let mut found = Vec::new();
    let mut before_s = ahead_s(FROM_S, zone);
    for start_s in (FROM_S..TO_S).step_by(STEP_S as usize) {
        let after_s = ahead_s(start_s + STEP_S, zone);
        if after_s != before_s {
            let change_s = zone::first(start_s, start_s + STEP_S, |at_s| ahead_s(at_s, zone) != before_s);
            found.push((change_s, before_s, after_s));
        }
        before_s = after_s;
    }
    found
}

/// Expressions that are due close to a change: the local times just before, within and just after what it leaves out or
/// repeats, as times of day, with all hours, and with steps.
fn near(local: NaiveDateTime, after: NaiveDateTime) -> Vec<Plain> {
    let middle = local + (after - local) / 2;
    let hours: BTreeSet<u32> = [local, middle, after].iter().map(Timelike::hour).collect();
    let minutes: BTreeSet<u32> = [local, middle].iter().map(Timelike::minute).collect();
    let plain = |minutes: &BTreeSet<u32>, hours: BTreeSet<u32>, follows_the_clock| Plain {
        minutes: minutes.clone(),
        hours,
        weekdays: (0..7).collect(),
        follows_the_clock,
    };
    let sevens: BTreeSet<u32> = (0..60).step_by(7).collect();
    vec![plain(&minutes, hours.clone(), false), plain(&minutes, (0..24).collect(), true), plain(&sevens, hours, true)]
}

#[test]
fn nothing_is_skipped_or_repeated_over_any_change_of_any_zone() {
    let (mut kinds, mut count) = (BTreeSet::new(), 0);
    for zone in chrono_tz::TZ_VARIANTS {
        for (change_s, before_s, after_s) in changes(zone) {
            // The oracle looks at whole minutes. Only Liberia has kept others since 1970, until 1972.
            if before_s % 60 != 0 || after_s % 60 != 0 {
                assert_eq!(zone.name(), "Africa/Monrovia");
                continue;
            }
            // What happens at the same local time by the same span is the same in nearly every zone and year.
            let kind = ((change_s + before_s).rem_euclid(86_400), after_s - before_s);
            count += 1;
            if kinds.insert(kind) || count % 200 == 0 {
                let local = |ahead_s: i64| DateTime::from_timestamp(change_s + ahead_s, 0).unwrap().naive_utc();
                for plain in near(local(before_s), local(after_s)) {
                    check(&plain, zone, change_s);
                }
            }
        }
    }
    assert!(count > 15_000 && kinds.len() > 50, "{count} changes, {} kinds", kinds.len());
}

fn check(plain: &Plain, zone: Tz, change_s: i64) {
    const AROUND_S: i64 = 5 * 3_600;
    let (from, until) = ((change_s - AROUND_S) * 1_000, (change_s + AROUND_S) * 1_000);
    let text = plain.text();
    let cron = Cron::parse(&text).unwrap();
    let found: Vec<i64> = cron.due(from, until, zone).collect();
    let expected = plain.due(from, until, zone, 0);
    let texts = |list: &[i64]| list.iter().map(|ms| text_of(*ms)).collect::<Vec<_>>();
    assert_eq!(texts(&found), texts(&expected), "{text} in {zone} around {}", text_of(change_s * 1_000));
    for pair in found.windows(2) {
        assert_eq!(
            cron.latest_due(from, pair[1] - 1, zone),
            Some(pair[0]),
            "{text} in {zone} before {}",
            text_of(pair[1])
        );
        assert_eq!(cron.next_after(pair[1] - 1, zone), Some(pair[1]), "{text} in {zone}");
    }
}
