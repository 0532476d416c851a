//! The verbs by which a person steers the whole: how many partitions there are.
//!
//! What they write is small, and stays until a person takes it back; whoever works reads it at its next look.

use crate::error::Result;
use crate::task::Generation;

/// The verbs that steer.
pub trait Govern {
    /// Makes N the number of partitions, 1 to 4096, for rows that are inserted from now on: they are a new generation, a
    /// range of ids. Rows that are there keep their partition. Answers the generation that new rows enter, and whether
    /// it was made or changed just now. One transaction, so an insert is wholly before or after it.
    ///
    /// Safe to repeat: yes, because nothing is done when N is that number already.
    fn scale(&mut self, partitions: u32) -> Result<(Generation, bool)>;
}
