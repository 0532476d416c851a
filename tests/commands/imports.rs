//! `enqueue --from`: many tasks, one JSON object a line.
//!
//! What would be found here: a param whose text changes on its way, a wrong line that is passed over or that leaves half a
//! file behind, a row that no worker sees because its key is missing.

use crate::installation::{Installation, statuses};
use serde_json::{Value, json};

fn lines(count: usize) -> String {
    (1..=count).map(|n| format!("{{\"job\":\"echo\",\"param\":{n},\"priority\":{}}}\n", n % 3)).collect()
}

#[test]
fn each_line_is_a_row_as_it_says() {
    let here = Installation::new("");
    here.script("takes", "cat");
    here.write(
        "tasks.ndjson",
        concat!(
            "\u{feff}{\"job\":\"echo\",\"param\":{\"b\": 1, \"a\":[ ]}}\r\n",
            "\n   \n",
            "{\"job\":\"takes\",\"codec\":\"text\",\"param\":\"a\\nb\",\"priority\":-7,\"max_attempts\":9}\n",
            "{\"job\":\"noop\",\"run_at\":4102444800000,\"unique_key\":\"k\",\"codec\":null}\n",
            "{\"job\":\"noop\",\"unique_key\":\"k\"}\n",
            "{\"job\":\"noop\",\"param\":null}",
        ),
    );
    assert_eq!(here.run(&["enqueue", "--from", "tasks.ndjson", "--dry-run"]).well(), "5 tasks would be enqueued\n");
    assert_eq!(here.count("1"), 0);
    let answer = here.run(&["enqueue", "--from", "tasks.ndjson"]).well();
    assert_eq!(answer, "4 tasks enqueued; 1 had a unique_key that an unsettled task has\n");
    let row = |id: &str| {
        let row = here.json(&["task", id]);
        ["job", "param", "codec", "priority", "run_at", "unique_key", "max_attempts", "status"].map(|k| row[k].clone())
    };
    let null = Value::Null;
    let ready = json!("ready");
    let (echo, noop, zero) = (json!("echo"), json!("noop"), json!(0));
    let text = json!("{\"b\": 1, \"a\":[ ]}");
    assert_eq!(row("1"), [&echo, &text, &json!("json"), &zero, &null, &null, &null, &ready].map(Value::clone));
    assert_eq!(
        row("2"),
        [&json!("takes"), &json!("a\nb"), &json!("text"), &json!(-7), &null, &null, &json!(9), &ready]
            .map(Value::clone)
    );
    let (at, delayed) = (json!(4_102_444_800_000_i64), json!("delayed"));
    assert_eq!(
        row("3"),
        [&noop, &json!(""), &json!("json"), &zero, &at, &json!("k"), &null, &delayed].map(Value::clone)
    );
    assert_eq!(row("4")[1], "null");
    here.run(&["drain"]).well();
    assert_eq!(here.truth(), statuses([("done", 3), ("delayed", 1)]));
}

#[test]
fn thousands_are_enqueued_and_each_runs_once() {
    let here = Installation::new("workers = 3\n");
    here.write("many", &lines(2_500));
    assert_eq!(here.run(&["enqueue", "--from", "many"]).well(), "2,500 tasks enqueued\n");
    assert_eq!(here.run_with_input(&["enqueue", "--from", "-"], &lines(1_500)).well(), "1,500 tasks enqueued\n");
    here.run(&["drain"]).well();
    assert_eq!(here.queue(), statuses([("done", 4_000)]));
    assert_eq!(here.count("CAST(result AS TEXT) = param AND attempt = 1"), 4_000);
}

#[test]
fn a_wrong_line_of_a_file_leaves_nothing_of_it() {
    let here = Installation::new("");
    let mut text = lines(2_100);
    text += "{\"job\":\"noop\",\"priority\":\"high\"}\n{\"job\":\"noop\"}\n{\"job\":\"\"}\n";
    here.write("wrong", &text);
    for dry in [&[][..], &["--dry-run"]] {
        let said = here.run(&[&["enqueue", "--from", "wrong"], dry].concat());
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
        assert_eq!(
            said.err,
            "error: wrong:2101: invalid type: string \"high\", expected i64 (column 31)\n\
             error: wrong:2103: job must be a name of 1 to 200 characters\n\
             hint: nothing was enqueued; mend these lines first\n"
        );
    }
    here.write("worse", &"no\n".repeat(15));
    let said = here.run(&["enqueue", "--from", "worse"]);
    assert!(said.err.lines().count() == 12 && said.err.contains("worse:10: ") && !said.err.contains("worse:11: "));
    assert!(said.err.contains("error: worse: 5 more lines are wrong\n"), "{said:?}");
    assert_eq!(here.count("1"), 0);
}

#[test]
fn a_wrong_line_of_a_stream_says_how_many_were_before() {
    let here = Installation::new("");
    for (right, before, hint) in [
        (2_100, 2_000, "2,000 tasks had been enqueued before; they stay"),
        (999, 0, "nothing was enqueued"),
        (1_000, 1_000, "1,000 tasks had been enqueued before; they stay"),
    ] {
        let earlier = here.count("1");
        let text = lines(right) + "{\"job\":\"noop\",\"id\":7}\n" + &lines(5);
        let said = here.run_with_input(&["enqueue", "--from", "-"], &text);
        assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
        let line = right + 1;
        assert!(said.err.starts_with(&format!("error: stdin:{line}: unknown field `id`")), "{said:?}");
        assert!(said.err.ends_with(&format!("hint: {hint}\n")), "{said:?}");
        assert_eq!(here.count("1") - earlier, before);
    }
}

#[test]
fn what_cannot_be_read_or_meant_is_refused() {
    let here = Installation::new("");
    here.write("one", "{\"job\":\"stranger\"}\n");
    for (args, error) in [
        (&["enqueue", "--from", "gone"][..], "error: gone: No such file or directory"),
        (&["enqueue", "--from", "scripts"], "error: scripts: "),
        (&["enqueue", "noop", "--from", "one"], "error: the argument '[JOB]' cannot be used with '--from <FILE>'"),
        (
            &["enqueue", "--from", "one", "--delay", "1s"],
            "error: the argument '--from <FILE>' cannot be used with '--delay <SPAN>'",
        ),
        (&["enqueue", "noop", "--dry-run"], "error: the argument '[JOB]' cannot be used with '--dry-run'"),
        (&["enqueue", "--dry-run"], "error: the following required arguments were not provided"),
    ] {
        std::fs::create_dir_all(here.path("scripts")).unwrap();
        let said = here.run(args);
        assert!(said.code != Some(0) && said.out.is_empty(), "{args:?}: {said:?}");
        assert!(said.err.starts_with(error) && !said.err.contains("panicked"), "{args:?}: {said:?}");
    }
    assert_eq!(here.count("1"), 0);
    let said = here.run(&["enqueue", "--from", "one"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "1 task enqueued\n"));
    assert_eq!(said.err, "note: no job `stranger` is known here; its tasks are parked until a worker knows it\n");
    here.write("empty", "\n");
    assert_eq!(here.run(&["enqueue", "--from", "empty"]).well(), "0 tasks enqueued\n");
}
