//! The sample scripts of `jobs/scripts/`, as jobs of an installation: what they do, what they put off, what they refuse.

use super::super::installation::Installation;
use super::super::needs;
use std::path::Path;

/// An installation that has the sample scripts, and retries soon enough to be waited for.
fn workshop() -> Installation {
    let here = Installation::new("workers = 2");
    for name in ["compress.sh", "invoice.py", "notify.php"] {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/scripts").join(name);
        std::fs::create_dir_all(here.path("scripts")).unwrap();
        std::os::unix::fs::symlink(sample, here.path("scripts").join(name)).unwrap();
    }
    here
}

/// Runs a param through a script; answers the status that its task has then, its cause and its error.
fn status(here: &Installation, job: &str, codec: &str, param: &str) -> [String; 3] {
    here.sql().execute("INSERT INTO queue (job, codec, param) VALUES (?1, ?2, ?3)", [job, codec, param]).unwrap();
    // 1 and 75 tell of dead and delayed ones, which are wanted here.
    here.run(&["drain"]);
    let last = &here.json(&["tasks", "--limit", "1"])[0];
    let row = here.json(&["task", &last["id"].to_string()]);
    ["status", "cause", "error"].map(|key| row[key].as_str().unwrap_or_default().to_string())
}

#[test]
fn the_one_in_shell_compresses() {
    let here = workshop();
    here.write("inbox/it's a report.csv", "1;2;3\n");
    let ran = |param: &str| status(&here, "compress.sh", "text", param);
    assert_eq!(ran("it's a report.csv"), ["done", "", ""]);
    let mut unpack = std::process::Command::new("gzip");
    unpack.args(["-dc", "archive/it's a report.csv.gz"]).current_dir(here.folder());
    assert_eq!(super::super::to_its_end(unpack).well(), "1;2;3\n");
    assert!(!here.path("inbox/it's a report.csv").exists());
    assert_eq!(ran("it's a report.csv"), ["done", "", ""], "a second run finds nothing to do");
    assert_eq!(ran("later.csv"), ["delayed", "error", "exit code 75: later.csv has not arrived yet"]);
    assert_eq!(ran("../secret"), ["dead", "rejected", "exit code 65: '../secret' is no name of a file in inbox"]);
    assert_eq!(here.lines("is compressed, by task 1, attempt 1 of 5"), 1, "{}", here.log());
}

#[test]
fn the_one_in_python_writes_an_invoice() {
    if !needs::tool("python3") {
        return;
    }
    let here = workshop();
    let ran = |param: &str| status(&here, "invoice.py", "json", param);
    let [status, _, error] = ran("{\"order\": 7, \"cents\": [1200, 350]}");
    assert_eq!((status.as_str(), error.contains("is its disk mounted?")), ("delayed", true), "{error}");
    std::fs::create_dir(here.path("invoices")).unwrap();
    assert_eq!(ran("{\"order\": 7, \"cents\": [1200, 350]}"), ["done", "", ""]);
    assert_eq!(here.read("invoices/rowmill-2"), "order 7: 15.50\n");
    for param in ["{}", "[1]", "no JSON", "{\"order\": 7, \"cents\": [\"x\"]}"] {
        let [status, cause, error] = ran(param);
        assert_eq!([status, cause], ["dead", "rejected"], "{param}: {error}");
        assert!(error.starts_with("exit code 65: the param is no order: "), "{error}");
    }
    assert_eq!(here.count("id = 2 AND status = 'done'"), 1);
}

#[test]
fn the_one_in_php_notifies() {
    if !needs::tool("php") {
        return;
    }
    let here = workshop();
    let ran = |param: &str| status(&here, "notify.php", "form", param);
    assert_eq!(ran("uids%5B0%5D=6&uids[]=34&content=it%27s+“tea”&"), ["done", "", ""]);
    let lines = "rowmill-1 6 \"it's “tea”\"\nrowmill-1 34 \"it's “tea”\"\n";
    assert_eq!(here.read("notices"), lines);
    assert_eq!(ran("uids[]=6"), ["dead", "rejected", "exit code 65: the param wants uids and content"]);
    // The same task once more, as after a death between the run and its settlement.
    let mut again = std::process::Command::new("scripts/notify.php");
    again.current_dir(here.folder()).env("ROWMILL_IDEMPOTENCY_KEY", "rowmill-1").env("ROWMILL_ATTEMPT", "2");
    here.write("param", "uids[]=6&uids[]=34&content=x");
    again.stdin(std::fs::File::open(here.path("param")).unwrap());
    assert_eq!(super::super::to_its_end(again).well(), "they are notified already\n");
    assert_eq!(here.read("notices"), lines);
    // Somebody else has the file.
    let held = std::fs::File::open(here.path("notices")).unwrap();
    held.lock().unwrap();
    assert_eq!(ran("uids[]=6&content=x"), ["delayed", "error", "exit code 75: somebody else writes notices"]);
}
