//! What a program writes, as lines, in bounded memory.
//!
//! Three bounds hold. A line of more than [`LINE`] bytes is split, between characters. After the job's bound (1 MiB by
//! default) of stdout and stderr together (line ends count) nothing more is delivered, only counted. And whatever is
//! delivered or not, the last [`TAIL`] bytes of stderr are kept, since the last words are those that tell why it failed.

use super::OutputLine;

/// The longest line that is delivered whole, in bytes as written.
pub(super) const LINE: usize = 4 * 1024;

/// The most that is kept of stderr, in bytes.
pub(super) const TAIL: usize = 2 * 1024;

/// The lines of one run.
pub(super) struct Lines<'a> {
    output: Box<dyn FnMut(OutputLine) + 'a>,
    stdout: Line,
    stderr: Line,
    tail: Tail,
    /// How much is delivered in one run, in bytes as written; `None` if nothing may be seen.
    total: Option<u64>,
    left: u64,
    dropped: u64,
}

impl<'a> Lines<'a> {
    /// No output yet; lines will be given to `output`, `total` bytes of them, or none at all.
    pub(super) fn new(output: impl FnMut(OutputLine) + 'a, total: Option<u64>) -> Lines<'a> {
        let line = |stderr| Line { stderr, bytes: Vec::new(), split: false };
        let left = total.unwrap_or(0);
        Lines {
            output: Box::new(output),
            stdout: line(false),
            stderr: line(true),
            tail: Tail::default(),
            total,
            left,
            dropped: 0,
        }
    }

    /// Takes what was read from one of the two pipes.
    pub(super) fn take(&mut self, stderr: bool, bytes: &[u8]) {
        if stderr {
            self.tail.push(bytes);
        }
        let (kept, over) = bytes.split_at(usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len())));
        self.left -= kept.len() as u64;
        self.dropped += over.len() as u64;
        let line = if stderr { &mut self.stderr } else { &mut self.stdout };
        line.push(kept, &mut *self.output);
    }

    /// Delivers the lines that had no end, says how much was dropped, and gives the tail of stderr.
    pub(super) fn finish(mut self) -> String {
        self.next_run()
    }

    /// The same when the program goes on to another task: what comes now is that one's, and bounded anew.
    pub(super) fn next_run(&mut self) -> String {
        for line in [&mut self.stdout, &mut self.stderr] {
            if !line.bytes.is_empty() {
                line.end(&mut *self.output);
            }
        }
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let text = match self.total {
                Some(total) => format!("({dropped} bytes of output above {total} were dropped)"),
                None => format!("({dropped} bytes of output are not shown, since the job is redacted)"),
            };
            (self.output)(OutputLine { stderr: true, note: true, text });
        }
        self.left = self.total.unwrap_or(0);
        std::mem::take(&mut self.tail).text()
    }
}

/// The line that is being written to one pipe.
struct Line {
    stderr: bool,
    bytes: Vec<u8>,
    /// Whether a piece of it was delivered already.
    split: bool,
}

impl Line {
    fn push(&mut self, mut bytes: &[u8], output: &mut dyn FnMut(OutputLine)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end], output);
            self.end(output);
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes, output);
    }

    fn extend(&mut self, mut bytes: &[u8], output: &mut dyn FnMut(OutputLine)) {
        while self.bytes.len() + bytes.len() > LINE {
            let (fitting, rest) = bytes.split_at(LINE - self.bytes.len());
            self.bytes.extend_from_slice(fitting);
            bytes = rest;
            let piece = whole_characters(&self.bytes);
            output(OutputLine {
                stderr: self.stderr,
                note: false,
                text: String::from_utf8_lossy(&self.bytes[..piece]).into_owned(),
            });
            self.bytes.drain(..piece);
            self.split = true;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn end(&mut self, output: &mut dyn FnMut(OutputLine)) {
        let text = self.bytes.strip_suffix(b"\r").unwrap_or(&self.bytes);
        if !(self.split && text.is_empty()) {
            let text = String::from_utf8_lossy(text).into_owned();
            output(OutputLine { stderr: self.stderr, note: false, text });
        }
        self.bytes.clear();
        self.split = false;
    }
}

/// How many of the bytes stand before a character that began at their end and is not complete; all if there is none.
fn whole_characters(bytes: &[u8]) -> usize {
    for (back, byte) in (1..=3).zip(bytes.iter().rev()) {
        let length = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            _ => 1,
        };
        return if length > back { bytes.len() - back } else { bytes.len() };
    }
    bytes.len()
}

/// The end of what was written to stderr.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let fresh = &bytes[bytes.len().saturating_sub(TAIL)..];
        self.cut |= fresh.len() < bytes.len();
        self.bytes.extend_from_slice(fresh);
        if self.bytes.len() > TAIL {
            self.bytes.drain(..self.bytes.len() - TAIL);
            self.cut = true;
        }
    }

    /// Whole lines as far as possible, at most [`TAIL`] bytes; without NUL, which PostgreSQL takes in no text.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).replace('\0', "\u{fffd}");
        let text = text.trim_end();
        let start = (text.len().saturating_sub(TAIL)..).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let kept = &text[start..];
        let whole = match kept.split_once('\n') {
            Some((_, rest)) if self.cut || start > 0 => rest,
            _ => kept,
        };
        whole.trim().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOTAL: u64 = 1024 * 1024;

    /// What comes out of `chunks`, written to stdout or (true) stderr.
    fn through(chunks: &[(bool, &[u8])]) -> (Vec<OutputLine>, String) {
        let mut seen = Vec::new();
        let mut output = |line| seen.push(line);
        let mut lines = Lines::new(&mut output, Some(TOTAL));
        for (stderr, bytes) in chunks {
            lines.take(*stderr, bytes);
        }
        let tail = lines.finish();
        (seen, tail)
    }

    fn texts(chunks: &[(bool, &[u8])]) -> Vec<String> {
        through(chunks).0.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        assert_eq!(texts(&[(false, b"a\nb"), (false, b"c\r\n\n"), (false, b"d")]), ["a", "bc", "", "d"]);
        assert_eq!(texts(&[(false, b"a"), (true, b"x\n"), (false, b"b\n")]), ["x", "ab"], "the two pipes do not mix");
        assert_eq!(texts(&[(false, b"\xff\x00\n")]), ["\u{fffd}\0"]);
        assert!(texts(&[]).is_empty());
    }

    #[test]
    fn a_long_line_is_split_and_loses_nothing() {
        let full = "x".repeat(LINE);
        assert_eq!(texts(&[(false, format!("{full}\n").as_bytes())]), [full.as_str()]);
        assert_eq!(texts(&[(false, format!("{full}\r\n").as_bytes())]), [full.as_str()]);
        assert_eq!(texts(&[(false, format!("{full}y\nz\n").as_bytes())]), [full.as_str(), "y", "z"]);
        for lead in 0..4 {
            let text = "x".repeat(lead) + &"\u{1f33e}".repeat(3_000);
            let pieces = texts(&[(false, text.as_bytes())]);
            assert_eq!(pieces.concat(), text, "no character is torn");
            assert!(
                pieces
                    .iter()
                    .all(|piece| piece.len() <= LINE && piece.len() > LINE - 4 || piece.ends_with('\u{1f33e}'))
            );
            assert_eq!(pieces.len(), text.len().div_ceil(LINE));
        }
        let noise = vec![0xf0; 3 * LINE];
        assert_eq!(texts(&[(false, &noise)]).concat().chars().count(), 3 * LINE);
    }

    #[test]
    fn above_the_total_it_is_counted_and_dropped() {
        let line = [b'x'; 1023].into_iter().chain([b'\n']).collect::<Vec<_>>();
        let block = line.repeat(1024);
        let (seen, _) = through(&[(false, &block), (true, b"12345"), (false, b"678")]);
        assert_eq!(seen.len(), 1025);
        assert!(seen[..1024].iter().all(|line| line.text.len() == 1023 && !line.stderr));
        assert_eq!(seen[1024].text, "(8 bytes of output above 1048576 were dropped)");
        assert!(seen.iter().filter(|line| line.note).eq(&seen[1024..]), "only that is a word of the engine");
        let (seen, _) = through(&[(false, &block[1..]), (true, b"\n")]);
        assert!(seen.len() == 1025 && seen[1024].text.is_empty(), "the last byte within the bound is delivered");
    }

    #[test]
    fn what_may_not_be_seen_is_counted_and_its_tail_kept() {
        let mut seen = Vec::new();
        let mut output = |line: OutputLine| seen.push(line.text);
        let mut lines = Lines::new(&mut output, None);
        lines.take(false, b"secret\n");
        lines.take(true, b"why\n");
        assert_eq!(lines.finish(), "why");
        assert_eq!(seen, ["(11 bytes of output are not shown, since the job is redacted)"]);
    }

    #[test]
    fn the_tail_is_the_last_whole_lines_of_stderr() {
        assert_eq!(through(&[(false, b"no\n"), (true, b"one\n"), (false, b"no\n"), (true, b"two\n\n")]).1, "one\ntwo");
        let flood = b"0123456789abcdef\n".repeat(200_000);
        let (_, tail) = through(&[(true, b"first\n"), (true, &flood), (true, b"the reason\n")]);
        assert!(tail.len() <= TAIL && tail.len() > TAIL - 32, "{}", tail.len());
        assert!(tail.starts_with("0123") && tail.ends_with("cdef\nthe reason"), "{tail}");
        let (_, tail) = through(&[(true, &vec![b'x'; 10_000])]);
        assert_eq!(tail.len(), TAIL, "one line that is too long is still better than nothing");
        let (_, tail) = through(&[(true, &vec![0xff; 10_000])]);
        assert!(tail.len() <= TAIL && tail.len() > TAIL - 3, "the bound holds after decoding: {}", tail.len());
        assert_eq!(through(&[(true, b"a\0b")]).1, "a\u{fffd}b");
    }

    /// Bytes in which line ends, long lines and broken characters are frequent.
    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => proptest::collection::vec(any::<u8>(), 0..40),
            3 => "[a-z\r\n]{0,20}".prop_map(String::into_bytes),
            2 => proptest::sample::select(vec![b"\r\n".to_vec(), b"\n\n".to_vec(), vec![0xf0, 0x9f], vec![0xe2, 0x82, 0xac]]),
            1 => (LINE - 6..LINE + 6, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
            1 => (LINE / 4 - 3..LINE / 4 + 3).prop_map(|len| "\u{1f33e}".repeat(len).into_bytes()),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_in_lines_and_however_it_arrives(
            out in any_bytes(),
            err in any_bytes(),
            sizes in proptest::collection::vec(1usize..5_000, 1..20),
        ) {
            let (mut chunks, mut left, mut next) = (Vec::new(), [(false, &out[..]), (true, &err[..])], 0);
            while left.iter().any(|(_, bytes)| !bytes.is_empty()) {
                let (stderr, bytes) = &mut left[next % 2];
                let (chunk, rest) = bytes.split_at(sizes[next % sizes.len()].min(bytes.len()));
                chunks.push((*stderr, chunk));
                *bytes = rest;
                next += 1;
            }
            let (in_pieces, tail) = through(&chunks);
            let (at_once, other_tail) = through(&[(false, &out), (true, &err)]);
            let of = |lines: &[OutputLine], stderr| -> Vec<String> {
                lines.iter().filter(|line| line.stderr == stderr).map(|line| line.text.clone()).collect()
            };
            for (stderr, written) in [(false, &out), (true, &err)] {
                let lines = of(&in_pieces, stderr);
                prop_assert_eq!(&lines, &of(&at_once, stderr));
                // No byte of a line is lost but its end. A byte that is no text is three bytes of its stand-in.
                let plain = |text: &str| text.replace(['\n', '\r'], "");
                if let Ok(text) = std::str::from_utf8(written) {
                    prop_assert_eq!(plain(&lines.concat()), plain(text));
                }
                prop_assert!(lines.iter().all(|line| line.len() <= 3 * LINE && !line.contains('\n')));
            }
            prop_assert_eq!(&tail, &other_tail);
            prop_assert!(tail.len() <= TAIL && !tail.contains('\0'));
        }

        #[test]
        fn the_bound_holds_whatever_is_written(out in any_bytes(), err in any_bytes(), total in 0u64..9_000) {
            let mut delivered = 0;
            let mut dropped = None;
            let mut output = |line: OutputLine| {
                match line.text.strip_prefix('(').and_then(|text| text.split_once(" bytes of output above")) {
                    Some((count, _)) => dropped = count.parse::<u64>().ok(),
                    None => delivered += String::from_utf8_lossy(line.text.as_bytes()).chars().count() as u64,
                }
            };
            let mut lines = Lines::new(&mut output, Some(total));
            lines.take(false, &out);
            lines.take(true, &err);
            lines.finish();
            prop_assert!(delivered <= total, "{} of {}", delivered, total);
            let over = ((out.len() + err.len()) as u64).saturating_sub(total);
            prop_assert_eq!(dropped.unwrap_or(0), over);
        }
    }
}
