//! Sizes as people write them: `256MB`, `64KB`, `1GB`.
//!
//! Units are powers of 1024, as in `ulimit` and for pages of memory; `KiB`, `MiB` and `GiB` say the same. Used by the
//! configuration; inside, a size is a number of bytes.

const UNITS: [(&str, u64); 7] =
    [("B", 1), ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// The largest size that is read: 1024 GB.
const LARGEST: u64 = 1 << 40;

/// Reads a size into bytes: a whole number and a unit. A bare `0` is allowed, any other bare number is refused, because
/// nobody agrees on its unit. Bound: 1024 GB.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = |why: &str| Err(format!("`{text}` is not a size ({why}); write it like 64KB, 256MB or 1GB"));
    let text = text.trim();
    if text == "0" {
        return Ok(0);
    }
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let Ok(number) = number.parse::<u64>() else { return wrong("a number is missing or too large") };
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit.trim_start()) else {
        return wrong("the unit must be B, KB, MB or GB");
    };
    match number.checked_mul(*factor) {
        Some(size) if size <= LARGEST => Ok(size),
        _ => wrong("it is larger than 1024GB"),
    }
}

/// Writes a size in the largest unit in which it is a whole number: `256MB`, `1536KB`, `5B`.
pub fn size_text(bytes: u64) -> String {
    let unit = UNITS[..4].iter().rev().find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor));
    let (name, factor) = unit.unwrap_or(&UNITS[0]);
    format!("{}{name}", bytes / factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [("0", 0), ("5B", 5), ("64KB", 65_536), (" 256 MB", 268_435_456), ("1GiB", 1 << 30)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_size("1024GB"), Ok(LARGEST));
        for text in ["", "5", "MB", "-1MB", "1.5GB", "1TB", "1mb", "1M", "99999999999999999999B", "1025GB", "1MB2"] {
            assert!(parse_size(text).is_err(), "{text} was read as {:?}", parse_size(text));
        }
    }

    #[test]
    fn sizes_are_written_in_whole_units() {
        for (bytes, text) in [(0, "0B"), (1_023, "1023B"), (1_536, "1536B"), (65_536, "64KB"), (1 << 30, "1GB")] {
            assert_eq!(size_text(bytes), text);
        }
    }

    proptest! {
        #[test]
        fn reading_never_fails_in_another_way_than_by_saying_so(text in "\\PC{0,20}") {
            let _ = parse_size(&text);
        }

        #[test]
        fn what_is_accepted_is_its_number_of_units(n in 0u64..2_000_000_000_000, unit in 0usize..UNITS.len(), blank in " {0,2}") {
            let (name, factor) = UNITS[unit];
            match parse_size(&format!("{n}{blank}{name}")) {
                Ok(bytes) => {
                    prop_assert!(bytes <= LARGEST);
                    prop_assert_eq!(Some(bytes), n.checked_mul(factor));
                    prop_assert_eq!(parse_size(&size_text(bytes)), Ok(bytes));
                }
                Err(e) => prop_assert!(n.checked_mul(factor).is_none_or(|bytes| bytes > LARGEST), "{e}"),
            }
        }

        #[test]
        fn what_was_written_reads_back(bytes in 0u64..=LARGEST) {
            prop_assert_eq!(parse_size(&size_text(bytes)), Ok(bytes));
        }
    }
}
