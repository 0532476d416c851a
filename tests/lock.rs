//! The lock files against the bans of `deny.toml`: what may never come in with a dependency. Also that of the package
//! which tests build beside the program; its old crates have known holes, which matter to nobody, since it is not shipped.
//!
//! `cargo deny` says the same and more, where it is installed. This test needs nothing, so a banned crate fails plain
//! `cargo test` on every machine.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that cannot be")]

use std::collections::BTreeSet;
use std::path::Path;
use toml::{Table, Value};

/// A banned crate: its name, who may bring it all the same, and why it is banned.
struct Ban {
    name: String,
    wrappers: Vec<String>,
    reason: String,
}

fn bans(deny: &Table) -> Vec<Ban> {
    let texts = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array).into_iter().flatten();
        list.map(|text| text.as_str().unwrap().to_string()).collect()
    };
    let entries = deny["bans"]["deny"].as_array().unwrap().iter();
    entries
        .map(|entry| Ban {
            name: entry["crate"].as_str().unwrap().to_string(),
            wrappers: texts(entry.get("wrappers")),
            reason: entry["reason"].as_str().unwrap().to_string(),
        })
        .collect()
}

/// Banned crates in the lock file that somebody else than their wrappers brings, and crates from a second source.
fn findings(lock: &Table, bans: &[Ban]) -> Vec<String> {
    let packages = lock["package"].as_array().unwrap();
    let mut found = Vec::new();
    for ban in bans.iter().filter(|ban| packages.iter().any(|p| p["name"].as_str() == Some(&ban.name))) {
        let brings = |package: &&Value| {
            let names = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
            // A dependency is `name`, or `name version` where the lock file has several.
            names.filter_map(Value::as_str).any(|text| text.split(' ').next() == Some(&ban.name))
        };
        let by: Vec<&str> = packages.iter().filter(brings).filter_map(|p| p["name"].as_str()).collect();
        if by.is_empty() || by.iter().any(|name| !ban.wrappers.iter().any(|wrapper| wrapper == name)) {
            found.push(format!("{} is banned ({}); it comes by {}", ban.name, ban.reason, by.join(", ")));
        }
    }
    let sources: BTreeSet<&str> = packages.iter().filter_map(|p| p.get("source")?.as_str()).collect();
    if sources.len() > 1 || sources.iter().any(|source| !source.starts_with("registry+")) {
        found.push(format!("crates come from one registry, not from {sources:?}"));
    }
    found
}

fn read(name: &str) -> Table {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap().parse().unwrap()
}

#[test]
fn nothing_banned_is_locked() {
    for lock in ["Cargo.lock", "tests/oldest_sqlite/Cargo.lock"] {
        let found = findings(&read(lock), &bans(&read("deny.toml")));
        assert!(found.is_empty(), "{lock}:\n{}\n", found.join("\n"));
    }
}

#[test]
fn banned_crates_are_found() {
    let deny =
        "[bans]\ndeny = [{ crate = 'cmake', reason = 'r' }, { crate = 'pkg-config', wrappers = ['a'], reason = 'r' }]";
    let bans = bans(&deny.parse().unwrap());
    let package = |name: &str, dependencies: &str, source: &str| {
        format!(
            "[[package]]\nname = '{name}'\nversion = '1.0.0'\nsource = '{source}'\ndependencies = [{dependencies}]\n"
        )
    };
    let found = |packages: &[String]| findings(&packages.concat().parse().unwrap(), &bans).len();
    let one = "registry+one";
    assert_eq!(found(&[package("a", "'pkg-config 1.0.0'", one), package("pkg-config", "", one)]), 0);
    assert_eq!(found(&[package("b", "'pkg-config'", one), package("pkg-config", "", one)]), 1);
    assert_eq!(found(&[package("a", "'cmake'", one), package("cmake", "", one)]), 1);
    assert_eq!(found(&[package("a", "", "git+https://example.org/a"), package("b", "", one)]), 1);
    assert_eq!(found(&[package("a", "", one), package("b", "", "registry+two")]), 1);
}
