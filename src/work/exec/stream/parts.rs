//! What a child writes to its standard output, in parts that can be understood: whole lines, and pieces of those lines of
//! output that are too long to be kept until they end.
//!
//! Only a whole line can be an answer. Each byte is looked at once, however few of them come at a time.

/// The longest answer, in bytes: the longest result with every byte of it escaped.
pub(super) const LONGEST_ANSWER: usize = 8 * 1024 * 1024;
/// Of a line that is no answer, so much is kept until its end comes.
const PIECE: usize = 64 * 1024;
/// So much room is kept for what comes next.
const ROOM: usize = 2 * PIECE;

/// What a child has written, as far as it is no part yet.
#[derive(Default)]
pub(super) struct Parts {
    bytes: Vec<u8>,
    /// Where the next part begins; what stands before it was given out.
    from: usize,
    /// Up to here there is no end of its line.
    scanned: usize,
    /// So many of its bytes are known to be blanks, and what comes first behind them is known to be `{` or not.
    blanks: usize,
    /// The beginning of its line was given out.
    within: bool,
}

/// A part of what was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// A piece of a line that is no answer; with the line's end, if that has come.
    Piece(&'a [u8]),
    /// An answer without an end, longer than any may be. What comes of it from now on are pieces.
    TooLong,
}

impl Parts {
    /// Where to add what was written.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The next part; `None` until more was written.
    pub(super) fn next(&mut self) -> Option<Part<'_>> {
        let from = self.from;
        if let Some(length) = self.bytes[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let end = self.scanned + length;
            let within = self.give(end + 1, false);
            return Some(if within {
                Part::Piece(&self.bytes[from..=end])
            } else {
                Part::Line(&self.bytes[from..end])
            });
        }
        self.scanned = self.bytes.len();
        let length = self.scanned - from;
        if self.within && length > 0 {
            self.give(self.scanned, true);
            return Some(Part::Piece(&self.bytes[from..]));
        }
        let begins_object = self.begins_object();
        if length > if begins_object { LONGEST_ANSWER } else { PIECE } {
            self.give(self.scanned, true);
            return Some(if begins_object { Part::TooLong } else { Part::Piece(&self.bytes[from..]) });
        }
        if from > 0 {
            self.bytes.drain(..from);
            self.bytes.shrink_to(ROOM);
            (self.from, self.scanned) = (0, length);
        }
        None
    }

    /// What is left when nothing more will be written.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.from..]
    }

    /// Goes on to the part that begins at `to`, and is `within` a line or not; whether the one before it was.
    fn give(&mut self, to: usize, within: bool) -> bool {
        (self.from, self.scanned, self.blanks) = (to, to, 0);
        std::mem::replace(&mut self.within, within)
    }

    fn begins_object(&mut self) -> bool {
        let unknown = &self.bytes[self.from + self.blanks..];
        self.blanks += unknown.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.bytes.get(self.from + self.blanks) == Some(&b'{')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes out of `chunks`, each part as its first letter and its bytes; and what is left.
    fn through<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<(char, Vec<u8>)>, Vec<u8>) {
        let (mut parts, mut seen) = (Parts::default(), Vec::new());
        for chunk in chunks {
            parts.buffer().extend_from_slice(chunk);
            while let Some(part) = parts.next() {
                seen.push(match part {
                    Part::Line(bytes) => ('L', bytes.to_vec()),
                    Part::Piece(bytes) => ('P', bytes.to_vec()),
                    Part::TooLong => ('T', Vec::new()),
                });
            }
            assert_eq!((parts.from, parts.scanned), (0, parts.bytes.len()), "what was given out is not kept");
        }
        (seen, parts.rest().to_vec())
    }

    fn of(part: char, text: impl AsRef<[u8]>) -> (char, Vec<u8>) {
        (part, text.as_ref().to_vec())
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let text = b"a\n\n {\"id\":7}\nrest";
        let wanted = (vec![of('L', "a"), of('L', ""), of('L', " {\"id\":7}")], b"rest".to_vec());
        assert_eq!(through([&text[..]]), wanted);
        assert_eq!(through(text.chunks(1)), wanted);
    }

    #[test]
    fn the_rest_of_a_line_that_is_given_out_in_pieces_is_no_line() {
        let long = "x".repeat(PIECE + 1);
        let (seen, rest) = through([long.as_bytes(), b"{\"id\"", b":7}", b"\n", b"{}\n"]);
        let wanted = [of('P', &long), of('P', "{\"id\""), of('P', ":7}"), of('P', "\n"), of('L', "{}")];
        assert_eq!((&seen[..], rest.len()), (&wanted[..], 0));
        assert_eq!(through([&long.as_bytes()[1..]]).0, [], "so much is kept");
        let blanks = " ".repeat(PIECE + 1);
        let (seen, _) = through([blanks.as_bytes(), b"{\"id\":7}\n"]);
        assert_eq!(seen, [of('P', &blanks), of('P', "{\"id\":7}\n")], "blanks are no answer's beginning for ever");
    }

    #[test]
    fn an_answer_is_kept_until_it_is_too_long() {
        let answer = format!(" {{{}", "x".repeat(LONGEST_ANSWER - 2));
        let (seen, rest) = through(answer.as_bytes().chunks(4_096));
        assert!(seen.is_empty() && rest == answer.as_bytes());
        let (seen, rest) = through([answer.as_bytes(), b"x", b"{\n", b"y\n"]);
        assert_eq!((&seen[..], rest.len()), (&[of('T', ""), of('P', "{\n"), of('L', "y")][..], 0));
    }

    #[test]
    fn what_was_looked_at_is_not_looked_at_again() {
        let mut parts = Parts::default();
        parts.buffer().extend_from_slice(b"{\"id\":7");
        assert_eq!(parts.next(), None);
        // Whoever looked there again would find it.
        parts.bytes[1] = b'\n';
        parts.buffer().extend_from_slice(b"}\n");
        assert_eq!(parts.next(), Some(Part::Line(b"{\nid\":7}")));
    }

    #[test]
    fn the_room_of_a_long_answer_is_given_back() {
        let mut parts = Parts::default();
        parts.buffer().extend_from_slice(format!("{{{}}}\n", "x".repeat(1_000_000)).as_bytes());
        assert!(matches!(parts.next(), Some(Part::Line(line)) if line.len() == 1_000_002));
        assert!(parts.next().is_none() && parts.bytes.capacity() < 1_000_000);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_and_none_is_in_two_parts(
            pieces in proptest::collection::vec(prop_oneof![
                3 => "[a-c{ \n]{0,12}",
                1 => (PIECE - 3..PIECE + 3).prop_map(|length| "x".repeat(length)),
                1 => (PIECE - 3..PIECE + 3).prop_map(|length| " ".repeat(length)),
            ], 0..6),
        ) {
            let (seen, rest) = through(pieces.iter().map(String::as_bytes));
            let text = pieces.concat();
            let mut again = Vec::new();
            for (part, bytes) in &seen {
                again.extend_from_slice(bytes);
                again.extend((*part == 'L').then_some(b'\n'));
            }
            again.extend_from_slice(&rest);
            prop_assert!(again == text.as_bytes());
            // Only a line of the text is given out as one.
            let lines: Vec<&[u8]> = text.as_bytes().split(|byte| *byte == b'\n').collect();
            let mut left = lines.iter();
            for (_, line) in seen.iter().filter(|(part, _)| *part == 'L') {
                prop_assert!(left.any(|one| *one == line.as_slice()));
            }
        }
    }
}
