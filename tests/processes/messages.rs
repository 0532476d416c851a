//! The pack of mass messages: one row of an application's, one delivery for each recipient, whoever is killed meanwhile.
//!
//! What would be found here: recipients who are passed over or asked for twice, a text that is not kept with its
//! deliveries, params that PHP writes and the job does not read, refusals without words.

use crate::installation::{BOUND, Installation, pause, signal, statuses, within};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;

const RECIPIENTS: i64 = 2_500;

/// Counts deliveries as they are made, and makes each take some milliseconds, so that kills come in between.
const TALLY: &str = "
CREATE TABLE tally (uid INTEGER);
CREATE TRIGGER tally AFTER INSERT ON messages_outbox BEGIN
  INSERT INTO tally SELECT new.uid WHERE
    (SELECT max(i) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT i FROM n)) > 0;
END";

/// Inserts a row as an application does; answers its id.
fn insert(here: &Installation, job: &str, codec: &str, param: &str) -> i64 {
    let insert = "INSERT INTO queue (job, codec, param) VALUES (?1, ?2, ?3) RETURNING id";
    here.sql().query_row(insert, [job, codec, param], |r| r.get(0)).unwrap()
}

fn number(here: &Installation, sql: &str) -> i64 {
    here.sql().query_row(sql, [], |r| r.get(0)).unwrap()
}

/// How many rows the outbox has; 0 while there is none.
fn delivered(here: &Installation) -> i64 {
    let outbox = "SELECT count(*) FROM sqlite_schema WHERE name = 'messages_outbox'";
    if number(here, outbox) == 0 { 0 } else { number(here, "SELECT count(*) FROM messages_outbox") }
}

#[test]
fn each_of_thousands_gets_the_message_once_although_workers_are_killed() {
    let here = Installation::new("workers = 4\n");
    here.run(&["tick"]).well();
    let workers = here.await_workers(4);
    insert(&here, "send_message", "form", "uid=4&uids[]=1&content=first");
    within(BOUND, "the pack's tables", || (here.done() == 2).then_some(()));
    here.sql().execute_batch(TALLY).unwrap();
    let uids: String = (1..=RECIPIENTS).rev().map(|uid| format!("&uids%5B%5D={uid}")).collect();
    let message = insert(&here, "send_message", "form", &format!("uid=4{uids}&content=It%27s+5+o%27clock+%26+tea"));
    for (index, after) in [(1, 1), (3, 500)] {
        within(BOUND, "some deliveries", || (delivered(&here) > after).then_some(()));
        signal(workers[&index], Signal::KILL);
    }
    assert!(delivered(&here) <= RECIPIENTS, "they were killed too late to prove anything");
    let all = u64::try_from(RECIPIENTS).unwrap() + 3;
    within(BOUND, "all tasks to be done", || {
        here.run(&["tick"]).well();
        pause(Duration::from_millis(200));
        (here.done() == all).then_some(())
    });
    assert_eq!(here.truth(), statuses([("done", all)]));

    let right = format!("SELECT count(*) FROM messages_outbox WHERE message = {message} AND uid BETWEEN 1 AND 2500");
    assert_eq!((delivered(&here), number(&here, &right)), (RECIPIENTS + 1, RECIPIENTS));
    assert_eq!(number(&here, "SELECT count(*) FROM tally"), RECIPIENTS);
    let kept = "SELECT message, uid, content FROM messages_text ORDER BY message DESC";
    let kept: (i64, i64, String) = here.sql().query_row(kept, [], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).unwrap();
    assert_eq!(kept, (message, 4, "It's 5 o'clock & tea".to_string()));
    let asked = format!("job = 'deliver_message' AND parent = {message} AND error IS NULL");
    assert_eq!(here.count(&asked), RECIPIENTS);
    let distinct = format!("SELECT count(DISTINCT param) FROM task WHERE parent = {message}");
    assert_eq!(number(&here, &distinct), RECIPIENTS, "a recipient was asked for twice");
    let last = number(&here, "SELECT max(id) FROM task").to_string();
    assert!(here.run(&["task", &last]).well().contains(&format!("parent        {message}\n")));
}

#[test]
fn json_says_the_same_and_the_outbox_keeps_messages_apart() {
    let here = Installation::new("workers = 1\n");
    let insert = |codec, param| insert(&here, "send_message", codec, param);
    let first = insert("json", r#"{"uid":4,"uids":[34,6,34],"content":"one"}"#);
    let second = insert("form", "uid=6&uids[]=34&content=two&");
    here.sql().execute("UPDATE queue SET priority = 5 WHERE id = ?1", [second]).unwrap();
    here.run(&["drain"]).well();
    let outbox = "SELECT json_group_array(json_array(t.uid, o.uid, t.content))
                    FROM messages_outbox o JOIN messages_text t USING (message)";
    let outbox: String = here.sql().query_row(outbox, [], |r| r.get(0)).unwrap();
    let outbox: Value = serde_json::from_str(&outbox).unwrap();
    assert_eq!(outbox, json!([[4, 6, "one"], [4, 34, "one"], [6, 34, "two"]]));
    assert_eq!(here.json(&["task", &first.to_string()])["result"], "2 recipients");
    assert_eq!(here.count(&format!("parent = {second} AND priority = 5 AND status = 'done'")), 1);
    assert_eq!(here.queue(), statuses([("done", 5)]));
}

#[test]
fn what_can_never_be_sent_is_refused_with_words() {
    let here = Installation::new("workers = 1\n");
    let cases = [
        ("send_message", "form", "uid=4&content=x", "parked", "missing field `uids`"),
        ("send_message", "json", r#"{"uid":4,"uids":["six"],"content":"x"}"#, "parked", "expected u64"),
        ("send_message", "json", r#"{"uid":4,"uids":[],"content":"x"}"#, "dead", "`uids` is empty"),
        ("send_message", "form", "uid=4&uids[]=0&content=x", "dead", "0 is nobody's uid"),
        ("deliver_message", "json", r#"{"message":1,"uid":0}"#, "dead", "0 is nobody's uid"),
        ("deliver_message", "json", r#"{"message":1,"uid":6}"#, "delayed", "there is no message 1"),
    ];
    let ids = cases.map(|(job, codec, param, ..)| insert(&here, job, codec, param));
    here.run(&["work", "--index", "0", "--drain"]).well();
    for (id, (.., param, status, words)) in ids.iter().zip(cases) {
        let task = here.json(&["task", &id.to_string()]);
        let error = task["error"].as_str().unwrap_or_default();
        assert!(task["status"] == status && error.contains(words), "{param}: {task}");
    }
    assert_eq!(delivered(&here), 0);
}
