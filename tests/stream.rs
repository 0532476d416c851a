//! Streams as real processes: children that stay and are given task after task, and every way in which they go wrong.
//!
//! Plain ones are written for `/bin/sh`, those that take tokens in Python, with the file that users are given.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod installation;
mod needs;

mod stream {
    mod deaths;
    mod languages;
    mod settings;
    mod stops;
    mod unclean;
}

use installation::Installation;

/// Where the files for users lie.
const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/jobs/stream");

/// An installation with one job `s`, a plain stream: for each task, `per_task` is run in shell with its id in `$id` and its
/// param in `$param`; `ok` answers.
fn plain(workers: u32, settings: &str, per_task: &str) -> Installation {
    let here = of(workers, "[\"sh\", \"s.sh\"]", settings);
    let text = format!(
        "ok() {{ printf '{{\"id\":%s,\"ok\":true,\"result\":\"%s\"}}\\n' \"$id\" \"$1\"; }}\n\
         while IFS= read -r line; do\n\
         id=${{line#*:}} id=${{id%%,*}} param=${{line#*,\\\"param\\\":}} param=${{param%\\}}}}\n{per_task}\ndone\n\
         echo bye >> bye\n"
    );
    here.write("s.sh", &text);
    here
}

/// The same, a stream in Python that takes tokens, with so many tasks in flight: `per_task` is the body of a function of
/// `param` and `task`.
fn with_tokens(workers: u32, in_flight: u32, settings: &str, per_task: &str) -> Installation {
    let settings = format!(
        "in_flight = {in_flight}\nenv = {{ PYTHONPATH = \"{HOME}\", PYTHONDONTWRITEBYTECODE = \"1\" }}\n{settings}"
    );
    let here = of(workers, "[\"python3\", \"s.py\"]", &settings);
    let text = format!(
        "import os, signal, subprocess, time\nimport rowmill_stream\n\
         def note(file, text):\n    with open(file, 'a') as f: f.write(f'{{text}}\\n')\n\
         def await_file(name):\n    while not os.path.exists(name): time.sleep(0.002)\n\
         def run(param, task):\n    note('begun', task['id'])\n{}\n\
         rowmill_stream.serve(run)\nnote('bye', 'bye')\n",
        per_task.lines().map(|line| format!("    {line}\n")).collect::<String>()
    );
    here.write("s.py", &text);
    here
}

fn of(workers: u32, command: &str, settings: &str) -> Installation {
    Installation::new(&format!(
        "workers = {workers}\nlinger = \"5m\"\n[[job]]\nname = 's'\nmode = 'stream'\ncommand = {command}\n{settings}\n"
    ))
}

/// The error of a task.
fn error_of(here: &Installation, id: i64) -> String {
    let query = "SELECT coalesce(error, '') FROM task WHERE id = ?1";
    here.sql().query_row(query, [id], |row| row.get(0)).unwrap()
}

/// How many different lines a file has, and how many lines.
fn lines_of(here: &Installation, file: &str) -> (usize, usize) {
    let text = here.read(file);
    let different: std::collections::BTreeSet<&str> = text.lines().collect();
    (different.len(), text.lines().count())
}
