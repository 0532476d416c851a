//! How many workers the machine bears: fewer while its load average or its pressure is above a limit.
//!
//! [`decide`] is pure. Above a limit, a quarter of the workers leave (one at least) at each decision; below four fifths of
//! every limit a quarter comes back; between the two all stays as it is, and nothing changes within 45 s of the last
//! change, since what is measured is the mean of a minute. So it does not flap. Worker 0 is always let alone.

use crate::clock::Millis;
use crate::store::Curb;

/// Below this part of its limit, a measure is no reason any more.
const CALM: f64 = 0.8;
/// The least time between two changes, in milliseconds.
const PACE_MS: Millis = 45_000;

/// What the configuration bears; `None` for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Of the load average of a minute.
    pub load: Option<f64>,
    /// Of the share of a minute in which something waited for processor, memory or disk, in percent.
    pub pressure: Option<f64>,
}

impl Limits {
    /// Whether there is one.
    pub fn any(&self) -> bool {
        self.load.is_some() || self.pressure.is_some()
    }
}

/// What the machine shows; what cannot be read is not there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Measured {
    /// The load average of the last minute.
    pub load: Option<f64>,
    /// What of `cpu`, `memory` and `io` something waited for, and in how much of the last minute, in percent.
    pub pressure: Vec<(&'static str, f64)>,
}

/// Reads the load average and the pressure.
pub fn measure() -> Measured {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let pressure = |name| some_of(&read(&format!("/proc/pressure/{name}"))).map(|percent| (name, percent));
    Measured {
        load: load_of(&read("/proc/loadavg")),
        pressure: ["cpu", "memory", "io"].into_iter().filter_map(pressure).collect(),
    }
}

fn load_of(text: &str) -> Option<f64> {
    text.split(' ').next()?.parse().ok()
}

fn some_of(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split(' ').find_map(|word| word.strip_prefix("avg60="))?.parse().ok()
}

/// How near the worst measure is to its limit (1 at the limit), and that in words.
fn worst(limits: &Limits, measured: &Measured) -> Option<(f64, String)> {
    let load = limits.load.zip(measured.load).map(|(limit, load)| {
        let words = format!("load {load:.1} of {limit:.1}");
        (load / limit, words)
    });
    let pressure = limits.pressure.into_iter().flat_map(|limit| {
        let of = move |(name, percent): &(&str, f64)| {
            (percent / limit, format!("{name} pressure {percent:.0}% of {limit:.0}%"))
        };
        measured.pressure.iter().map(of)
    });
    load.into_iter().chain(pressure).max_by(|a, b| a.0.total_cmp(&b.0))
}

/// The worst measure in words, with its limit: what [`decide`] goes by.
pub fn words(limits: &Limits, measured: &Measured) -> Option<String> {
    worst(limits, measured).map(|(_, words)| words)
}

/// How many of `wanted` workers are to be there: `None` for all of them. `alive` are there, `before` is what was decided
/// last. Who is not curbed yet is curbed from those that are alive, so that a machine under load is not first given all.
pub fn decide(
    limits: &Limits,
    measured: &Measured,
    wanted: u32,
    alive: u32,
    before: Option<&Curb>,
    now_ms: Millis,
) -> Option<Curb> {
    let before = before.filter(|curb| curb.workers < wanted);
    let (near, why) = worst(limits, measured)?;
    let now = before.map_or(alive.min(wanted), |curb| curb.workers);
    let step = now.div_ceil(4).max(1);
    if before.is_some_and(|curb| (0..PACE_MS).contains(&(now_ms - curb.since))) {
        return before.cloned();
    }
    let workers = match near {
        near if near > 1.0 => now.saturating_sub(step).max(1),
        near if near < CALM => before.map_or(wanted, |_| now.saturating_add(step)),
        _ => return before.cloned(),
    };
    if before.is_some_and(|curb| curb.workers == workers) {
        return before.cloned();
    }
    (workers < wanted).then_some(Curb { workers, since: now_ms, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { load: Some(8.0), pressure: Some(50.0) };

    fn loaded(load: f64) -> Measured {
        Measured { load: Some(load), pressure: vec![("cpu", 1.0), ("memory", 0.0), ("io", 2.0)] }
    }

    fn curb(workers: u32, since: Millis) -> Curb {
        Curb { workers, since, why: "load 9.0 of 8.0".to_string() }
    }

    /// What is decided of ten workers.
    fn of_ten(measured: &Measured, alive: u32, before: Option<&Curb>, now_ms: Millis) -> Option<u32> {
        decide(&LIMITS, measured, 10, alive, before, now_ms).map(|curb| curb.workers)
    }

    #[test]
    fn without_a_limit_or_a_measure_nobody_is_curbed() {
        assert_eq!(decide(&Limits::default(), &loaded(99.0), 10, 10, Some(&curb(3, 0)), 90_000), None);
        assert_eq!(of_ten(&Measured::default(), 10, Some(&curb(3, 0)), 90_000), None);
        assert_eq!(of_ten(&loaded(1.0), 0, None, 0), None, "all of them may start at once");
        assert_eq!(of_ten(&loaded(7.9), 10, None, 0), None);
    }

    #[test]
    fn above_a_limit_a_quarter_leaves_and_one_always_stays() {
        let (mut workers, mut last) = (vec![], None);
        for minute in 1..10 {
            last = decide(&LIMITS, &loaded(9.0), 10, 10, last.as_ref(), minute * 60_000);
            workers.push(last.as_ref().unwrap().workers);
        }
        assert_eq!(workers, [7, 5, 3, 2, 1, 1, 1, 1, 1]);
        assert_eq!(last.unwrap().since, 5 * 60_000, "since when it is so");
        assert_eq!(of_ten(&loaded(9.0), 0, None, 0), Some(1), "a machine under load is not given all first");
        assert_eq!(decide(&LIMITS, &loaded(9.0), 1, 1, None, 0), None, "one is all there are");
    }

    #[test]
    fn they_come_back_by_quarters_when_it_is_calm() {
        let (mut workers, mut last) = (vec![], Some(curb(1, 0)));
        for minute in 1..7 {
            last = decide(&LIMITS, &loaded(1.0), 10, 1, last.as_ref(), minute * 60_000);
            workers.push(last.as_ref().map(|curb| curb.workers));
        }
        assert_eq!(workers, [Some(2), Some(3), Some(4), Some(5), Some(7), Some(9)]);
        assert_eq!(of_ten(&loaded(1.0), 9, last.as_ref(), 600_000), None);
    }

    #[test]
    fn between_the_bounds_and_within_a_pace_nothing_changes() {
        for load in [6.5, 7.0, 8.0] {
            assert_eq!(of_ten(&loaded(load), 4, Some(&curb(4, 0)), 90_000), Some(4), "{load}");
        }
        for load in [0.1, 90.0] {
            assert_eq!(of_ten(&loaded(load), 4, Some(&curb(4, 1_000)), 45_999), Some(4), "{load}");
            assert_ne!(of_ten(&loaded(load), 4, Some(&curb(4, 1_000)), 46_000), Some(4), "{load}");
        }
        assert_eq!(of_ten(&loaded(90.0), 4, Some(&curb(4, 500_000)), 1_000), Some(3), "the clock was set back");
    }

    #[test]
    fn the_worst_of_all_measures_decides_and_is_named() {
        let io = Measured { load: Some(1.0), pressure: vec![("cpu", 20.0), ("memory", 3.0), ("io", 61.4)] };
        let decided = decide(&LIMITS, &io, 4, 4, None, 5).unwrap();
        assert_eq!(decided, Curb { workers: 3, since: 5, why: "io pressure 61% of 50%".to_string() });
        let only_load = Limits { pressure: None, ..LIMITS };
        assert_eq!(decide(&only_load, &io, 4, 4, None, 5), None, "what has no limit is no reason");
        assert_eq!(words(&only_load, &io).unwrap(), "load 1.0 of 8.0");
    }

    #[test]
    fn a_curb_above_what_is_wanted_is_none() {
        assert_eq!(decide(&LIMITS, &loaded(7.0), 3, 3, Some(&curb(5, 0)), 90_000), None);
    }

    #[test]
    fn the_kernel_is_read() {
        assert_eq!(load_of("0.52 0.58 0.59 1/467 12345\n"), Some(0.52));
        let text = "some avg10=1.50 avg60=12.25 avg300=3.00 total=9\nfull avg10=0.00 avg60=7.00 avg300=0.00 total=0\n";
        assert_eq!((some_of(text), some_of(""), some_of("full avg60=1")), (Some(12.25), None, None));
        assert!(measure().load.is_some());
    }
}
