//! The power goes: what was acknowledged is there, and nothing is half done.

use super::cuts::{Found, cut_everywhere};
use super::history::{Plot, play};
use super::scale;
use rowmill::store::Durability;
use std::ops::Range;

/// Cuts the power in one history after the other, each worth about `images` images.
fn cut(name: &str, seeds: Range<u64>, images: usize, plot: impl Fn(u64) -> Plot) -> Found {
    let mut found = Found::default();
    let histories = seeds.end - seeds.start;
    for seed in seeds {
        let mut one = cut_everywhere(&play(plot(seed)), seed, images);
        one.wrong.iter_mut().for_each(|wrong| wrong.insert_str(0, &format!("seed {seed}, ")));
        found.add(one);
    }
    println!("{name}: {histories} histories, {found}");
    found
}

/// The first `usual` seeds from one on; more of them when more is asked for.
fn seeds(first: u64, usual: u64) -> Range<u64> {
    first..first + usual * scale() as u64
}

fn none_wrong(found: &Found) {
    let first: Vec<&String> = found.wrong.iter().take(5).collect();
    assert!(found.wrong.is_empty(), "{} wrong, among them {first:#?}", found.wrong.len());
}

#[test]
fn what_was_acknowledged_with_full_durability_is_there() {
    let found = cut("full", seeds(0, 4), 220, |seed| Plot::of(seed, Durability::Full));
    none_wrong(&found);
    assert!(found.truncated > 0 && found.removed > 0, "no log was written back: {found}");
}

#[test]
fn with_normal_durability_a_beginning_of_the_history_is_there_and_what_began_once() {
    let found = cut("normal", seeds(100, 4), 220, |seed| Plot::of(seed, Durability::Normal));
    none_wrong(&found);
    assert!(found.truncated > 0 && found.removed > 0, "no log was written back: {found}");
    assert!(found.began > 0, "no task has begun that may run only once");
}

#[test]
fn the_rest_of_many_follow_ups_is_there_whenever_the_power_goes() {
    let plot = |seed| Plot { fan: 1_700, length: 3, ..Plot::of(seed, Durability::Full) };
    none_wrong(&cut("many follow-ups", seeds(200, 1), 100, plot));
}

#[test]
fn a_sync_that_failed_costs_nothing_when_the_verb_is_called_again() {
    let plot = |seed| Plot { loses_syncs: true, ..Plot::of(seed, Durability::Full) };
    let found = cut("failed syncs", seeds(300, 2), 220, plot);
    none_wrong(&found);
    assert!(found.lost > 0, "no sync has failed");
}

/// Transactions that were not synced one by one stand in the log before the one whose sync failed: they were missing in
/// its midst when the power went later, and a checkpoint that was broken off left a damaged database.
#[test]
fn a_sync_that_failed_leaves_no_hole_in_the_log_of_unsynced_transactions() {
    let plot = |seed| Plot { loses_syncs: true, ..Plot::of(seed, Durability::Normal) };
    let found = cut("failed syncs, normal", seeds(600, 2), 220, plot);
    none_wrong(&found);
    assert!(found.lost > 0, "no sync has failed");
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    for durability in [Durability::Full, Durability::Normal] {
        let plot = |seed| Plot { lies: true, length: 15, ..Plot::of(seed, durability) };
        let found = cut("no syncs", 400..402, 30, plot);
        assert!(found.wrong.iter().any(|wrong| wrong.ends_with("was relied on")), "{durability:?}: nothing is found");
    }
}

#[test]
fn effects_outside_of_the_settlement_are_found_out() {
    let plot = |seed| Plot { parts_effects: true, length: 15, ..Plot::of(seed, Durability::Full) };
    let found = cut("effects apart", 500..502, 10, plot);
    let law = "a task has its effect exactly when it is done";
    assert!(found.wrong.iter().any(|wrong| wrong.contains(law)), "nothing is found: {:?}", found.wrong);
}
