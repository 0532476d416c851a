//! Follow-ups: tasks that a done task has asked for.
//!
//! The first of them are inserted in the transaction that settles their parent. What is more is written down there, in
//! chunks, and each chunk leaves in the transaction that inserts what is in it. So at every commit each of them stands in
//! exactly one place, and whoever dies between two commits leaves the rest to whoever looks next.

use super::company::Failure;
use super::{Sqlite, enqueue, plan};
use crate::error::Kind;
use crate::error::Result;
use crate::store::{Enqueued, FOLLOW_UPS_AT_ONCE};
use crate::task::{Codec, NewTask, Partition};
use rusqlite::{OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

/// Inserts the first follow-ups of a task that is settled in this transaction, and writes the rest down.
pub(super) fn insert(tx: &Transaction<'_>, parent: i64, tasks: &[NewTask]) -> std::result::Result<(), Failure> {
    let (now, later) = tasks.split_at(tasks.len().min(FOLLOW_UPS_AT_ONCE));
    let Inserted { refused, .. } = insert_rows(tx, parent, now)?;
    if let Some((_, why)) = refused.into_iter().next() {
        return Err(Failure::Refused(why));
    }
    let keep = "INSERT INTO rowmill_followup (parent, tasks) VALUES (?1, ?2)";
    for chunk in later.chunks(FOLLOW_UPS_AT_ONCE) {
        tx.prepare_cached(keep)?.execute(params![parent, written(chunk)])?;
    }
    Ok(())
}

/// What came of inserting some follow-ups.
struct Inserted {
    ids: Vec<i64>,
    /// Those that something refused, a trigger of an application's for instance, and its words.
    refused: Vec<(NewTask, String)>,
}

fn insert_rows(tx: &Transaction<'_>, parent: i64, tasks: &[NewTask]) -> Result<Inserted> {
    let mut inserted = Inserted { ids: Vec::new(), refused: Vec::new() };
    for task in tasks {
        match enqueue::insert(tx, task) {
            Ok(Enqueued::New(id)) => inserted.ids.push(id),
            Ok(Enqueued::Exists(_)) => {}
            Err(e) if e.kind() == Kind::Usage => inserted.refused.push((task.clone(), e.to_string())),
            Err(e) => return Err(e),
        }
        if tx.is_autocommit() {
            // Whatever refused it has ended the transaction; nothing more may be written outside of one.
            break;
        }
    }
    // Nobody else inserts meanwhile, so these are all the ids between the first and the last.
    if let (Some(first), Some(last), false) = (inserted.ids.first(), inserted.ids.last(), tx.is_autocommit()) {
        let say = "UPDATE queue SET parent = ?1 WHERE id BETWEEN ?2 AND ?3";
        tx.prepare_cached(say)?.execute(params![parent, first, last])?;
    }
    Ok(inserted)
}

/// Inserts the next chunk.
pub(super) fn spread(store: &mut Sqlite) -> Result<Option<Vec<Partition>>> {
    let next = "SELECT chunk, parent, tasks FROM rowmill_followup WHERE error IS NULL ORDER BY chunk LIMIT 1";
    let waits = "SELECT 1 FROM rowmill_followup WHERE error IS NULL LIMIT 1";
    if store.conn.prepare_cached(waits)?.query_row([], |_| Ok(())).optional()?.is_none() {
        return Ok(None);
    }
    let mut destroyed = None;
    let touched = store.write(|tx| {
        let found = tx.prepare_cached(next)?.query_row([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).optional()?;
        let Some((chunk, parent, text)): Option<(i64, i64, String)> = found else { return Ok(None) };
        let tasks = match read(&text) {
            Ok(tasks) => tasks,
            Err(why) => {
                set_aside(tx, chunk, &text, &why)?;
                return Ok(Some(Vec::new()));
            }
        };
        let Inserted { ids, refused } = insert_rows(tx, parent, &tasks)?;
        if tx.is_autocommit() {
            let why = refused.into_iter().last().map(|(_, why)| why).unwrap_or_default();
            destroyed = Some((chunk, text, why));
            return Ok(None);
        }
        match refused.last() {
            None => {
                tx.prepare_cached("DELETE FROM rowmill_followup WHERE chunk = ?1")?.execute([chunk])?;
            }
            Some((_, why)) => {
                let left: Vec<NewTask> = refused.iter().map(|(task, _)| task.clone()).collect();
                log::error!("{} follow-ups of task {parent} are refused, and kept: {why}", left.len());
                set_aside(tx, chunk, &written(&left), why)?;
            }
        }
        let plan = plan(tx)?;
        let mut touched: Vec<Partition> = ids.iter().map(|id| plan.partition_of(*id)).collect();
        touched.sort_unstable();
        touched.dedup();
        Ok(Some(touched))
    });
    match destroyed {
        None => touched,
        Some((chunk, text, why)) => store.write(|tx| {
            log::error!("a thousand follow-ups are refused together, and kept: {why}");
            set_aside(tx, chunk, &text, &why)?;
            Ok(Some(Vec::new()))
        }),
    }
}

/// Keeps a chunk for a person to look at.
fn set_aside(tx: &Transaction<'_>, chunk: i64, tasks: &str, why: &str) -> Result<()> {
    let say = "UPDATE rowmill_followup SET tasks = ?2, error = ?3 WHERE chunk = ?1";
    tx.prepare_cached(say)?.execute(params![chunk, tasks, why])?;
    Ok(())
}

/// A follow-up as it is written down.
#[derive(Serialize, Deserialize)]
struct Kept {
    job: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The param, where it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<Vec<u8>>,
    codec: String,
    priority: i64,
    run_at: Option<i64>,
    unique_key: Option<String>,
    max_attempts: Option<u32>,
}

fn written(tasks: &[NewTask]) -> String {
    let kept: Vec<Kept> = tasks.iter().map(kept).collect();
    // A list of texts and numbers can always be written.
    serde_json::to_string(&kept).unwrap_or_default()
}

fn kept(task: &NewTask) -> Kept {
    let text = std::str::from_utf8(&task.param).ok().map(str::to_string);
    Kept {
        job: task.job.clone(),
        bytes: if text.is_none() { Some(task.param.clone()) } else { None },
        text,
        codec: task.codec.word().to_string(),
        priority: task.priority,
        run_at: task.run_at_ms,
        unique_key: task.unique_key.clone(),
        max_attempts: task.max_attempts,
    }
}

fn read(text: &str) -> std::result::Result<Vec<NewTask>, String> {
    let kept: Vec<Kept> = serde_json::from_str(text).map_err(|e| format!("they cannot be read: {e}"))?;
    kept.into_iter()
        .map(|one| {
            let codec = Codec::from_word(&one.codec).ok_or_else(|| format!("there is no codec `{}`", one.codec))?;
            Ok(NewTask {
                job: one.job,
                param: one.text.map(String::into_bytes).or(one.bytes).unwrap_or_default(),
                codec,
                priority: one.priority,
                run_at_ms: one.run_at,
                unique_key: one.unique_key,
                max_attempts: one.max_attempts,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_down_reads_back_as_it_was() {
        let tasks = [
            NewTask::of("a", "{\"x\":\"\\u0000ä\"}"),
            NewTask {
                codec: Codec::Bincode,
                priority: -7,
                run_at_ms: Some(100_000_000_000),
                unique_key: Some("k".into()),
                max_attempts: Some(3),
                ..NewTask::of("b", vec![0xff, 0, 0xfe])
            },
        ];
        assert_eq!(read(&written(&tasks)).unwrap(), tasks);
    }

    fn any_task() -> impl Strategy<Value = NewTask> {
        let param =
            prop_oneof![any::<String>().prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..20)];
        let codec = proptest::sample::select(vec![Codec::Json, Codec::Form, Codec::Bincode, Codec::Text]);
        let rest = (any::<Option<i64>>(), any::<Option<String>>(), any::<Option<u32>>());
        (any::<String>(), param, codec, any::<i64>(), rest).prop_map(
            |(job, param, codec, priority, (run_at_ms, unique_key, max_attempts))| NewTask {
                job,
                param,
                codec,
                priority,
                run_at_ms,
                unique_key,
                max_attempts,
            },
        )
    }

    proptest! {
        #[test]
        fn any_tasks_read_back_as_they_were(tasks in proptest::collection::vec(any_task(), 0..5)) {
            let text = written(&tasks);
            prop_assert_eq!(read(&text).unwrap(), tasks);
            // A text that was cut, wherever, is no other list of tasks.
            for (at, _) in text.char_indices() {
                prop_assert!(read(&text[..at]).is_err());
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "([\\[\\]{}:,0-9]|\"(job|text|bytes|codec|json|priority|run_at|x)\"|null|\\PC){0,40}") {
            if let Err(why) = read(&text) {
                prop_assert!(!why.is_empty());
            }
        }
    }
}
