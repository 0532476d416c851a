//! When schedules are due: read, or refused with a place within the text; what is read says the same when it is read again,
//! and falls due later than asked, again and again, also where clocks jump.

#![no_main]

use chrono_tz::Tz;
use libfuzzer_sys::fuzz_target;
use rowmill::cron::Timing;

fuzz_target!(|input: (&str, u32, u16)| {
    let (text, minutes, zone) = input;
    let zone: Tz = chrono_tz::TZ_VARIANTS[usize::from(zone) % chrono_tz::TZ_VARIANTS.len()];
    let start_ms = i64::from(minutes) * 60_000;
    match Timing::parse(text, start_ms, zone) {
        Err(e) => assert!(e.at().is_none_or(|at| at <= text.len() && text.is_char_boundary(at)), "{e}"),
        Ok(timing) => {
            assert_eq!(Timing::parse(&timing.to_string(), start_ms, zone).as_ref(), Ok(&timing));
            assert!(!timing.describe().is_empty());
            let mut at_ms = start_ms;
            for _ in 0..3 {
                let Some(next_ms) = timing.next_after(at_ms, zone) else { break };
                assert!(next_ms > at_ms, "{text} {zone}");
                assert_eq!(timing.latest_due(at_ms, next_ms, zone), Some(next_ms), "{text} {zone} {at_ms}");
                at_ms = next_ms;
            }
        }
    }
});
