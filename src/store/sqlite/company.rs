//! Settlements with company: effects and follow-ups, in the transaction that settles their task.
//!
//! Each accompanied task has a savepoint of its own. When its company fails, everything of that task is undone, it is
//! answered as refused, and its neighbours settle. Where an effect destroys the whole transaction (`ON CONFLICT ROLLBACK`,
//! a write that was broken off), the group is replayed without it. What is the machine's fault (a full disk) is nobody's:
//! then nothing is settled, and the call is made again.

use super::guard::{Guard, dangling};
use super::settle::{Pen, Written, settle_group, settle_one};
use super::{Sqlite, explain, followup, known};
use crate::clock::world;
use crate::error::{Error, Kind, Result};
use crate::store::{Hold, Settled, Settling, Verdict};
use crate::task::{Company, JobError, Right, Statements, Tx, Value, panic_text, span_text};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql, Transaction, params_from_iter};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Why company could not be brought in.
#[derive(Debug)]
pub(super) enum Failure {
    /// The task's own: a failed attempt.
    Refused(String),
    /// Nobody's.
    Grave(Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Failure {
        Failure::Grave(e)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(e: rusqlite::Error) -> Failure {
        Failure::Grave(explain(&e))
    }
}

/// Runs `write` with effects watched over.
pub(super) fn guarded<T>(store: &mut Sqlite, write: impl FnOnce(&mut Sqlite, &Guard) -> Result<T>) -> Result<T> {
    let guard = store.guard.clone();
    guard.watch(&mut store.conn)?;
    let answer = write(store, &guard);
    Guard::unwatch(&mut store.conn)?;
    answer
}

/// Settles a group of which some have company.
pub(super) fn settle(store: &mut Sqlite, hold: &Hold, settled: &[Settled], orphans: &[Right]) -> Result<Settling> {
    if world::broken("follow-ups apart") {
        for (one, company) in settled.iter().filter_map(|one| Some((one, one.ended.company.as_ref()?))) {
            store.write(|tx| {
                let inserted = followup::insert(tx, one.right.id, &company.follow_ups);
                inserted.map_err(|_| Error::failed("a follow-up was refused"))
            })?;
        }
    }
    let run = known::folder_to_ask(store, settled);
    guarded(store, |store, guard| {
        let mut refused: BTreeMap<i64, String> = BTreeMap::new();
        loop {
            let mut destroyed = None;
            let settling =
                store.write(|tx| {
                    settle_group(tx, hold, settled, orphans, run.clone(), &mut |pen, one| match refused
                        .get(&one.right.id)
                    {
                        Some(why) => Ok(Verdict::Refused(why.clone()).into()),
                        None => settle_accompanied(pen, guard, hold, one, &mut destroyed),
                    })
                });
            match destroyed {
                Some(why) => refused.extend([why]),
                None => return settling,
            }
        }
    })
}

/// Settles one task of a group; `destroyed` says whose company has ended the group's transaction, and why.
fn settle_accompanied(
    pen: &mut Pen<'_>,
    guard: &Guard,
    hold: &Hold,
    one: &Settled,
    destroyed: &mut Option<(i64, String)>,
) -> Result<Written> {
    let Some(company) = &one.ended.company else { return settle_one(pen, hold, one) };
    let (tx, id) = (pen.tx, one.right.id);
    tx.prepare_cached("SAVEPOINT rowmill_company")?.execute([])?;
    let mut written = settle_one(pen, hold, one)?;
    if written.verdict == Verdict::Written {
        // What foreign code does here can be the worker's end.
        hold.note().settles((!company.effects.is_empty()).then_some(id));
        let brought = bring(tx, guard, id, company);
        hold.note().settles(None);
        match brought {
            Ok(()) => {}
            Err(Failure::Grave(e)) => return Err(e),
            Err(Failure::Refused(why)) if tx.is_autocommit() => {
                let ended = Error::failed(format!("task {id} has ended the transaction"));
                *destroyed = Some((id, why));
                return Err(ended);
            }
            Err(Failure::Refused(why)) => {
                tx.prepare_cached("ROLLBACK TO rowmill_company")?.execute([])?;
                written = Verdict::Refused(why).into();
            }
        }
    }
    tx.prepare_cached("RELEASE rowmill_company")?.execute([])?;
    Ok(written)
}

/// Brings the company of a settled task in. After a failure the caller undoes what was done of it.
pub(super) fn bring(
    tx: &Transaction<'_>,
    guard: &Guard,
    id: i64,
    company: &Company,
) -> std::result::Result<(), Failure> {
    if !company.effects.is_empty() {
        run_effects(tx, guard, company)?;
    }
    if world::broken("follow-ups apart") {
        return Ok(());
    }
    followup::insert(tx, id, &company.follow_ups)
}

fn run_effects(tx: &Transaction<'_>, guard: &Guard, company: &Company) -> std::result::Result<(), Failure> {
    let guest = Guest { conn: tx, guard, grave: RefCell::default() };
    let speaking = guard.effect(Duration::from_millis(company.limit_ms));
    let (mut acted, mut panicked) = (Ok(()), false);
    for effect in &company.effects {
        let act = AssertUnwindSafe(|| effect.act(&Tx(&guest)));
        acted = match catch_unwind(act) {
            Ok(acted) => acted.map_err(|e| e.message().to_string()),
            Err(panic) => {
                panicked = true;
                Err(panic_text(&*panic))
            }
        };
        if acted.is_err() {
            break;
        }
    }
    let took_too_long = guard.is_over();
    drop(speaking);
    if let Some(e) = guest.grave.take() {
        return Err(Failure::Grave(e));
    }
    if took_too_long {
        // What a panic says is told as well: it may be why it took so long, as its report does.
        let also = acted.err().filter(|_| panicked).map(|said| format!(", and {said}")).unwrap_or_default();
        let limit = span_text(company.limit_ms);
        return Err(Failure::Refused(format!("the effect took longer than {limit}{also}")));
    }
    acted.map_err(Failure::Refused)?;
    if tx.is_autocommit() {
        return Err(Failure::Refused(ENDED.to_string()));
    }
    match dangling(tx) {
        true => Err(Failure::Refused("the effect leaves a foreign key that points nowhere".to_string())),
        false => Ok(()),
    }
}

const ENDED: &str = "the effect has ended the transaction that it was a part of";

/// An effect's way to the database.
struct Guest<'a> {
    conn: &'a Connection,
    guard: &'a Guard,
    /// An error that is not the effect's.
    grave: RefCell<Option<Error>>,
}

impl Guest<'_> {
    fn run<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> std::result::Result<T, JobError> {
        // Outside of the transaction a statement would stand whatever becomes of the task.
        if self.conn.is_autocommit() {
            return Err(JobError::new(ENDED));
        }
        if self.guard.is_over() {
            return Err(JobError::new("the effect has had its time"));
        }
        run(self.conn).map_err(|e| match e.sqlite_error_code() {
            Some(ErrorCode::AuthorizationForStatementDenied) => JobError::new(self.guard.refused()),
            Some(ErrorCode::OutOfMemory) => self.grave(Error::try_again("there is no memory left")),
            _ => match explain(&e) {
                grave if grave.kind() == Kind::TryAgain => self.grave(grave),
                _ => JobError::from(e),
            },
        })
    }

    fn grave(&self, e: Error) -> JobError {
        let told = JobError::new(e.to_string());
        *self.grave.borrow_mut() = Some(e);
        told
    }
}

impl Statements for Guest<'_> {
    fn execute(&self, sql: &str, params: &[Value]) -> std::result::Result<usize, JobError> {
        self.run(|conn| conn.prepare(sql)?.execute(params_from_iter(params)))
    }

    fn query(&self, sql: &str, params: &[Value]) -> std::result::Result<Vec<Vec<Value>>, JobError> {
        self.run(|conn| {
            let mut statement = conn.prepare(sql)?;
            let columns = statement.column_count();
            let mut rows = statement.query(params_from_iter(params))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let values = (0..columns).map(|column| row.get_ref(column).map(value_of));
                found.push(values.collect::<rusqlite::Result<Vec<_>>>()?);
            }
            Ok(found)
        })
    }
}

fn value_of(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
