//! What can be asked of the pack: params of every origin are one message, bounds have words, a delivery counts once.

use super::{DeliverMessage, KEEP, LONGEST_CONTENT, MOST_RECIPIENTS, RECORD, SendMessage, TABLES};
use rowmill::{Codec, NewTask, decode};
use rusqlite::Connection;

fn message(uid: u64, uids: Vec<u64>, content: &str) -> SendMessage {
    SendMessage { uid, uids, content: content.to_string() }
}

#[test]
fn a_form_and_json_ask_for_the_same() {
    let wanted = Ok(message(4, vec![6, 34], "xxx"));
    for form in [
        "uid=4&uids[]=6&uids[]=34&content=xxx",
        "uid=4&uids%5B0%5D=6&uids%5B1%5D=34&content=xxx&",
        "uid=4&uids[0]=6&uids[2]=34&content=xxx",
    ] {
        assert_eq!(decode(Codec::Form, form.as_bytes()), wanted, "{form}");
    }
    assert_eq!(decode(Codec::Json, br#"{"uid":4,"uids":[6,34],"content":"xxx"}"#), wanted);
    let missing = decode::<SendMessage>(Codec::Form, b"uid=4&content=xxx").unwrap_err();
    assert_eq!(missing, "param is not what the job takes: missing field `uids`");
}

#[test]
fn bounds_have_words() {
    let refusal = |uid, uids, content: &str| message(uid, uids, content).refusal().unwrap_or_default();
    assert_eq!(refusal(4, vec![6; MOST_RECIPIENTS], &"x".repeat(LONGEST_CONTENT)), "");
    assert_eq!(refusal(4, vec![], "x"), "it has no recipients: `uids` is empty");
    assert_eq!(refusal(4, vec![6; MOST_RECIPIENTS + 1], "x"), "it has 100001 recipients; 100000 at most");
    assert_eq!(refusal(4, vec![6], ""), "it says nothing: `content` is empty");
    assert_eq!(refusal(4, vec![6], &"ü".repeat(LONGEST_CONTENT / 2 + 1)), "its content has 65538 bytes; 65536 at most");
    let largest = u64::try_from(i64::MAX).unwrap();
    assert_eq!(refusal(largest, vec![largest], "x"), "");
    for (uid, uids) in [(0, vec![6]), (4, vec![6, 0]), (largest + 1, vec![6]), (4, vec![largest + 1])] {
        let said = refusal(uid, uids, "x");
        assert!(said.ends_with("is nobody's uid: they are 1 to 9223372036854775807"), "{said}");
    }
}

#[test]
fn each_recipient_is_asked_for_once_and_without_the_text() {
    let tasks = message(4, vec![34, 6, 34], &"x".repeat(LONGEST_CONTENT)).deliveries(7).unwrap();
    let delivery = |task: &NewTask| decode::<DeliverMessage>(task.codec, &task.param).unwrap();
    let wanted = [6, 34].map(|uid| DeliverMessage { message: 7, uid });
    assert_eq!(tasks.iter().map(delivery).collect::<Vec<_>>(), wanted);
    assert!(tasks.iter().all(|task| task.job == DeliverMessage::NAME && task.param.len() < 64));
    assert_eq!((SendMessage::NAME, DeliverMessage::NAME), ("send_message", "deliver_message"));
}

#[test]
fn a_delivery_is_recorded_once() {
    let db = Connection::open_in_memory().unwrap();
    for table in TABLES.iter().chain(&TABLES) {
        db.execute(table, []).unwrap();
    }
    let keep = |content: &str| db.execute(KEEP, (7, 4, content)).unwrap();
    assert_eq!((keep("first"), keep("second")), (1, 0));
    let record = |uid: u64| db.execute(RECORD, (7, uid)).unwrap();
    assert_eq!((record(6), record(34), record(6)), (1, 1, 0));
    let kept = "SELECT content FROM messages_text t JOIN messages_outbox o USING (message) WHERE o.uid = 34";
    assert_eq!(db.query_row(kept, [], |row| row.get::<_, String>(0)).unwrap(), "first");
}
