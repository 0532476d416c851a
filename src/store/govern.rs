//! The verbs by which a person steers the whole: how many partitions there are, and whether anybody works.
//!
//! What they write is small, and stays until a person takes it back; whoever works reads it at its next look.

use super::WorkerInfo;
use crate::clock::Millis;
use crate::error::Result;
use crate::task::Generation;
use std::os::fd::OwnedFd;

/// The verbs that steer.
pub trait Govern {
    /// Makes N the number of partitions, 1 to 4096, for rows that are inserted from now on: they are a new generation, a
    /// range of ids. Rows that are there keep their partition. Answers the generation that new rows enter, and whether
    /// it was made or changed just now. One transaction, so an insert is wholly before or after it.
    ///
    /// Safe to repeat: yes, because nothing is done when N is that number already.
    fn scale(&mut self, partitions: u32) -> Result<(Generation, bool)>;

    /// Writes down that nobody is to work until [`start`](Self::start). Answers the order that holds: an earlier one
    /// stands. Who works reads it within about a second; telling them at once is the caller's.
    ///
    /// Safe to repeat: yes, because the first order stands.
    fn stop(&mut self, by_whom: &str, now_ms: Millis) -> Result<Order>;

    /// Takes the order to stop back; answers it, `None` when there was none.
    ///
    /// Safe to repeat: yes, because there is nothing to take back then.
    fn start(&mut self) -> Result<Option<Order>>;

    /// The order to stop, if there is one. A read of one row.
    fn stopped(&mut self) -> Result<Option<Order>>;

    /// The living workers of this host, by index, each with its process and with the task that it has claimed.
    fn crew(&mut self) -> Result<Vec<Hand>>;
}

/// Something that a person has ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Since when it holds, in UTC milliseconds.
    pub since: Millis,
    /// Who gave it: `user@host`.
    pub by_whom: String,
}

/// A living worker, as whoever has to do with its process sees it.
#[derive(Debug)]
pub struct Hand {
    /// Which one it is.
    pub info: WorkerInfo,
    /// Its process, readable when it ends: proven by boot and instant of its start to be that worker. `None` when it
    /// cannot be had from here (another process namespace), or has just ended.
    pub process: Option<OwnedFd>,
    /// The task that it has claimed because it runs long.
    pub claimed: Option<Claimed>,
}

/// A running task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Its id.
    pub task: i64,
    /// Its job; `None` when its row was deleted meanwhile.
    pub job: Option<String>,
    /// Since when it runs, in UTC milliseconds.
    pub since: Millis,
}
