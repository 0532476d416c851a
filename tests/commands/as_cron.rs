//! `check --as-cron`: what would be missing when cron calls.
//!
//! What would be found here: a variable or a database that is there in a shell and not in the night, and a line for the crontab
//! that does not work as it stands.

use crate::installation::{Installation, Said, to_its_end};
use serde_json::Value;

/// The answer under these variables, and no others that count.
fn check(here: &Installation, args: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = here.command(args);
    command.env_clear().env("HOME", "/root").env("LOGNAME", "root").envs(variables.iter().copied());
    to_its_end(command)
}

const JOB: &str = "[[job]]\nname = \"mail\"\ncommand = [\"true\"]\npass_env = [\"SMTP_HOST\"]\n";

#[test]
fn where_nothing_is_missing_the_line_is_printed() {
    let here = Installation::new("");
    let said = check(&here, &["check", "--as-cron"], &[]).well();
    let line = format!(
        "crontab        * * * * * {} tick --config {}/rowmill.toml\n",
        env!("CARGO_BIN_EXE_rowmill"),
        here.folder().display()
    );
    assert!(said.starts_with(&line) && said.ends_with("all well\n"), "{said}");
    let plain = check(&here, &["check"], &[("ROWMILL_DATABASE", "")]).well();
    assert!(!plain.contains("crontab"), "only when it is asked for: {plain}");
}

#[test]
fn what_is_set_here_and_not_there_is_found() {
    let here = Installation::new(JOB);
    let set = [("SMTP_HOST", "mx"), ("LANG", "de_DE.UTF-8"), ("TZ", "UTC"), ("ROWMILL_DATABASE", "other.db")];
    here.run(&["migrate", "--database", "other.db"]).well();
    let said = check(&here, &["check", "--as-cron", "--format", "json"], &set);
    assert_eq!(said.code, Some(2), "{said:?}");
    let answer: Value = serde_json::from_str(&said.out).unwrap();
    let found: Vec<(&str, &str)> = answer["found"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["level"].as_str().unwrap(), f["message"].as_str().unwrap()))
        .collect();
    let database = format!("there the database is {}", here.path("rowmill.db").display());
    assert!(found.iter().any(|(level, what)| *level == "error" && what.ends_with(&database)), "{found:?}");
    let passed = "the job `mail` passes on SMTP_HOST, which is set here and not under cron";
    assert!(found.contains(&("error", passed)), "{found:?}");
    assert!(found.contains(&("note", "jobs have LANG, TZ here, and would not under cron")), "{found:?}");
    let line = answer["crontab"].as_str().unwrap();
    assert!(line.ends_with(&format!(" --database {}", here.path("other.db").display())), "{line}");
}

#[test]
fn what_the_configuration_sets_is_not_missing() {
    let here = Installation::new(&format!("env = {{ LANG = \"C.UTF-8\" }}\n{JOB}env = {{ SMTP_HOST = \"mx2\" }}\n"));
    let said = check(&here, &["check", "--as-cron"], &[("SMTP_HOST", "mx"), ("LANG", "de_DE.UTF-8")]).well();
    assert!(said.starts_with("crontab "), "{said}");
}

#[test]
fn programs_are_looked_for_where_cron_would() {
    let here = Installation::new("[[job]]\nname = \"tool\"\ncommand = [\"tool\"]\npass_env = [\"PATH\"]\n");
    here.write("bin/empty", "");
    here.script("../bin/tool", "");
    let bin = here.path("bin").display().to_string();
    let said = check(&here, &["check", "--as-cron"], &[("PATH", &bin)]);
    let words = "error: under cron: ";
    assert!(
        said.out.contains(words) && said.out.contains("the program `tool` of the job `tool` is not in the PATH"),
        "{said:?}"
    );
    // The configuration says it, so it is the same for all.
    here.write("rowmill.toml", "path = \"bin:/usr/bin\"\n[[job]]\nname = \"tool\"\ncommand = [\"tool\"]\n");
    assert!(check(&here, &["check", "--as-cron"], &[("PATH", "/bin")]).well().ends_with("all well\n"));
    here.insert(1, "tool", "");
    here.run(&["drain"]).well();
    assert_eq!(here.done(), 1, "{}", here.log());
}

#[test]
fn without_a_configuration_there_is_nothing_to_name() {
    let here = Installation::empty();
    let said = check(&here, &["check", "--as-cron"], &[]);
    assert!(said.code == Some(2) && said.out.contains("there is no configuration to name"), "{said:?}");
}
