//! Proof that the checks see: each deliberate break of the engine is found by some seed.

use super::{SEEDS, for_all, number, run};

/// The breaks, each with what it takes away. They are switches in the store that only tests compile.
const BREAKS: &[&str] = &[
    "no epoch check",
    "claim not taken",
    "notes ignored",
    "neighbours charged",
    "follow-ups apart",
    "fold overwrites",
    "scaled in place",
    "delayed key lost",
    "key kept",
    "living recovered",
];

#[test]
fn each_break_is_found() {
    let most = number("ROWMILL_SEEDS").unwrap_or(SEEDS);
    let mut missed = Vec::new();
    for what in BREAKS {
        let all = for_all(0..most, |arena, seed| {
            let outcome = run(arena, seed, &[what]).outcome;
            let found = outcome.is_err();
            (outcome, found)
        });
        match all.into_iter().find_map(|(seed, outcome)| outcome.err().map(|why| (seed + 1, why))) {
            Some((seeds, why)) => println!("{what}: found by seed number {seeds}: {why}"),
            None => missed.push(*what),
        }
    }
    assert!(missed.is_empty(), "not found in {most} seeds: {missed:?}");
}
