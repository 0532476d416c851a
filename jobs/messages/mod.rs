//! The pack of mass messages: one row asks for a message to many, so that a web request does not wait for it.
//!
//! `send_message` (params `uid`, `uids`, `content`, as a form or as JSON) keeps the text once and asks for one
//! `deliver_message` per recipient; a delivery names the text and the recipient, and is written into the pack's outbox
//! once and only once. So 100,000 recipients of 64 KiB are 64 KiB, not 6 GiB.
//! Keeping, asking and writing have to happen in the transaction that settles the task, which handlers cannot do in this
//! version. Until then the jobs are not registered; their params, their bounds and their statements are tested.

use rowmill::{NewTask, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most recipients of one message.
const MOST_RECIPIENTS: usize = 100_000;
/// The longest text, in bytes.
const LONGEST_CONTENT: usize = 64 * 1024;

/// The pack's tables, one statement each: texts by the task that was asked to send them, and what was delivered.
const TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS messages_text (
       message INTEGER PRIMARY KEY, uid INTEGER NOT NULL, content TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS messages_outbox (
       message INTEGER NOT NULL, uid INTEGER NOT NULL, PRIMARY KEY (message, uid)) WITHOUT ROWID",
];
/// Keeps a text: message, sender, content. The same task may try again.
const KEEP: &str = "INSERT OR IGNORE INTO messages_text (message, uid, content) VALUES (?1, ?2, ?3)";
/// Records a delivery: message, recipient. A second one of the same changes nothing.
const RECORD: &str = "INSERT OR IGNORE INTO messages_outbox (message, uid) VALUES (?1, ?2)";

/// `send_message`: a text from one to many.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct SendMessage {
    /// Who sends it.
    uid: u64,
    /// Who is to get it: 1 to 100,000, each of them once however often it stands here.
    uids: Vec<u64>,
    /// What it says: 1 to 65,536 bytes.
    content: String,
}

/// `deliver_message`: one recipient of a text that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct DeliverMessage {
    /// The task that was asked to send it.
    message: i64,
    /// Who is to get it.
    uid: u64,
}

impl SendMessage {
    const NAME: &'static str = "send_message";

    /// Why it can never be sent, if it cannot: what its task is rejected with.
    fn refusal(&self) -> Option<String> {
        let (count, bytes) = (self.uids.len(), self.content.len());
        if let Some(nobody) = [self.uid].iter().chain(&self.uids).find(|uid| !is_somebody(**uid)) {
            Some(format!("{nobody} is nobody's uid: they are 1 to {}", i64::MAX))
        } else if count == 0 {
            Some("it has no recipients: `uids` is empty".to_string())
        } else if count > MOST_RECIPIENTS {
            Some(format!("it has {count} recipients; {MOST_RECIPIENTS} at most"))
        } else if bytes == 0 {
            Some("it says nothing: `content` is empty".to_string())
        } else if bytes > LONGEST_CONTENT {
            Some(format!("its content has {bytes} bytes; {LONGEST_CONTENT} at most"))
        } else {
            None
        }
    }

    /// One task per recipient, in the order of their uids.
    fn deliveries(&self, message: i64) -> Result<Vec<NewTask>> {
        let recipients: BTreeSet<u64> = self.uids.iter().copied().collect();
        recipients
            .into_iter()
            .map(|uid| NewTask::json(DeliverMessage::NAME, &DeliverMessage { message, uid }))
            .collect()
    }
}

impl DeliverMessage {
    const NAME: &'static str = "deliver_message";
}

/// Databases count to 2^63 - 1, and nobody is 0.
fn is_somebody(uid: u64) -> bool {
    uid != 0 && i64::try_from(uid).is_ok()
}

#[cfg(test)]
mod tests;
