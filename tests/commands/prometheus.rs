//! The text exposition format: each name once with HELP and TYPE before its samples, and samples that add up.

use crate::installation::Installation;
use std::collections::BTreeMap;

/// The samples by name and labels, after a look at the form of every line.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut kinds: Vec<&str> = Vec::new();
    let mut found = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let name = help.split(' ').next().unwrap();
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert!(["gauge", "counter"].contains(&kind) && (kind == "counter") == name.ends_with("_total"), "{line}");
            assert!(name.starts_with("rowmill_") && !kinds.contains(&name), "{line}");
            kinds.push(name);
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            assert_eq!(kinds.last(), Some(&name), "samples stand below their own name: {line}");
            assert!(found.insert(sample.to_string(), value.parse().unwrap()).is_none(), "{line}");
        }
    }
    assert!(text.ends_with('\n') && !kinds.is_empty());
    found
}

#[test]
fn what_is_counted_is_shown_and_stays_after_a_prune() {
    let here =
        Installation::new("workers = 2\n[[schedule]]\nname = \"yearly\"\ncron = \"0 3 1 1 *\"\njob = \"noop\"\n");
    here.insert(7, "noop", "");
    here.run(&["drain"]).well();
    here.insert(1, "a\"b\\c", "");
    here.run(&["pause", "noop"]).well();
    let look = || samples(&here.run(&["status", "--format", "prometheus"]).well());
    let before = look();
    let of = |samples: &BTreeMap<String, f64>, name: &str| samples.get(name).copied();
    for (name, value) in [
        ("rowmill_tasks{job=\"noop\",status=\"done\"}", 7.0),
        ("rowmill_tasks{job=\"a\\\"b\\\\c\",status=\"ready\"}", 1.0),
        ("rowmill_tasks_finished_total{job=\"noop\",status=\"done\"}", 7.0),
        ("rowmill_partitions", 2.0),
        ("rowmill_workers", 0.0),
        ("rowmill_stopped", 0.0),
        ("rowmill_job_paused{job=\"noop\"}", 1.0),
    ] {
        assert_eq!(of(&before, name), Some(value), "{name} in {before:?}");
    }
    assert!(of(&before, "rowmill_oldest_ready_age_seconds").is_some());
    here.run(&["prune", "--older-than", "0"]).well();
    here.run(&["stop"]).well();
    let after = look();
    assert_eq!(of(&after, "rowmill_tasks{job=\"noop\",status=\"done\"}"), None);
    assert_eq!(of(&after, "rowmill_tasks_finished_total{job=\"noop\",status=\"done\"}"), Some(7.0));
    assert_eq!(of(&after, "rowmill_stopped"), Some(1.0));
}
