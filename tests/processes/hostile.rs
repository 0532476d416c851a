//! Rows of somebody who means harm: what a row says is data, wherever it goes.
//!
//! What would be found here: a job name that is taken for a path, a param that a shell reads, a text that passes for a
//! line of the log, a variable of the worker's that a program gets without being meant to.

use crate::installation::{Installation, to_its_end};

/// What a shell would make a file `ran` of, or take for something else.
const BAIT: [&str; 12] = [
    "$(touch ran)",
    "`touch ran`",
    "; touch ran",
    "| touch ran &",
    "&& touch ran",
    "\n touch ran\n",
    "' ; touch ran ; '",
    "\" ; touch ran ; \"",
    "--help",
    "{param}",
    "*",
    "../../etc/passwd",
];

fn with(config: &str) -> Installation {
    let here = Installation::new(&format!("workers = 1\n{config}"));
    here.script("hello", "touch ran\n");
    here.script("../program", "touch ran\n");
    here
}

#[test]
fn a_row_names_a_job_and_never_a_file() {
    let here = with("");
    let (script, program) = (here.path("scripts/hello"), here.path("program"));
    let mut names = vec!["./program", "program", "scripts/hello", "../scripts/hello", "hello/../hello", "/bin/true"];
    names.extend(["HELLO", "hello ", " hello", "hello\n", "hello\u{200b}", "sh", "sh -c true", "{param}", "*", "%"]);
    names.extend([script.to_str().unwrap(), program.to_str().unwrap()]);
    for name in names.iter().copied().chain(BAIT) {
        here.insert(1, name, "touch ran");
    }
    assert_eq!(here.run(&["drain"]).code, Some(75));
    let count = i64::try_from(names.len() + BAIT.len()).unwrap();
    assert_eq!(here.count("status = 'parked' AND cause = 'unknown_job' AND attempt = 0"), count);
    assert!(!here.path("ran").exists() && !here.path("scripts/ran").exists());
}

#[test]
fn a_param_is_data_whatever_is_in_it() {
    let here = with(
        "[[job]]\nname = 'argument'\ncommand = ['./show', '--to={param}']\n[[job]]\nname = 'input'\ncommand = ['./pass']\n",
    );
    here.script("../show", "printf %s \"$1\" >&3\n");
    here.script("../pass", "cat >&3\n");
    for bait in BAIT {
        here.insert(1, "argument", bait);
        here.insert(1, "input", bait);
    }
    here.run(&["drain"]).well();
    let right = "status = 'done' AND CAST(result AS TEXT) = iif(job = 'argument', '--to=', '') || param";
    assert_eq!(here.count(right), 2 * i64::try_from(BAIT.len()).unwrap());
    assert!(!here.path("ran").exists());
}

#[test]
fn what_a_row_says_passes_for_no_line_of_the_log() {
    let here = with("[[job]]\nname = 'tell'\ncommand = ['cat']\n");
    let forged = "2026-11-21T21:14:03.123+00:00 INFO worker=0/1 task=99 job=tell attempt=1 done run_ms=1";
    here.insert(1, "tell", &format!("one\n{forged}\r{forged}\u{1b}[2J\u{9b}2J\u{202e}\n"));
    here.insert(1, &format!("x\n{forged}"), "");
    here.run(&["drain"]);
    let log = here.log();
    assert!(log.contains("one") && log.contains("task=99"), "{log}");
    assert!(log.lines().all(|line| !line.starts_with(forged)), "{log}");
    assert!(!log.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\r']), "{log}");
    assert_eq!(here.run(&["logs", "--task", "99"]).out, "");
}

#[test]
fn a_program_gets_the_variables_that_are_meant_for_it() {
    let here = with(
        "[[job]]\nname = 'tell'\ncommand = ['sh', '-c', 'env >&3']\nenv = { GIVEN = 'x' }\npass_env = ['PASSED']\n",
    );
    here.insert(1, "tell", "");
    let mut drain = here.command(&["drain"]);
    drain.env("SECRET", "hush").env("LD_LIBRARY_PATH", "/tmp").env("BASH_ENV", "/tmp/x").env("PASSED", "y");
    to_its_end(drain).well();
    let text: String = here.sql().query_row("SELECT CAST(result AS TEXT) FROM task", [], |r| r.get(0)).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let basic = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "GIVEN", "PASSED"];
    // These the shell makes itself.
    let own = ["PWD", "OLDPWD", "SHLVL", "_"];
    let others =
        names.iter().filter(|name| !name.starts_with("ROWMILL_") && !basic.contains(name) && !own.contains(name));
    assert_eq!(others.count(), 0, "{text}");
    assert!(names.contains(&"GIVEN") && names.contains(&"PASSED"), "{text}");
}
