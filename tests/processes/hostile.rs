//! Rows of somebody who means harm: what a row says is data, wherever it goes.
//!
//! What would be found here: a job name that is taken for a path, a param that a shell reads, a text that passes for a
//! line of the log, a variable of the worker's that a program gets without being meant to.

use crate::installation::{BOUND, Installation, Running, to_its_end, within};
use crate::needs;
use std::process::Command;

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

#[test]
fn php_and_python_find_the_list_and_nothing_else() {
    if !needs::tool("python3") || !needs::tool("php") {
        return;
    }
    let job = |name: &str, program: &str| {
        format!(
            "[[job]]\nname = '{name}'\ncommand = ['{program}', 'tell.{name}']\nenv = {{ GIVEN = 'x' }}\n\
             pass_env = ['PASSED', 'NOT_SET']\n"
        )
    };
    // Not a script that stands in front of it, and sets variables.
    let mut ask = Command::new("python3");
    ask.args(["-c", "import sys; print(sys.executable)"]).stdin(std::process::Stdio::null());
    let python = to_its_end(ask).well();
    let here = with(&format!("{}{}", job("py", python.trim()), job("php", "php")));
    // Not what the language makes of it, but what the kernel was handed.
    here.write("tell.py", "import os\nos.write(3, open('/proc/self/environ', 'rb').read())\n");
    let php = "<?php file_put_contents('php://fd/3', file_get_contents('/proc/self/environ'));\n";
    here.write("tell.php", php);
    here.insert(1, "py", "");
    here.insert(1, "php", "");
    let mut drain = here.command(&["drain"]);
    let path = std::env::var_os("PATH").unwrap_or_default();
    drain.env_clear().env("PATH", path).env("HOME", "/root").env("LANG", "C.UTF-8").env("PASSED", "y");
    for secret in ["AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "PYTHONPATH", "PYTHONSTARTUP", "PHPRC", "PHP_INI_SCAN_DIR"]
    {
        drain.env(secret, "/tmp/hush");
    }
    for secret in ["LD_LIBRARY_PATH", "BASH_ENV", "ENV", "IFS", "SSH_AUTH_SOCK", "ROWMILL_SECRET", "LS_COLORS", "PWD"] {
        drain.env(secret, "/tmp/hush");
    }
    to_its_end(drain).well();
    let own = ["ATTEMPT", "IDEMPOTENCY_KEY", "JOB", "MAX_ATTEMPTS", "PRIORITY", "TASK_ID", "WORKER"];
    let mut wanted: Vec<String> = own.iter().map(|name| format!("ROWMILL_{name}")).collect();
    wanted.extend(["GIVEN", "HOME", "LANG", "PASSED", "PATH"].map(str::to_string));
    wanted.sort_unstable();
    for job in ["py", "php"] {
        let result = "SELECT CAST(result AS TEXT) FROM task WHERE job = ?1 AND status = 'done'";
        let text: String = here.sql().query_row(result, [job], |r| r.get(0)).unwrap();
        let mut names: Vec<&str> = text.split('\0').filter_map(|line| Some(line.split_once('=')?.0)).collect();
        names.sort_unstable();
        assert_eq!(names, wanted, "{job}");
        assert!(!text.contains("hush"), "{text}");
    }
}

#[test]
fn names_of_scripts_and_values_of_variables_are_data_too() {
    let values: Vec<String> = (0..).zip(BAIT).map(|(n, bait)| format!("V{n} = {}", serde_json::json!(bait))).collect();
    let job = format!("[[job]]\nname = 'values'\ncommand = ['./values']\nenv = {{ {} }}\n", values.join(", "));
    let here = with(&job);
    let shown: Vec<String> = (0..BAIT.len()).map(|n| format!("\"$V{n}\"")).collect();
    here.script("../values", &format!("printf '%s|' {} >&3\n", shown.join(" ")));
    here.insert(1, "values", "");
    let names =
        ["$(touch ran)", "`touch ran`", "; touch ran", "-c", "--help", "a 'b' \"c\"", "{param}", "*", "rowmill.toml"];
    for name in names {
        here.script(name, "printf %s \"$ROWMILL_JOB\" >&3\n");
        here.insert(1, name, "; touch ran");
    }
    here.run(&["drain"]).well();
    let result: String =
        here.sql().query_row("SELECT CAST(result AS TEXT) FROM task WHERE job = 'values'", [], |r| r.get(0)).unwrap();
    assert_eq!(result, BAIT.map(|bait| format!("{bait}|")).concat());
    let right = here.count("status = 'done' AND CAST(result AS TEXT) = job");
    assert_eq!(right, i64::try_from(names.len()).unwrap());
    assert!(!here.path("ran").exists() && !here.path("scripts/ran").exists());
}

#[test]
fn a_program_has_no_terminal_even_where_its_worker_has_one() {
    if !needs::tool("python3") {
        return;
    }
    let look = "(: < /dev/tty) 2> /dev/null && echo terminal || echo none";
    let here = with(&format!("[[job]]\nname = 'tell'\ncommand = ['sh', '-c', '({look}) >&3']\n"));
    here.insert(1, "tell", "");
    let in_terminal = |program: &str, args: &[&str]| {
        let mut command = Command::new("python3");
        command.args(["-c", "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"]);
        command.arg(program).args(args).current_dir(here.folder()).stdin(std::process::Stdio::null());
        to_its_end(command).well()
    };
    assert!(in_terminal("sh", &["-c", look]).contains("terminal"), "this is one");
    in_terminal(env!("CARGO_BIN_EXE_rowmill"), &["drain"]);
    assert_eq!(here.count("status = 'done' AND CAST(result AS TEXT) = 'none' || char(10)"), 1);
}

#[test]
fn a_param_stands_in_no_list_of_processes() {
    let here = with("[[job]]\nname = 'slow'\ncommand = ['./slow', 'visible']\nredact = true\n");
    here.script("../slow", "read -r secret; : > started; while [ ! -e go ]; do sleep 0.05; done\n");
    here.insert(1, "slow", "hush-hush\n");
    let mut drain = Running::start(&mut here.command(&["drain"]));
    within(BOUND, "the program to have its param", || here.path("started").exists().then_some(()));
    let (mut seen, mut leaks) = (0, Vec::new());
    for process in here.processes() {
        for file in ["cmdline", "environ", "comm", "status"] {
            let path = format!("/proc/{}/{file}", process.as_raw_nonzero());
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
            seen += usize::from(text.contains("visible"));
            leaks.extend(text.contains("hush").then_some(path));
        }
    }
    here.write("go", "");
    assert_eq!(drain.code(), Some(0));
    assert!(seen > 0 && leaks.is_empty(), "{seen} {leaks:?}");
}

#[test]
fn a_redacted_job_s_words_are_kept_nowhere_whichever_way_it_ends() {
    let job = |name: &str, more: &str| {
        format!("[[job]]\nname = '{name}'\ncommand = ['./{name}']\nredact = true\nmax_attempts = 1\n{more}\n")
    };
    let ends = [
        ("well", "exit 0", ""),
        ("failed", "exit 1", ""),
        ("again", "exit 75", ""),
        ("never", "exit 65", ""),
        ("killed", "kill -9 $$", ""),
        ("late", "sleep 600", "timeout = '200ms'\ngrace = '100ms'"),
        ("hungry", "echo MemoryError >&2; exit 1", "memory = '256MB'"),
    ];
    let here = with(&ends.map(|(name, _, more)| job(name, more)).concat());
    for (name, end, _) in ends {
        here.script(&format!("../{name}"), &format!("tee /dev/stderr\n{end}\n"));
        here.insert(1, name, "hush-hush");
    }
    here.run(&["drain"]);
    assert_eq!(here.count("attempt = 1 AND started_at > 0"), 7, "{}", here.log());
    assert_eq!(here.count("error LIKE '%hush%' OR result LIKE '%hush%' OR cause LIKE '%hush%'"), 0);
    assert_eq!((here.lines("hush"), here.lines("bytes of output are not shown")), (0, 7), "{}", here.log());
    for args in [&["tasks"][..], &["status"], &["history"], &["workers"], &["logs"]] {
        assert!(!here.run(args).well().contains("hush"), "{args:?}");
    }
}
