//! The laws of the data: each a sentence, what to do when it does not hold, and the query that finds what breaks it.
//!
//! A law is one entry of a list. A query over `page` sees the rows of one page of its [`Walk`], and is exact because what it
//! compares them with is read at the same instant; a query over whole tables is for small ones. The first column that it
//! answers names what breaks the law: an id, or words. `:now` is the present instant. They hold after every transaction,
//! whoever wrote it; what may be found although nothing is wrong is a note.

mod keys;
mod rows;
mod small;

use super::walk::Walk;
use super::{schema, survey};
use crate::error::Result;
use crate::store::{Found, Law};
use rusqlite::Connection;

/// A law, and how what breaks it is found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    pub(super) law: Law,
    pub(super) over: Over,
}

/// How what breaks a law is found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Over {
    /// By a query over each `page` of a table.
    Page(Walk, &'static str),
    /// By a query over small tables, in one read transaction.
    Whole(&'static str),
    /// By the counts that the walk over all tasks has gathered.
    Survey(fn(&Connection, &survey::Survey, &mut Found) -> Result<()>),
    /// By something else, in one read transaction.
    Else(fn(&Connection, &mut Found) -> Result<()>),
}

/// Every law, in the order in which they are told.
pub(super) fn rules() -> impl Iterator<Item = &'static Rule> {
    FIRST.iter().chain(rows::RULES).chain(keys::RULES).chain(small::RULES)
}

/// Where a task belongs, by its id, as generation and partition.
macro_rules! place_of {
    ($id:literal) => {
        concat!(
            "(SELECT g.generation, ",
            $id,
            " % g.partitions FROM rowmill_generation g WHERE g.first_id <= ",
            $id,
            " ORDER BY g.first_id DESC LIMIT 1)"
        )
    };
}
use place_of;

const FIRST: &[Rule] = &[Rule {
    law: Law {
        name: "tables-are-ours",
        sentence: "the tables, indexes, triggers and the view are those that this program made",
        severity: crate::store::Severity::Breach,
        remedy: "without them the other laws do not hold for long: stop all writers, put back what was dropped or changed \
                 from schema.sql, and examine again",
    },
    over: Over::Else(schema::compare),
}];
