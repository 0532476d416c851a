//! Examining the data: every law, at many instants, on a connection that cannot write.
//!
//! The examiner opens the database by itself, and nothing else: no gate, no lock is taken, no folder made. So it works for
//! whoever can only read, beside workers that are busy or stand still.

mod around;
mod kernel;
mod laws;
mod run_folder;
mod schema;
mod survey;
mod walk;

#[cfg(test)]
mod tests;

pub use kernel::{LogReader, Sure, log_readers};

use super::{open, place};
use crate::clock::{Millis, Watch};
use crate::error::{Error, Result};
use crate::store::{Condition, Examine, Examined, Example, Found, Law, Severity, Step};
use laws::{Over, Rule, rules};
use rusqlite::config::DbConfig;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use walk::{Bounds, Place, Walk, at_one_instant, bind};

/// A query over whole tables is broken off after this long: it would keep the log from being truncated.
const PATIENCE: Duration = Duration::from_secs(20);

/// A database that is open to be examined.
#[derive(Debug)]
pub struct Examiner {
    conn: Connection,
    file: PathBuf,
    run: PathBuf,
    patience: Patience,
}

/// Since when the query runs that may not take too long; no query of that kind does when there is none.
#[derive(Debug, Clone)]
struct Patience {
    since: Arc<Mutex<Option<Watch>>>,
    span: Duration,
}

impl Patience {
    fn of(span: Duration) -> Patience {
        Patience { since: Arc::default(), span }
    }

    fn set(&self, since: Option<Watch>) {
        if let Ok(mut place) = self.since.lock() {
            *place = since;
        }
    }

    fn is_over(&self) -> bool {
        self.since.lock().is_ok_and(|since| since.is_some_and(|since| since.left_of(self.span).is_zero()))
    }
}

impl Examiner {
    /// Opens the database at `path`, which must be there and have tables of this program's version. Errors of kind `Usage` say
    /// that there is nothing to examine; of kind `TryAgain`, that it cannot be looked at now.
    pub fn open(path: &Path) -> Result<Examiner> {
        let file = open::real_path(path, open::Create::Never)?;
        place::refuse(&file)?;
        let patience = Patience::of(PATIENCE);
        let conn = connect(&file, &patience).map_err(|e| e.during(file.display()))?;
        let run = open::run_folder(&file);
        Ok(Examiner { conn, file, run, patience })
    }

    /// The database's real path.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

fn connect(file: &Path, patience: &Patience) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // Where the file cannot be written SQLite opens it for reading by itself; it needs the log's index, which a writer made.
    let mut conn = Connection::open_with_flags(file, flags)?;
    // Only who has the database for himself alone is in the way of readers.
    conn.busy_timeout(Duration::from_secs(5))?;
    let over = patience.clone();
    conn.progress_handler(100_000, Some(move || over.is_over()))?;
    // The last one who closes a database moves what its log holds into it: that would be writing.
    let log = std::fs::metadata(open::beside(file, "-wal")).is_ok_and(|log| log.len() > 0);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log)?;
    conn.set_prepared_statement_cache_capacity(128);
    // A file that cannot be read says so here; what comes after are files that can, and are not to be examined.
    let read = conn.query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get::<_, i64>(0));
    read.map_err(|e| match e.sqlite_error_code() {
        // Without a writer there is no index of the log, and who may not write cannot make one.
        Some(ErrorCode::ReadOnly) => {
            Error::try_again("the database cannot be read by this user while nobody has it open")
                .hint("call this as its owner, or while workers are there")
        }
        _ => e.into(),
    })?;
    // What is sorted goes to a file where it is much: memory stays bounded.
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = FILE; PRAGMA cache_size = -4096;")?;
    match open::version_of(&conn).map_err(Error::of_the_call)? {
        Some(open::NEWEST) => Ok(conn),
        Some(older) => Err(Error::usage(format!("the database is of version {older}, older than this program's"))
            .hint("`rowmill migrate` brings it up to date")),
        None => Err(open::refuse_foreign(&conn).err().map_or_else(open::no_tables, Error::of_the_call)),
    }
}

impl Examine for Examiner {
    fn examine(&mut self, now_ms: Millis, step: &mut dyn FnMut(Step)) -> Result<Examined> {
        examine_with(&self.conn, &self.patience, now_ms, step)
    }

    fn examine_file(&mut self) -> Result<Vec<Found>> {
        around::file(&self.conn)
    }

    fn condition(&mut self) -> Result<Condition> {
        around::condition(&self.conn, &self.file, &self.run)
    }
}

/// Every law of the data, and those of the file that [`Examine::examine_file`] looks at, in the order in which they are told.
pub fn laws() -> Vec<&'static Law> {
    rules().map(|rule| &rule.law).chain(around::LAWS).collect()
}

/// Looks at every law through this connection: what [`Examine::examine`] does. In a transaction of the caller's everything
/// is of one instant.
pub fn examine(conn: &Connection, now_ms: Millis, step: &mut dyn FnMut(Step)) -> Result<Examined> {
    examine_with(conn, &Patience::of(PATIENCE), now_ms, step)
}

fn examine_with(
    conn: &Connection,
    patience: &Patience,
    now_ms: Millis,
    step: &mut dyn FnMut(Step),
) -> Result<Examined> {
    let given = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'queue'";
    let ids = conn.prepare_cached(given)?.query_row([], |r| r.get::<_, u64>(0)).ok();
    let mut found: Vec<(&'static Rule, Found)> = rules().map(|rule| (rule, Found::nothing(&rule.law))).collect();
    for (rule, found) in &mut found {
        match rule.over {
            Over::Whole(sql) => whole(conn, patience, sql, now_ms, found)?,
            Over::Else(look) => at_one_instant(conn, || look(conn, found))?,
            Over::Page(..) | Over::Survey(_) => {}
        }
    }
    for walk in Walk::ALL {
        let of = if walk == Walk::Queue { ids } else { None };
        pages(conn, Place::before(walk), walk, now_ms, &mut found, &mut |place| {
            let done = if walk == Walk::Queue { place.id() } else { place.rows };
            step(Step { part: walk.word(), done, of });
        })?;
    }
    let survey = survey::take(conn, ids, step)?;
    for (rule, found) in &mut found {
        if let Over::Survey(look) = rule.over {
            look(conn, &survey, found)?;
        }
    }
    Ok(Examined { found: found.into_iter().map(|(_, found)| found).collect(), waiting: survey.waiting })
}

/// Looks at the laws of one table, page by page.
fn pages(
    conn: &Connection,
    mut place: Place,
    walk: Walk,
    now_ms: Millis,
    found: &mut [(&'static Rule, Found)],
    step: &mut dyn FnMut(&Place),
) -> Result<()> {
    loop {
        let more = place.turn(conn, &mut |bounds| {
            let mut bounds = bounds.clone();
            bounds.push((":now".to_string(), Value::Integer(now_ms)));
            for (rule, found) in found.iter_mut() {
                if let Over::Page(of, law) = rule.over
                    && of == walk
                {
                    gather(conn, &walk.statement(law), &bounds, found)?;
                }
            }
            Ok(())
        })?;
        step(&place);
        if !more {
            return Ok(());
        }
    }
}

/// Looks at a law of small tables. Where they are not small it is broken off.
fn whole(conn: &Connection, patience: &Patience, sql: &str, now_ms: Millis, found: &mut Found) -> Result<()> {
    patience.set(Some(Watch::start()));
    let bounds = vec![(":now".to_string(), Value::Integer(now_ms))];
    let looked = at_one_instant(conn, || gather(conn, sql, &bounds, found));
    let over = patience.is_over();
    patience.set(None);
    match looked {
        Err(_) if over => {
            found.left_out = Some(format!("it took more than {} s, and was broken off", patience.span.as_secs()));
            Ok(())
        }
        other => other,
    }
}

/// Adds what a query finds.
fn gather(conn: &Connection, sql: &str, bounds: &Bounds, found: &mut Found) -> Result<()> {
    let mut query = conn.prepare_cached(sql)?;
    let mut rows = bind(&mut query, bounds)?;
    while let Some(row) = rows.next()? {
        found.add(example(row)?);
    }
    Ok(())
}

fn example(row: &Row<'_>) -> Result<Example> {
    Ok(match row.get_ref(0)? {
        ValueRef::Integer(id) => Example::Id(id),
        ValueRef::Text(text) => Example::Text(String::from_utf8_lossy(text).into_owned()),
        other => Example::Text(format!("{other:?}")),
    })
}

/// A law that is no query of the list.
const fn law(name: &'static str, severity: Severity, sentence: &'static str, remedy: &'static str) -> Law {
    Law { name, sentence, severity, remedy }
}
