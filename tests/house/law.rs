//! The law of imports: which room may name which, what pure rooms leave alone, and where SQL stands.
//!
//! A room is the first word of a module's path (`src/store/sqlite/mod.rs` is in `store`). A name that `src/lib.rs`
//! re-exports counts as the room that it comes from, so nothing goes up through the root. Code that only tests compile
//! is left out: a unit test may plant rows with SQL or ask a room above for a fixture; the program never contains it.

use super::source::File;
use super::tokens::{self, Named};
use proc_macro2::TokenTree;
use std::collections::BTreeMap;

/// The rooms by level. On level 0 and nowhere else a room may also name those that stand before it.
const LEVELS: [&[&str]; 5] = [
    &["error", "clock", "share", "log"],
    &["task", "cron", "rule"],
    &["store"],
    &["work", "schedule", "intake"],
    &["cli", "http", "amqp", "config"],
];

/// What pure rooms (level 1) leave alone: they are told the time, and neither read nor write nor wait.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::env",
    "std::thread",
    "crate::log",
    "crate::share",
    "log",
    "crate::clock::Clock",
    "crate::clock::Watch",
    "crate::clock::*",
    "tokio",
    "rustix",
    "rusqlite",
    "postgres",
    "signal_hook",
    "indicatif",
];

/// Words that are impure under whatever path they come.
const IMPURE_WORDS: &[&str] = &["Instant", "SystemTime", "async", "await"];

/// How statements begin in this repository: in capitals.
const SQL: &[&str] = &[
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "DELETE FROM",
    "REPLACE INTO",
    "CREATE TABLE",
    "CREATE INDEX",
    "CREATE TRIGGER",
    "CREATE VIEW",
    "ALTER TABLE",
    "DROP TABLE",
    "PRAGMA ",
    "BEGIN IMMEDIATE",
    "ATTACH ",
];

/// Files outside of the store that show SQL to a reader and never run it, each with the reason.
const SQL_SHOWN: &[(&str, &str)] = &[
    ("src/cli/demo", "the demo prints the statements that an application would write"),
    ("src/cli/init", "the sample that `init` writes tells how an application asks for work"),
];

/// The room that a file is in; `None` is the root.
fn room(path: &str) -> Option<String> {
    tokens::module_of(path).into_iter().next()
}

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

/// Whether `from` may name `to`.
fn may_name(from: &str, to: &str) -> bool {
    let (Some(high), Some(low)) = (level(from), level(to)) else { return false };
    let place = |room: &str| LEVELS[0].iter().position(|r| *r == room);
    let earlier = high == 0 && low == 0 && place(to) < place(from);
    from == to || low < high || earlier || (from == "cli" && low == 4)
}

/// The names that the root gives to everybody, each with its room (empty for what the root itself defines).
fn root_names(lib: &File) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let tokens = tokens::without_tests(&tokens::tokens(lib));
    for (i, token) in tokens.iter().enumerate().filter(|(_, token)| tokens::is_word(Some(token), "pub")) {
        let _ = token;
        let end = tokens[i..].iter().position(|t| tokens::is_punct(Some(t), ';')).map_or(tokens.len(), |end| i + end);
        if tokens::is_word(tokens.get(i + 1), "use") {
            for Named { mut path, alias, .. } in tokens::paths(&tokens[i + 2..end], &[]) {
                path.retain(|word| word != "crate");
                let leaf = alias.or_else(|| path.last().cloned()).unwrap_or_default();
                names.insert(leaf, path.first().cloned().unwrap_or_default());
            }
        } else if ["fn", "struct", "enum", "trait", "type", "const", "static"]
            .iter()
            .any(|word| tokens::is_word(tokens.get(i + 1), word))
            && let Some(name) = tokens.get(i + 2)
        {
            names.insert(name.to_string(), String::new());
        }
    }
    names
}

/// Rooms that are not in the table, and names of rooms that stand too high. `files` holds all of `src/`.
pub(crate) fn imports(files: &[File]) -> Vec<String> {
    let Some(lib) = files.iter().find(|file| file.path == "src/lib.rs") else {
        return vec!["src/lib.rs:1: is missing".to_string()];
    };
    let root = root_names(lib);
    let mut findings = Vec::new();
    if root.contains_key("*") {
        findings.push(lib.finding(1, "the root re-exports by name, so that a name's room can be told: no `*`"));
    }
    for file in files.iter().filter(|file| file.is_rust() && file.path.starts_with("src/")) {
        let Some(from) = room(&file.path) else { continue };
        if level(&from).is_none() {
            findings.push(file.finding(1, format!("the room `{from}` stands in no level: add it to the table")));
            continue;
        }
        for named in named_in(file).iter().filter(|named| named.path[0] == "crate") {
            let word = named.path.get(1).map_or("", String::as_str);
            let to = root.get(word).map_or(word, String::as_str);
            if level(to).is_none() {
                findings.push(file.finding(named.line, format!("`{}` is no room's", shown(named))));
            } else if !may_name(&from, to) {
                findings.push(file.finding(named.line, format!("{from} names {to}: `{}`", shown(named))));
            }
        }
    }
    findings
}

/// What pure rooms do that makes them impure.
pub(crate) fn purity(file: &File) -> Vec<String> {
    if room(&file.path).and_then(|room| level(&room)) != Some(1) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for named in named_in(file) {
        let path = named.path.join("::").replace("core::", "std::");
        if IMPURE.iter().any(|bad| path == *bad || path.starts_with(&format!("{bad}::"))) {
            findings.push(file.finding(named.line, format!("a pure room names `{}`", shown(&named))));
        }
    }
    tokens::each_token(&tokens::without_tests(&tokens::tokens(file)), &mut |token| {
        if let Some(word) = IMPURE_WORDS.iter().find(|word| tokens::is_word(Some(token), word)) {
            findings.push(file.finding(token.span().start().line, format!("a pure room says `{word}`")));
        }
    });
    findings
}

/// Statements, and the crates that run them, in any room but the store.
pub(crate) fn sql(file: &File) -> Vec<String> {
    let shown_here = SQL_SHOWN.iter().any(|(path, _)| file.path.starts_with(path));
    if !file.path.starts_with("src/") || room(&file.path).as_deref() == Some("store") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for named in named_in(file).iter().filter(|named| ["rusqlite", "postgres"].contains(&named.path[0].as_str())) {
        findings.push(file.finding(named.line, format!("`{}` outside of the store", shown(named))));
    }
    let tokens = tokens::without_tests(&tokens::tokens(file));
    tokens::each_run(&tokens, &[], &mut |run, _| {
        // Doc comments are attributes by now, and may quote what they like.
        let is_doc = tokens::is_word(run.first(), "doc") && tokens::is_punct(run.get(1), '=');
        for token in run.iter().filter(|_| !is_doc && !shown_here) {
            let TokenTree::Literal(literal) = token else { continue };
            let text = literal.to_string();
            if let Some(word) = SQL.iter().find(|word| text.contains('"') && text.contains(**word)) {
                findings.push(file.finding(token.span().start().line, format!("SQL outside of the store: `{word}`")));
            }
        }
    });
    findings
}

/// What `jobs/` names of the library besides the names at its root, and other ways around its door.
pub(crate) fn jobs(file: &File, lib: &File) -> Vec<String> {
    if !file.path.starts_with("jobs/") {
        return Vec::new();
    }
    let root = root_names(lib);
    let mut findings = Vec::new();
    for named in named_in(file).iter().filter(|named| named.path[0] == "rowmill") {
        if !named.path.get(1).is_some_and(|word| root.contains_key(word)) {
            findings.push(file.finding(named.line, format!("`{}` is not a name at the library's root", shown(named))));
        }
    }
    tokens::each_run(&tokens::tokens(file), &[], &mut |run, _| {
        for (i, token) in run.iter().enumerate() {
            let renamed = tokens::is_word(Some(token), "rowmill") && tokens::is_word(run.get(i + 1), "as");
            if renamed || (tokens::is_word(Some(token), "path") && tokens::is_punct(run.get(i + 1), '=')) {
                findings.push(
                    file.finding(token.span().start().line, "no renamed library and no #[path]: name it plainly"),
                );
            }
        }
    });
    findings
}

pub(crate) fn named_in(file: &File) -> Vec<Named> {
    tokens::paths(&tokens::without_tests(&tokens::tokens(file)), &tokens::module_of(&file.path))
}

fn shown(named: &Named) -> String {
    named.path.join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str =
        "pub mod task; pub mod work; pub use task::Outcome; pub use work::{Job, Context as Cx}; pub fn main() {}";

    /// The findings of the law when `text` stands at `path`.
    fn found(path: &str, text: &str) -> Vec<String> {
        imports(&[File::of_room("lib.rs", LIB), File::of_room(path, text)])
    }

    #[test]
    fn going_down_is_lawful() {
        for (path, text) in [
            ("task/mod.rs", "use crate::{clock::Millis, error::Result}; use super::task::span; pub(crate) fn f() {}"),
            ("log/mod.rs", "use crate::clock::Clock; use crate::error::Error;"),
            ("store/sqlite/mod.rs", "use crate::task::Task; use super::super::clock; use super::Durability;"),
            ("work/mod.rs", "use crate::{store, Outcome, Job}; // use crate::cli\n const X: &str = \"crate::cli\";"),
            ("cli/mod.rs", "use crate::{config, http::Door, schedule, work, store};"),
            ("clock.rs", "#[cfg(test)] mod tests { use crate::cli::x; }"),
        ] {
            assert_eq!(found(path, text), [""; 0], "{path}");
        }
    }

    #[test]
    fn going_up_is_found_in_every_form() {
        for (path, text, what) in [
            ("store/mod.rs", "use crate::work::Job;", "store names work"),
            ("store/mod.rs", "use crate::{task, work::{self, Job}};", "store names work"),
            ("store/mod.rs", "fn f() { let x = vec![crate::config::load()]; }", "store names config"),
            ("store/sqlite/a.rs", "use super::super::super::schedule::tick;", "store names schedule"),
            ("store/a.rs", "mod b { fn f(x: &dyn super::super::super::cli::Door) {} }", "store names cli"),
            ("store/mod.rs", "use crate::Job;", "store names work"),
            ("store/mod.rs", "use crate::Cx;", "store names work"),
            ("store/mod.rs", "use crate as root; use root::work;", "`crate` is no room's"),
            ("store/mod.rs", "use super as root;", "`crate` is no room's"),
            ("store/mod.rs", "use crate::*;", "`crate::*` is no room's"),
            ("work/mod.rs", "use crate::schedule::tick;", "work names schedule"),
            ("schedule/mod.rs", "use crate::work::hold;", "schedule names work"),
            ("intake/mod.rs", "use crate::work::hold;", "intake names work"),
            ("config/mod.rs", "use crate::cli::args;", "config names cli"),
            ("http/mod.rs", "use crate::config::Config;", "http names config"),
            ("task/mod.rs", "use crate::cron::Expression;", "task names cron"),
            ("error.rs", "use crate::clock::Millis;", "error names clock"),
            ("work/mod.rs", "use crate::main;", "is no room's"),
            ("attic/mod.rs", "", "the room `attic` stands in no level"),
            ("attic.rs", "", "the room `attic` stands in no level"),
        ] {
            let findings = found(path, text);
            assert!(findings.iter().any(|f| f.contains(what)), "{text}: {findings:?}");
        }
        let glob = imports(&[File::of_room("lib.rs", "pub use work::*;")]);
        assert!(glob[0].contains("no `*`"), "{glob:?}");
    }

    #[test]
    fn pure_rooms_stay_pure() {
        let pure = "use crate::clock::Millis; use std::{fmt, time::Duration, collections::BTreeMap}; fn log() {}";
        assert_eq!(purity(&File::of_room("task/mod.rs", pure)), [""; 0]);
        assert_eq!(purity(&File::of_room("work/mod.rs", "use std::fs;")), [""; 0]);
        for text in [
            "use std::{fmt, fs};",
            "fn f() { std::net::TcpStream::connect(x) }",
            "use std::process::Command;",
            "use std::time::{Duration, Instant};",
            "use std::time; fn f() { time::SystemTime::now() }",
            "use tokio::time::sleep;",
            "async fn f() {}",
            "use crate::clock::{Millis, Watch};",
            "fn f() { log::info!(\"\") }",
        ] {
            for path in ["task/a.rs", "cron/mod.rs", "rule/mod.rs"] {
                assert!(!purity(&File::of_room(path, text)).is_empty(), "{text}");
            }
        }
    }

    #[test]
    fn sql_stands_in_the_store() {
        for text in [
            "const A: &str = \"SELECT id FROM queue\";",
            "const A: &str = r#\"\n  UPDATE queue SET x = 1\"#;",
            "fn f() { run(concat!(\"DELETE FROM\", \" queue\")) }",
            "use rusqlite::Connection;",
            "fn f() -> Result<(), postgres::Error> {}",
        ] {
            assert_eq!(sql(&File::of_room("work/a.rs", text)).len(), 1, "{text}");
            assert_eq!(sql(&File::of_room("store/a.rs", text)), [""; 0]);
            assert_eq!(sql(&File::new("jobs/pack.rs", text)), [""; 0], "a pack has its own tables");
        }
        let quoted = "/// `INSERT INTO queue` asks for work.\n// SELECT 1\nconst A: &str = \"updated\";
            #[cfg(test)] mod tests { const A: &str = \"INSERT INTO queue\"; }";
        assert_eq!(sql(&File::of_room("work/a.rs", quoted)), [""; 0]);
        assert_eq!(sql(&File::of_room("cli/demo/mod.rs", "const A: &str = \"INSERT INTO queue\";")), [""; 0]);
    }

    #[test]
    fn jobs_come_in_by_the_door() {
        let lib = File::of_room("lib.rs", LIB);
        let lawful = "use rowmill::{Job, Cx, Outcome}; mod pack; fn main() { rowmill::main(); crate::pack::x() }";
        assert_eq!(jobs(&File::new("jobs/main.rs", lawful), &lib), [""; 0]);
        for text in [
            "use rowmill::work::Job;",
            "use rowmill::{Job, task::{Policy}};",
            "fn f() { rowmill::store::open() }",
            "use rowmill::*;",
            "use rowmill as r;",
            "extern crate rowmill as r;",
            "#[path = \"../src/task/mod.rs\"] mod task;",
        ] {
            assert!(!jobs(&File::new("jobs/pack/mod.rs", text), &lib).is_empty(), "{text}");
        }
    }
}
