//! What the statements of effects may do, and for how long.
//!
//! Every statement is prepared under an authorizer, which is asked then and never while it runs. It allows everything,
//! except while an effect speaks: that one may do what an application may, and nothing about the transaction that it is a
//! guest in. The triggers of the row contract, which its statements set off, are the engine's own.
#![allow(unsafe_code)]

use crate::clock::Watch;
use crate::error::Result;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, ffi};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Instructions of SQLite's machine between two looks at the time: some microseconds.
const LOOK_EVERY: i32 = 1_000;

/// Watches over the effects of one connection. Clones are the same guard.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    in_effect: AtomicBool,
    limit: Mutex<Option<(Watch, Duration)>>,
    refused: Mutex<Option<&'static str>>,
}

impl Guard {
    /// Sets a guard over a new connection.
    pub(super) fn over(conn: &mut Connection) -> Result<Guard> {
        let guard = Guard::default();
        let shared = Arc::clone(&guard.0);
        conn.authorizer(Some(move |asked: AuthContext<'_>| {
            let refusal = if shared.in_effect.load(Ordering::Relaxed) { refusal(&asked) } else { None };
            match refusal {
                None => Authorization::Allow,
                Some(why) => {
                    *shared.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                    Authorization::Deny
                }
            }
        }))?;
        Ok(guard)
    }

    /// Begins to look at the time while statements run.
    pub(super) fn watch(&self, conn: &mut Connection) -> Result<()> {
        let guard = self.clone();
        Ok(conn.progress_handler(LOOK_EVERY, Some(move || guard.is_over()))?)
    }

    /// Ends looking at the time.
    pub(super) fn unwatch(conn: &mut Connection) -> Result<()> {
        Ok(conn.progress_handler(0, None::<fn() -> bool>)?)
    }

    /// An effect begins to speak; it ends when what is answered is dropped.
    pub(super) fn effect(&self, limit: Duration) -> Speaking<'_> {
        *self.0.limit.lock().unwrap_or_else(PoisonError::into_inner) = Some((Watch::start(), limit));
        self.0.in_effect.store(true, Ordering::Relaxed);
        Speaking(self)
    }

    /// Whether the effect that speaks has had its time.
    pub(super) fn is_over(&self) -> bool {
        let limit = self.0.limit.lock().unwrap_or_else(PoisonError::into_inner);
        limit.is_some_and(|(since, limit)| since.left_of(limit).is_zero())
    }

    /// Why a statement was refused last.
    pub(super) fn refused(&self) -> &'static str {
        self.0.refused.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or("an effect may not do that")
    }
}

/// An effect that speaks.
#[derive(Debug)]
pub(super) struct Speaking<'a>(&'a Guard);

impl Drop for Speaking<'_> {
    fn drop(&mut self) {
        self.0.0.in_effect.store(false, Ordering::Relaxed);
        *self.0.0.limit.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// How many foreign keys of the transaction point nowhere yet: its commit would fail.
pub(super) fn dangling(conn: &Connection) -> bool {
    let (mut now, mut most) = (0, 0);
    // SAFETY: the handle is that of the connection that is borrowed, and the call writes two integers.
    let code =
        unsafe { ffi::sqlite3_db_status(conn.handle(), ffi::SQLITE_DBSTATUS_DEFERRED_FKS, &mut now, &mut most, 0) };
    code == ffi::SQLITE_OK && now != 0
}

/// Why an effect may not do what is asked; `None` when it may.
fn refusal(asked: &AuthContext<'_>) -> Option<&'static str> {
    use AuthAction::*;
    // What our own triggers do in answer to a lawful statement is lawful. No effect can make a trigger.
    if asked.accessor.is_some_and(is_ours) {
        return None;
    }
    const OURS: &str = "what begins with rowmill_ belongs to the engine: an effect may read it and not write to it";
    let ours = |is: bool| is.then_some(OURS);
    match asked.action {
        Transaction { .. } | Savepoint { .. } => {
            Some("the transaction of an effect is the engine's to begin and to end")
        }
        Attach { .. } | Detach { .. } => Some("an effect may not attach or detach databases"),
        Pragma { pragma_name, pragma_value } => {
            let harmless = pragma_value.is_none() && ["data_version", "page_size"].contains(&pragma_name);
            (!harmless).then_some("an effect may not use PRAGMA")
        }
        CreateTempIndex { .. } | CreateTempTable { .. } | CreateTempTrigger { .. } | CreateTempView { .. } => {
            Some("an effect may not make anything temporary: it would outlive the transaction")
        }
        CreateTrigger { .. } | DropTrigger { .. } | DropTempTrigger { .. } => Some("an effect may not change triggers"),
        Update { table_name, column_name } if is(table_name, "queue") => {
            let lawful = ["priority", "run_at", "param", "status"].iter().any(|column| is(column_name, column));
            (!lawful).then_some("of a row of queue an effect may change priority, run_at, param and status")
        }
        Insert { table_name } | Delete { table_name } => ours(is_ours(table_name) || is(table_name, "sqlite_sequence")),
        Update { table_name, .. } => ours(is_ours(table_name) || is(table_name, "sqlite_sequence")),
        CreateTable { table_name } | CreateView { view_name: table_name } => ours(is_ours(table_name)),
        CreateVtable { table_name, .. } | DropVtable { table_name, .. } => ours(is_ours(table_name)),
        CreateIndex { table_name, .. }
        | DropIndex { table_name, .. }
        | DropTable { table_name }
        | DropView { view_name: table_name }
        | AlterTable { table_name, .. } => {
            ours(is_ours(table_name) || is(table_name, "queue") || is(table_name, "task"))
        }
        Analyze { .. } => Some("an effect may not analyze"),
        Function { function_name } => {
            is(function_name, "load_extension").then_some("an effect may not load extensions")
        }
        Read { .. }
        | Select
        | Recursive
        | Reindex { .. }
        | DropTempIndex { .. }
        | DropTempTable { .. }
        | DropTempView { .. } => None,
        _ => Some("an effect may not do that"),
    }
}

fn is(name: &str, word: &str) -> bool {
    name.eq_ignore_ascii_case(word)
}

fn is_ours(name: &str) -> bool {
    name.get(..8).is_some_and(|start| is(start, "rowmill_"))
}
