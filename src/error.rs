//! The one error of the library: what was tried, why it failed, and a hint where one helps.
//!
//! Its kind is what scripts see as the exit code of the program. "Nothing changed because somebody else was first"
//! is never an error here: verbs that can lose a race answer with a value that says so.

use std::fmt;

/// What a caller can do about an error; also the exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was tried and failed (exit 1).
    Failed,
    /// The call or the configuration is wrong (exit 2).
    Usage,
    /// The cause passes by itself: try again later (exit 75).
    TryAgain,
}

/// An error with the words that a person reads.
#[derive(Debug, Clone)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

/// Results of this library.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// It was tried and failed.
    pub fn failed(message: impl Into<String>) -> Error {
        Error { kind: Kind::Failed, message: message.into(), hint: None }
    }

    /// The call or the configuration is wrong.
    pub fn usage(message: impl Into<String>) -> Error {
        Error { kind: Kind::Usage, message: message.into(), hint: None }
    }

    /// The cause passes by itself.
    pub fn try_again(message: impl Into<String>) -> Error {
        Error { kind: Kind::TryAgain, message: message.into(), hint: None }
    }

    /// The same as a mistake of the call: nothing was tried.
    pub fn of_the_call(mut self) -> Error {
        self.kind = Kind::Usage;
        self
    }

    /// Adds what the reader can do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Puts what was being done in front of the message.
    pub fn during(mut self, what: impl fmt::Display) -> Error {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the reader can do about it, if there is something to say.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Whether the machine lacks something (room, descriptors, memory, processes and threads) that it may have again.
pub(crate) fn passes_by_itself(e: &std::io::Error) -> bool {
    use rustix::io::Errno as E;
    let passing = [E::NOSPC, E::DQUOT, E::MFILE, E::NFILE, E::NOMEM, E::AGAIN];
    E::from_io_error(e).is_some_and(|errno| passing.contains(&errno))
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Error {
        use rustix::io::Errno as E;
        match E::from_io_error(&e) {
            // Whoever waits for a lock or a socket sees to this answer itself; what is left are fork and clone.
            Some(E::AGAIN) => {
                Error::try_again(format!("the system refused another process or thread: {e}")).hint("look at ulimit -u")
            }
            Some(E::MFILE | E::NFILE) => Error::try_again(e.to_string()).hint("look at ulimit -n"),
            _ if passes_by_itself(&e) => Error::try_again(e.to_string()),
            _ => Error::failed(e.to_string()),
        }
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(e: rustix::io::Errno) -> Error {
        std::io::Error::from(e).into()
    }
}
