//! The rules of the house, held against the sources: who may name whom, how long things are, what they are called.
//!
//! The rules themselves, each with a planted violation that it finds, stand in `tests/house/`. A failure lists every
//! place; the rule is explained where it is written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first thing that cannot be")]

mod house;

use house::source::{File, repository};
use house::{law, programs, reach, shape};

/// Fails with all findings at once.
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

fn each(rule: fn(&File) -> Vec<String>, files: &[File]) -> Vec<String> {
    files.iter().filter(|file| file.is_rust()).flat_map(rule).collect()
}

#[test]
fn rooms_name_only_rooms_below() {
    none(law::imports(&repository()));
}

#[test]
fn pure_rooms_touch_nothing() {
    none(each(law::purity, &repository()));
}

#[test]
fn sql_stands_in_the_store_only() {
    none(each(law::sql, &repository()));
}

#[test]
fn programs_are_started_in_three_places_and_never_a_shell() {
    none(each(programs::programs, &repository()));
}

#[test]
fn jobs_use_the_public_door() {
    let files = repository();
    let lib = files.iter().find(|file| file.path == "src/lib.rs").unwrap();
    none(files.iter().filter(|file| file.is_rust()).flat_map(|file| law::jobs(file, lib)).collect());
}

#[test]
fn files_and_functions_can_be_read_at_once() {
    none(each(shape::lengths, &repository()));
}

#[test]
fn names_say_what_things_are() {
    none(repository().iter().flat_map(shape::names).collect());
}

#[test]
fn no_line_needs_a_tracker_to_be_understood() {
    none(repository().iter().flat_map(shape::tickets).collect());
}

#[test]
fn the_tests_that_pages_name_are_there() {
    let files = repository();
    for path in ["SECURITY.md", "docs/guarantees.md"] {
        let page = files.iter().find(|file| file.path == path).unwrap();
        none(reach::missing_tests(page, &files));
    }
}

#[test]
fn every_file_is_compiled_by_a_target() {
    let files = repository();
    let manifest = files.iter().find(|file| file.path == "Cargo.toml").unwrap();
    none(reach::unreached(&files, &manifest.text));
}
