//! Ids near their bound: what can be inserted is, and runs; what cannot be is refused with words, and nothing wraps.

use crate::installation::{Installation, statuses};

#[test]
fn the_last_ids_are_given_and_then_none() {
    let here = Installation::new("workers = 3\n");
    here.insert(1, "noop", "");
    let near = "UPDATE sqlite_sequence SET seq = 9223372036854775797 WHERE name = 'queue'";
    assert_eq!(here.sql().execute(near, []).unwrap(), 1);
    // Of ten that are left: some by SQL, some by the command line, one that waits.
    here.insert(4, "noop", "");
    for _ in 0..4 {
        here.run(&["enqueue", "noop"]).well();
    }
    here.run(&["enqueue", "noop", "--delay", "1h"]).well();
    let gone = here.run(&["enqueue", "noop"]);
    assert_eq!(gone.code, Some(0), "the tenth: {gone:?}");
    let last = here.sql().query_row("SELECT max(id) FROM queue", [], |r| r.get::<_, i64>(0)).unwrap();
    assert_eq!(last, i64::MAX);
    let words = "error: all ids of this database are used up";
    for args in [&["enqueue", "noop"][..], &["enqueue", "--from", "many"], &["scale", "5"]] {
        here.write("many", "{\"job\":\"noop\"}\n{\"job\":\"noop\"}\n");
        let said = here.run(args);
        assert!(said.code == Some(1) && said.err.starts_with(words), "{args:?}: {said:?}");
    }
    assert!(here.sql().execute("INSERT INTO queue (job) VALUES ('noop')", []).is_err());
    here.run(&["drain"]).well();
    assert_eq!(here.truth(), statuses([("delayed", 1), ("done", 10)]));
    assert_eq!(here.count("id <= 0"), 0, "nothing wraps");
    assert_eq!(here.json(&["task", &i64::MAX.to_string()])["status"], "done");
    here.run(&["release", &(i64::MAX - 1).to_string()]);
    here.run(&["drain"]).well();
    assert_eq!(here.queue(), statuses([("done", 11)]));
}
