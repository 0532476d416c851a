//! The resident scheduler's place, and how many workers are to be there.

use super::{Sqlite, lock};
use crate::clock::Millis;
use crate::error::Result;
use crate::store::{Curb, Lock, Resident};
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::File;
use std::io::{Seek, Write};

/// The lock of whoever has the place.
const RESIDENT: &str = "resident";

pub(super) fn reside(store: &Sqlite, now_ms: Millis) -> Result<Option<Lock>> {
    let Some(mut file) = lock::try_lock_patiently(&store.run, RESIDENT)? else { return Ok(None) };
    say_who(&mut file, now_ms)?;
    Ok(Some(Lock(Box::new(file))))
}

fn say_who(file: &mut File, now_ms: Millis) -> Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    Ok(writeln!(file, "{}", serde_json::json!({ "pid": std::process::id(), "since": now_ms }))?)
}

pub(super) fn resident(store: &Sqlite) -> Result<Option<Resident>> {
    if !lock::is_locked(&store.run, RESIDENT)? {
        return Ok(None);
    }
    let text = std::fs::read_to_string(store.run.join(RESIDENT)).unwrap_or_default();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let pid = line["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
    Ok(Some(Resident { pid, since: line["since"].as_i64().unwrap_or(0) }))
}

pub(super) fn set_curb(store: &mut Sqlite, wanted: Option<&Curb>) -> Result<()> {
    if curb(&store.conn)?.as_ref() == wanted {
        return Ok(());
    }
    store.write(|tx| {
        tx.execute("DELETE FROM rowmill_curb", [])?;
        if let Some(curb) = wanted {
            let new = "INSERT INTO rowmill_curb (one, workers, since, why) VALUES (1, ?1, ?2, ?3)";
            tx.execute(new, params![curb.workers, curb.since, curb.why])?;
        }
        Ok(())
    })
}

pub(super) fn curb(conn: &Connection) -> Result<Option<Curb>> {
    let mut query = conn.prepare_cached("SELECT workers, since, why FROM rowmill_curb")?;
    Ok(query.query_row([], |r| Ok(Curb { workers: r.get(0)?, since: r.get(1)?, why: r.get(2)? })).optional()?)
}
