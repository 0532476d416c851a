//! The verbs of the domain, and the only room with SQL. (Being furnished.)

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Power loss: every commit is synced.
    #[default]
    Full,
    /// The death of any process; a power cut may take the last moments, never the order of what is left.
    Normal,
}
