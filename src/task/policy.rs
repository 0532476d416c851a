//! The policy of a job: how often it is run, how soon again, how long.
//!
//! Backoff grows by a factor from `first_ms` up to `max_ms`, then is spread by jitter so that tasks that failed
//! together do not come back together ("equal jitter": half fixed, half random; Brooker, "Exponential Backoff And
//! Jitter", 2015). The random half is a hash of task and attempt, so that a run can be replayed.

/// How often a task may be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Until it has succeeded or its attempts are used up. After the death of its worker it runs again.
    #[default]
    AtLeastOnce,
    /// Once. That it begins is committed before it does, with full durability; once begun, whatever keeps it from being
    /// done ends it as dead, for a person to decide.
    AtMostOnce,
}

impl Delivery {
    /// The word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Delivery::AtLeastOnce => "at_least_once",
            Delivery::AtMostOnce => "at_most_once",
        }
    }

    /// The delivery with this word, if there is one.
    pub fn from_word(word: &str) -> Option<Delivery> {
        [Delivery::AtLeastOnce, Delivery::AtMostOnce].into_iter().find(|delivery| delivery.word() == word)
    }
}

/// What a job's failures cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// How often a task may be run.
    pub delivery: Delivery,
    /// Attempts until a task is dead: 1 to 1000. A row may override it.
    pub max_attempts: u32,
    /// The pause after a failed attempt.
    pub backoff: Backoff,
    /// How long one attempt may run, in milliseconds; `None` means as long as it likes.
    pub timeout_ms: Option<u64>,
    /// How long an executable has between TERM and KILL, and a Rust job to yield after its timeout before its worker ends
    /// itself, in milliseconds.
    pub grace_ms: u64,
    /// How long the effects of one task may take in its settlement, in milliseconds: all others wait meanwhile.
    pub effects_ms: u64,
}

/// Pauses that grow from failure to failure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The pause after the first failure, in milliseconds.
    pub first_ms: u64,
    /// What each further failure multiplies it by: 1.0 or more.
    pub factor: f64,
    /// The longest pause, in milliseconds.
    pub max_ms: u64,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first_ms: 10_000, factor: 2.0, max_ms: 3_600_000 }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            delivery: Delivery::default(),
            max_attempts: 5,
            backoff: Backoff::default(),
            timeout_ms: None,
            grace_ms: 5_000,
            effects_ms: 250,
        }
    }
}

impl Backoff {
    /// The pause after failure number `attempt` (1, 2, …) of task `id`, in milliseconds: between half of
    /// `min(max_ms, first_ms * factor^(attempt - 1))` and all of it.
    pub fn pause_ms(&self, id: i64, attempt: u32) -> u64 {
        let exponent = f64::from(attempt.saturating_sub(1).min(1_000));
        let grown = self.first_ms as f64 * self.factor.max(1.0).powf(exponent);
        let capped = if grown.is_finite() { grown.min(self.max_ms as f64) } else { self.max_ms as f64 };
        let half = (capped / 2.0) as u64;
        let whole = capped as u64;
        half + mix(id as u64 ^ u64::from(attempt).rotate_left(32)) % (whole - half + 1)
    }
}

/// Spreads neighbouring numbers over all of `u64` (the finalizer of SplitMix64; Steele, Lea and Flood, 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pauses_stay_between_half_and_all_of_the_capped_growth(
            id in any::<i64>(), attempt in 1u32..2_000, first_ms in 0u64..100_000, factor in 0.1f64..10.0,
            max_ms in 0u64..10_000_000,
        ) {
            let pause = Backoff { first_ms, factor, max_ms }.pause_ms(id, attempt);
            let grown = (first_ms as f64 * factor.max(1.0).powf(f64::from(attempt - 1).min(1_000.0))).min(max_ms as f64);
            prop_assert!(pause as f64 <= grown && pause as f64 >= (grown / 2.0).floor(), "{pause} of {grown}");
        }
    }

    #[test]
    fn pauses_double_and_are_capped() {
        let backoff = Backoff { first_ms: 1_000, factor: 2.0, max_ms: 5_000 };
        let longest = |attempt| (0..1_000).map(|id| backoff.pause_ms(id, attempt)).max().unwrap();
        assert!((950..=1_000).contains(&longest(1)), "{}", longest(1));
        assert!((1_900..=2_000).contains(&longest(2)), "{}", longest(2));
        assert!((4_750..=5_000).contains(&longest(30)), "{}", longest(30));
    }

    #[test]
    fn tasks_that_failed_together_do_not_come_back_together() {
        let backoff = Backoff { first_ms: 10_000, factor: 2.0, max_ms: 60_000 };
        let pauses: std::collections::BTreeSet<u64> = (1..=100).map(|id| backoff.pause_ms(id, 1)).collect();
        assert!(pauses.len() > 90, "only {} different pauses", pauses.len());
    }
}
