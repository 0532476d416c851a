//! Why a `form` or `text` param does not decode: the words, and the place in the param.

use serde::de;
use std::fmt;

/// What is wrong, and where. The place is put together on the way out, from the inside.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Names from the innermost to the outermost.
    place: Vec<String>,
    words: String,
}

impl Wrong {
    /// The same, seen from one level further out.
    pub(super) fn inside(mut self, name: impl fmt::Display) -> Wrong {
        self.place.push(name.to_string());
        self
    }
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(words: T) -> Wrong {
        Wrong { place: Vec::new(), words: words.to_string() }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.place.iter().rev();
        if let Some(first) = names.next() {
            write!(f, "`{first}")?;
            names.try_for_each(|name| write!(f, "[{name}]"))?;
            f.write_str("`: ")?;
        }
        f.write_str(&self.words)
    }
}

impl std::error::Error for Wrong {}
