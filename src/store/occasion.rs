//! What a schedule asks for at one of its due times, and how what waits is asked for. The same for whoever asks: a tick, or
//! the worker that has settled the task before it.

use super::{Schedule, Store};
use crate::clock::Millis;
use crate::error::{Kind, Result};
use crate::task::NewTask;
use chrono::{TimeZone, Utc};

impl Schedule {
    /// The task of the occurrence that is due at `due_ms`: the placeholders filled in, and begun later by the jitter where
    /// that ends after `now_ms`. The same for whoever asks.
    pub fn task(&self, due_ms: Millis, now_ms: Millis) -> NewTask {
        let begin_ms = due_ms.saturating_add(jitter(self, due_ms));
        NewTask {
            job: self.job.clone(),
            param: fill(&self.param, self, due_ms).into_bytes(),
            priority: self.priority,
            run_at_ms: Some(begin_ms).filter(|at| *at > now_ms),
            unique_key: self.unique_key.as_ref().map(|key| fill(key, self, due_ms)),
            ..NewTask::default()
        }
    }
}

/// Enqueues the earliest waiting occurrence of each schedule that has no unsettled task any more; answers schedule, due time
/// and task, or the error of one that is refused: it waits on, and keeps no other. A read when there is none.
///
/// Safe to repeat: yes, because what is enqueued is an unsettled task, and waits no more.
pub fn release_waiting(store: &mut dyn Store, now_ms: Millis) -> Result<Vec<(String, Millis, Result<i64>)>> {
    let mut begun = Vec::new();
    for (kept, due_at) in store.waiting_occurrences()? {
        let Schedule { name, .. } = &kept.schedule;
        let task = kept.schedule.task(due_at, now_ms);
        match store.fire_waiting(name, due_at, &task, now_ms) {
            Ok(None) => {}
            Err(e) if e.kind() == Kind::TryAgain => return Err(e),
            answer => begun.extend(answer.transpose().map(|id| (name.clone(), due_at, id))),
        }
    }
    Ok(begun)
}

/// From 0 up to the schedule's jitter; the same for whoever asks.
fn jitter(schedule: &Schedule, due_ms: Millis) -> Millis {
    let seed = schedule.name.bytes().chain(due_ms.to_le_bytes());
    let spread = (u128::from(hash(seed)) * (u128::from(schedule.jitter_ms) + 1)) >> 64;
    Millis::try_from(spread).unwrap_or(0)
}

/// FNV-1a, 64 bits (RFC 9923), mixed as SplitMix64 ends (Steele, Lea and Flood, 2014): alone, FNV's high bits hardly
/// differ between neighbours.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    let fnv =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Puts the occurrence's time in the place of `{due}`, `{due_ms}` and `{date}`. In doubled braces they stand for themselves:
/// `{{due}}` becomes `{due}`. All else stays as it is. What is put in needs no escape in JSON.
fn fill(text: &str, schedule: &Schedule, due_ms: Millis) -> String {
    let local = Utc.timestamp_millis_opt(due_ms).single().map(|at| at.with_timezone(&schedule.zone));
    let shown = |form: &str| local.map_or_else(|| due_ms.to_string(), |local| local.format(form).to_string());
    let words =
        [("{due}", shown("%Y-%m-%dT%H:%M:%S%:z")), ("{due_ms}", due_ms.to_string()), ("{date}", shown("%Y-%m-%d"))];
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(brace) = rest.find('{') {
        filled.push_str(&rest[..brace]);
        rest = &rest[brace..];
        let doubled = |word: &str| rest[1..].starts_with(word) && rest[1 + word.len()..].starts_with('}');
        if let Some((word, _)) = words.iter().find(|(word, _)| doubled(word)) {
            filled.push_str(word);
            rest = &rest[word.len() + 2..];
        } else if let Some((word, value)) = words.iter().find(|(word, _)| rest.starts_with(word)) {
            filled.push_str(value);
            rest = &rest[word.len()..];
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::Tz;
    use proptest::prelude::*;

    const NOON: Millis = 1_782_907_200_000;
    const MINUTE: Millis = 60_000;

    #[test]
    fn placeholders_are_the_local_time_of_the_occurrence() {
        let schedule = Schedule { zone: Tz::Europe__Berlin, ..Schedule::new("s", "@daily", "j") };
        let at = 1_893_452_400_000; // 2029-12-31 23:00 UTC
        for (text, filled) in [
            ("{due}", "2030-01-01T00:00:00+01:00"),
            ("{due_ms} {date}{date}", "1893452400000 2030-01-012030-01-01"),
            (r#"{"a":"{date}","b":{"c":"{{date}}"}}"#, r#"{"a":"2030-01-01","b":{"c":"{date}"}}"#),
            // All else is left alone.
            ("{ due} {Due} {uid} {{uid}} {due", "{ due} {Due} {uid} {{uid}} {due"),
            ("{{due}", "{2030-01-01T00:00:00+01:00"),
            ("{{{date}}}", "{{date}}"),
            ("ü{date}ü", "ü2030-01-01ü"),
            ("", ""),
        ] {
            assert_eq!(fill(text, &schedule, at), filled, "{text}");
        }
    }

    #[test]
    fn jitter_is_the_same_for_whoever_asks_and_spreads() {
        let schedule = Schedule { jitter_ms: 30_000, ..Schedule::new("s", "* * * * *", "j") };
        let begins: Vec<Millis> = (0..200).map(|n| jitter(&schedule, NOON + n * MINUTE)).collect();
        assert!(begins.iter().all(|ms| (0..=30_000).contains(ms)), "{begins:?}");
        assert!(begins.iter().any(|ms| *ms < 5_000) && begins.iter().any(|ms| *ms > 25_000), "{begins:?}");
        let another = Schedule { name: "t".to_string(), ..schedule.clone() };
        assert!((0..200).any(|n| jitter(&another, NOON + n * MINUTE) != begins[n as usize]));
        let late = schedule.task(NOON, NOON + 31_000);
        assert_eq!((late.run_at_ms, schedule.task(NOON, NOON - 1).run_at_ms), (None, Some(NOON + begins[0])));
        assert_eq!(jitter(&Schedule { jitter_ms: 0, ..schedule }, NOON), 0);
    }

    proptest! {
        #[test]
        fn texts_without_placeholders_stay_as_they_are(text in "[^{]*") {
            prop_assert_eq!(fill(&text, &Schedule::new("s", "@daily", "j"), NOON), text);
        }
    }
}
