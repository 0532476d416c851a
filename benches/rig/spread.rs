//! A few numbers that stand for many: the least, the middle, the 99th percentile, the greatest.
//!
//! Medians are the mean of the two middle values where their number is even; the percentile is the nearest rank.

use serde_json::{Value, json};

/// Of at least one value; of none, all are zero.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return Spread::default() };
        let rank = (sorted.len() as f64 * 0.99).ceil() as usize;
        Spread {
            min: sorted[0],
            median: f64::midpoint(sorted[last / 2], sorted[sorted.len() / 2]),
            p99: sorted[rank.clamp(1, sorted.len()) - 1],
            max: sorted[last],
        }
    }

    pub(crate) fn to_json(self) -> Value {
        json!({ "min": self.min, "median": self.median, "p99": self.p99, "max": self.max })
    }
}
