//! Whether every Rust file is compiled by something: a test file that no target declares is never run, and nobody sees
//! that it is missing.
//!
//! Targets are what Cargo finds by itself (`src/lib.rs`, `tests/*.rs`, `tests/*/main.rs`, the same under `benches` and
//! `examples`; `src/main.rs` of a package within a folder of its own) and the paths in `Cargo.toml`. From each target
//! `mod name;` leads on.

use super::source::File;
use super::tokens::{self, inside, is_punct, is_word};
use proc_macro2::TokenTree;
use std::collections::{BTreeMap, BTreeSet};

/// Files that no target leads to, and manifests that stop Cargo from finding targets.
pub(crate) fn unreached(files: &[File], manifest: &str) -> Vec<String> {
    let rust: BTreeMap<&str, &File> = files.iter().filter(|f| f.is_rust()).map(|f| (f.path.as_str(), f)).collect();
    let manifest: toml::Table = manifest.parse().unwrap();
    let mut findings = Vec::new();
    for switch in ["autotests", "autobenches", "autoexamples"] {
        if manifest["package"].get(switch).is_some() {
            findings.push(format!("Cargo.toml:1: `{switch}` hides files from Cargo and from this test"));
        }
    }
    let mut waiting: Vec<String> = rust.keys().filter(|path| is_target(path)).map(ToString::to_string).collect();
    waiting.extend(declared_targets(&manifest));
    let packages = files.iter().filter_map(|file| file.path.strip_suffix("/Cargo.toml"));
    waiting.extend(packages.map(|folder| format!("{folder}/src/main.rs")));
    let roots: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut reached = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let Some(file) = rust.get(path.as_str()) else { continue };
        if reached.insert(path.clone()) {
            waiting.extend(children(file, roots.contains(&path)));
        }
    }
    let lost = rust.values().filter(|file| !reached.contains(&file.path));
    findings.extend(lost.map(|file| file.finding(1, "no target leads to this file, so nothing in it is run")));
    findings
}

/// Names of tests in a page that no test has. What stands there in backquotes, as one word with two underscores or more, is
/// one: perhaps behind its modules, and with an ellipsis for its beginning or its end.
pub(crate) fn missing_tests(page: &File, files: &[File]) -> Vec<String> {
    let is_word = |name: &&str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:…".contains(c));
    let mut findings = Vec::new();
    for (text, line) in page.text.lines().zip(1..) {
        let quoted = text.split('`').skip(1).step_by(2);
        let names = quoted.filter(|name| name.matches('_').count() > 1).filter(is_word);
        let is_there = |name: &&str| {
            let name = name.rsplit("::").next().unwrap_or(name);
            let head = match (name.strip_prefix('…'), name.strip_suffix('…')) {
                (Some(end), _) => format!("{end}("),
                (_, Some(beginning)) => format!("fn {beginning}"),
                _ => format!("fn {name}("),
            };
            files.iter().any(|file| file.is_rust() && file.text.contains(&head))
        };
        let missing = names.filter(|name| !is_there(name));
        findings.extend(missing.map(|name| page.finding(line, format_args!("there is no test `{name}`"))));
    }
    findings
}

fn is_target(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        ["src", "lib.rs"] | ["tests" | "benches" | "examples", _] | ["tests" | "benches" | "examples", _, "main.rs"]
    )
}

fn declared_targets(manifest: &toml::Table) -> Vec<String> {
    let mut tables: Vec<&toml::Value> = manifest.get("lib").into_iter().collect();
    for kind in ["bin", "test", "bench", "example"] {
        tables.extend(manifest.get(kind).and_then(toml::Value::as_array).into_iter().flatten());
    }
    tables.iter().filter_map(|table| table.get("path")?.as_str().map(ToString::to_string)).collect()
}

/// Where the modules that a file declares may stand: both places, of which one exists.
fn children(file: &File, is_root: bool) -> Vec<String> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let stem = name.trim_end_matches(".rs");
    let home = if is_root || stem == "mod" { folder.to_string() } else { format!("{folder}/{stem}") };
    let mut found = Vec::new();
    tokens::each_run(&tokens::tokens(file), &[], &mut |run, module| {
        let mut given: Option<String> = None;
        for (i, token) in run.iter().enumerate() {
            if let (TokenTree::Group(group), true) = (token, i >= 1 && is_punct(run.get(i - 1), '#')) {
                given = given.take().or_else(|| path_attribute(&inside(group)));
            } else if is_word(Some(token), "mod") && is_punct(run.get(i + 2), ';') {
                let name = run[i + 1].to_string();
                let inner: String = module.iter().map(|m| format!("{m}/")).collect();
                match given.take() {
                    Some(path) => found.push(plain(&format!("{folder}/{path}"))),
                    None => found.extend(["", "/mod"].map(|end| format!("{home}/{inner}{name}{end}.rs"))),
                }
            } else if is_punct(Some(token), ';') {
                given = None;
            }
        }
    });
    found
}

/// The path without going up.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn path_attribute(content: &[TokenTree]) -> Option<String> {
    let is_path = is_word(content.first(), "path") && is_punct(content.get(1), '=');
    is_path.then(|| content[2].to_string().trim_matches('"').to_string())
}

#[test]
fn a_file_that_no_target_declares_is_found() {
    let manifest = "[package]\nname = 'x'\n[[bin]]\nname = 'x'\npath = 'jobs/main.rs'\n";
    let lawful = [
        File::new("src/lib.rs", "mod a; mod b { mod c; } #[cfg(test)] mod t;"),
        File::new("src/a/mod.rs", "mod d;"),
        File::new("src/a/d.rs", "mod e;"),
        File::new("src/a/d/e.rs", ""),
        File::new("src/b/c.rs", ""),
        File::new("src/t.rs", ""),
        File::new("jobs/main.rs", "mod pack;"),
        File::new("jobs/pack.rs", ""),
        File::new("tests/one.rs", "mod needs; #[path = \"odd/place.rs\"] mod place;"),
        File::new("tests/needs/mod.rs", ""),
        File::new("tests/odd/place.rs", ""),
        File::new("tests/two/main.rs", "mod deep;"),
        File::new("tests/two/deep.rs", ""),
        File::new("tests/three/Cargo.toml", ""),
        File::new("tests/three/src/main.rs", "mod deep;"),
        File::new("tests/three/src/deep.rs", ""),
    ];
    assert_eq!(unreached(&lawful, manifest), [""; 0]);
    let lost = ["tests/two/lost.rs", "tests/lost/mod.rs", "tests/lost/src/main.rs", "src/lost.rs", "src/b/d.rs"];
    for lost in lost.into_iter().chain(["jobs/lost/mod.rs", "tests/three/lost.rs"]) {
        let mut files = lawful.to_vec();
        files.push(File::new(lost, "#[test] fn never() {}"));
        let findings = unreached(&files, manifest);
        assert!(findings.len() == 1 && findings[0].starts_with(lost), "{findings:?}");
    }
    assert_eq!(unreached(&lawful, &manifest.replace("name = 'x'\n[[", "autotests = false\n[[")).len(), 1);
}

#[test]
fn a_page_that_names_a_test_that_is_gone_is_found() {
    let files = [File::new("tests/a.rs", "#[test]\nfn rows_are_only_data() {}")];
    let page = |text| File::new("SECURITY.md", text);
    assert_eq!(missing_tests(&page("`a_b` is `rows_are_only_data`, `x`, `A_B_C=1`"), &files), [""; 0]);
    assert_eq!(missing_tests(&page("`a::rows_are_…`, `…_only_data`"), &files), [""; 0]);
    assert_eq!(missing_tests(&page("`a::rows_were_…`, `…_only_date`"), &files).len(), 2);
    let found = missing_tests(&page("fine\n`rows_are_data`, `no_such_test_here`"), &files);
    assert!(found.len() == 2 && found.iter().all(|one| one.starts_with("SECURITY.md:2:")), "{found:?}");
}
