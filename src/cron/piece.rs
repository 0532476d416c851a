//! A piece of a text that remembers where it stands, so that an error can point there.

use super::TimingError;

/// A piece of the text and the byte that it begins at.
#[derive(Clone, Copy)]
pub(super) struct Piece<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

impl<'t> Piece<'t> {
    /// All of a text.
    pub(super) fn whole(text: &'t str) -> Piece<'t> {
        Piece { text, at: 0 }
    }

    /// The pieces between separators, empty ones too.
    pub(super) fn split(self, separator: char) -> impl Iterator<Item = Piece<'t>> {
        let mut at = self.at;
        self.text.split(separator).map(move |text| {
            let piece = Piece { text, at };
            at += text.len() + separator.len_utf8();
            piece
        })
    }

    /// The pieces between blanks and tabs.
    pub(super) fn words(self) -> impl Iterator<Item = Piece<'t>> {
        let mut at = self.at;
        let pieces = self.text.as_bytes().split(|byte| matches!(byte, b' ' | b'\t')).map(move |bytes| {
            let begin = at;
            at += bytes.len() + 1;
            begin..begin + bytes.len()
        });
        let (text, base) = (self.text, self.at);
        let pieces = pieces.filter(|range| !range.is_empty());
        pieces.map(move |range| Piece { text: &text[range.start - base..range.end - base], at: range.start })
    }

    /// What stands before and behind the first separator.
    pub(super) fn split_once(self, separator: char) -> Option<(Piece<'t>, Piece<'t>)> {
        let (left, right) = self.text.split_once(separator)?;
        let right = Piece { text: right, at: self.at + left.len() + separator.len_utf8() };
        Some((Piece { text: left, at: self.at }, right))
    }

    /// Without the character that it must end with.
    pub(super) fn without_end(self, end: char) -> Option<Piece<'t>> {
        Some(Piece { text: self.text.strip_suffix(end)?, at: self.at })
    }

    /// The piece up to the first character that is not of a kind, and the rest.
    pub(super) fn split_while(self, is_kind: impl Fn(char) -> bool) -> (Piece<'t>, Piece<'t>) {
        let end = self.text.find(|c| !is_kind(c)).unwrap_or(self.text.len());
        let (left, right) = self.text.split_at(end);
        (Piece { text: left, at: self.at }, Piece { text: right, at: self.at + end })
    }

    /// Without blanks at both ends.
    pub(super) fn trimmed(self) -> Piece<'t> {
        let rest = self.text.trim_start();
        Piece { text: rest.trim_end(), at: self.at + self.text.len() - rest.len() }
    }

    /// The error that something is wrong with this piece.
    pub(super) fn wrong<T>(self, message: impl Into<String>) -> Result<T, TimingError> {
        Err(TimingError::new(message, Some(self.at)))
    }
}

/// The first character that has no meaning in any of these texts, as an error.
pub(super) fn all_plain(text: &str) -> Result<(), TimingError> {
    match text.char_indices().find(|(_, c)| !c.is_ascii_graphic() && *c != ' ' && *c != '\t') {
        Some((at, odd)) => Err(TimingError::new(format!("`{}` has no meaning here", odd.escape_default()), Some(at))),
        None => Ok(()),
    }
}
