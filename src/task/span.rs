//! Spans of time as people write them: `30s`, `500ms`, `1h30m`, `30d`.
//!
//! Used by the configuration and by the command line; inside, a span is a number of milliseconds.

const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];

/// Reads a span into milliseconds. Parts may follow each other (`1h30m`); a bare `0` is allowed, any other bare number
/// is refused, because nobody agrees on its unit. Bound: 100 years.
pub fn parse_span(text: &str) -> Result<u64, String> {
    let wrong =
        |why: &str| Err(format!("`{text}` is not a span of time ({why}); write it like 500ms, 30s, 1h30m or 7d"));
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return wrong("it is empty");
    }
    let mut total_ms: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = after.split_at(letters);
        let Ok(number) = number.parse::<u64>() else { return wrong("a number is missing or too large") };
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return wrong("the unit must be ms, s, m, h, d or w");
        };
        let sum = number.checked_mul(*factor).and_then(|part| total_ms.checked_add(part));
        total_ms = match sum {
            Some(sum) if sum <= 100 * 366 * 86_400_000 => sum,
            _ => return wrong("it is longer than 100 years"),
        };
        rest = tail.trim_start();
    }
    Ok(total_ms)
}

/// Writes a span in its largest two units, rounded down: `1h30m`, `250ms`, `0s`.
pub fn span_text(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_string();
    }
    let mut left = ms;
    let mut text = String::new();
    let mut parts = 0;
    for (name, factor) in UNITS.iter().rev().filter(|(name, _)| *name != "w") {
        if left >= *factor && parts < 2 && !(*name == "ms" && parts > 0) {
            text += &format!("{}{name}", left / factor);
            left %= factor;
            parts += 1;
        } else if parts > 0 {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_as_people_write_them() {
        for (text, ms) in [("0", 0), ("500ms", 500), ("30s", 30_000), ("1h30m", 5_400_000), (" 2d 1h ", 176_400_000)] {
            assert_eq!(parse_span(text), Ok(ms), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1.5h", "1y", "99999999999999999999s", "1s2", "101w5200w", "1 s"] {
            assert!(parse_span(text).is_err(), "{text} was read as {:?}", parse_span(text));
        }
    }

    #[test]
    fn spans_are_written_in_two_units() {
        for (ms, text) in [(0, "0s"), (250, "250ms"), (1_999, "1s"), (5_400_000, "1h30m"), (90_061_000, "1d1h")] {
            assert_eq!(span_text(ms), text);
        }
    }

    proptest! {
        #[test]
        fn reading_never_fails_in_another_way_than_by_saying_so(text in "\\PC{0,20}") {
            let _ = parse_span(&text);
        }

        #[test]
        fn what_is_accepted_is_the_sum_of_its_parts(
            parts in prop::collection::vec((0u64..5_000_000, 0usize..UNITS.len()), 1..5), blank in " {0,2}",
        ) {
            let text: Vec<String> = parts.iter().map(|(n, unit)| format!("{n}{}", UNITS[*unit].0)).collect();
            let sum: u64 = parts.iter().map(|(n, unit)| n * UNITS[*unit].1).sum();
            let read = parse_span(&text.join(&blank));
            if sum <= 100 * 366 * 86_400_000 {
                prop_assert_eq!(read, Ok(sum));
                prop_assert_eq!(parse_span(&format!("{sum}ms")), Ok(sum));
            } else {
                prop_assert!(read.unwrap_err().contains("longer than 100 years"));
            }
        }

        #[test]
        fn what_looks_like_a_span_is_read_or_refused(text in "[0-9]{0,22}[smhdw 0-9]{0,12}") {
            if let Ok(ms) = parse_span(&text) {
                prop_assert!(ms <= 100 * 366 * 86_400_000);
            }
        }

        #[test]
        fn what_was_written_reads_back_as_no_more_than_it_was(ms in 0u64..3_000_000_000_000) {
            let back = parse_span(&span_text(ms)).unwrap();
            prop_assert!(back <= ms && ms - back < 86_400_000);
        }
    }
}
