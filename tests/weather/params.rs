//! Params of every size and of any bytes, through Rust jobs and scripts: what arrives is what was asked for.

use crate::installation::{Installation, to_its_end};
use rusqlite::params;
use std::process::Command;

/// As many bytes as a param may have.
const MOST: usize = 16 << 20;

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let any: Vec<u8> = (0..=255u8).cycle().take(70_000).collect();
    vec![
        ("zero bytes", Vec::new()),
        ("a NUL", b"a\0b\0".to_vec()),
        ("invalid UTF-8", vec![0xff, 0xfe, b'x', 0xc3, 0x28, 0xed, 0xa0, 0x80]),
        ("all bytes, more than a pipe holds", any),
        ("16 MiB of any bytes", (0..MOST).map(|n| (n * 31 % 251) as u8).collect()),
        ("16 MiB of text", vec![b'x'; MOST]),
    ]
}

#[test]
fn scripts_read_what_was_asked_for_to_the_last_byte() {
    let here = Installation::new("workers = 2\n");
    here.script("sum", "cksum >&3\n");
    let mut wanted = Vec::new();
    for (name, bytes) in samples() {
        let file = here.path("param");
        std::fs::write(&file, &bytes).unwrap();
        let mut sum = Command::new("sh");
        sum.args(["-c", "cksum < \"$0\""]).arg(&file);
        let sum = to_its_end(sum).well();
        // By a program, by SQL as a blob, and by the command line, where the bytes are the same.
        here.sql().execute("INSERT INTO queue (job, param) VALUES ('sum', ?1)", params![bytes]).unwrap();
        here.run(&["enqueue", "sum", "--codec", "text", "--param-file", "param"]);
        wanted.push((name, sum.trim().to_string()));
    }
    here.run(&["drain"]).well();
    let conn = here.sql();
    for (at, (name, sum)) in wanted.iter().enumerate() {
        for id in [2 * at + 1, 2 * at + 2] {
            let look = "SELECT status, trim(CAST(result AS TEXT), char(10, 32)) FROM task WHERE id = ?1";
            let row: (String, Option<String>) = conn.query_row(look, [id], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
            assert_eq!(row, ("done".to_string(), Some(sum.clone())), "{name}, task {id}");
        }
    }
}

#[test]
fn rust_jobs_get_the_same_or_say_that_it_cannot_be_read() {
    let here = Installation::new("workers = 2\n");
    let conn = here.sql();
    let insert = |job: &str, param: &dyn rusqlite::ToSql| {
        conn.execute("INSERT INTO queue (job, param) VALUES (?1, ?2)", params![job, param]).unwrap();
        conn.last_insert_rowid()
    };
    // What takes anything takes 16 MiB of it too; JSON is read as such.
    let huge = format!("\"{}\"", "y".repeat(MOST - 2));
    let good = [insert("noop", &huge), insert("noop", &""), insert("echo", &"\"a\\u0000b\""), insert("echo", &"")];
    let bad = [insert("echo", &vec![0xff_u8, 0xfe]), insert("echo", &b"\"a\0b\"".to_vec())];
    let too_long = conn.execute("INSERT INTO queue (job, param) VALUES ('noop', zeroblob(16777217))", []);
    assert!(too_long.is_err_and(|e| e.to_string().contains("at most 16777216 bytes")), "it is refused with words");
    let said = here.run(&["drain"]);
    assert_eq!(said.code, Some(75), "what cannot be read is parked: {said:?}");
    let status = |id: i64| here.json(&["task", &id.to_string()])["status"].as_str().unwrap().to_string();
    assert_eq!(good.map(status), ["done"; 4]);
    assert_eq!(bad.map(status), ["parked"; 2]);
    assert_eq!(here.count("cause = 'undecodable' AND attempt = 0"), 2);
    let echoed = "SELECT CAST(result AS TEXT) FROM task WHERE id = ?1";
    assert_eq!(conn.query_row(echoed, [good[2]], |r| r.get::<_, String>(0)).unwrap(), "\"a\\u0000b\"");
}
