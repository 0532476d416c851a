//! The codec `form`, read into a tree: what PHP's `http_build_query` writes, and what people write by hand in its style.
//!
//! `uid=4&uids[]=6&uids[]=34&content=xxx`: pairs between `&`, names with brackets, percent-encoded or not, `+` for a
//! space. The reading is PHP's (`parse_str`), so `uids[]` is the next free index, indexes may have gaps, and `a[b][c]`
//! nests. It parts from PHP where PHP drops or mangles without a word: a broken name, a name that is a value and a list
//! at once, and more nesting or more names than the bounds are errors, and no character of a name becomes `_`.

use percent_encoding::percent_decode;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

/// Levels of brackets behind a name: PHP's own `max_input_nesting_level`.
const DEEPEST: usize = 64;

/// Names and brackets in one param, all told. A list of 100,000 is 200,000 of them.
const MOST_NAMES: usize = 500_000;

/// One step of a name. Indexes come before words, in their order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// A place in a list.
    Index(u64),
    /// A key.
    Word(String),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Index(index) => index.fmt(f),
            Step::Word(word) => f.write_str(word),
        }
    }
}

/// What stands under a name.
#[derive(Debug)]
pub(super) enum Node<'p> {
    /// `a=x`. When the name stands several times, the last is its value, and all of them are its list.
    Text {
        /// The one that counts where one text is wanted.
        last: Cow<'p, [u8]>,
        /// Those before it.
        earlier: Vec<Cow<'p, [u8]>>,
    },
    /// `a[…]=x`.
    Branch(Branch<'p>),
}

/// Names, and what stands under them.
#[derive(Debug, Default)]
pub(super) struct Branch<'p> {
    pub(super) children: BTreeMap<Step, Node<'p>>,
    /// The index that `[]` stands for.
    next: u64,
}

impl Branch<'_> {
    /// The step that a word in a name stands for.
    fn step(&mut self, word: &str) -> Step {
        let index = match word {
            "" => Some(self.next),
            // As in PHP, `01` is a word: it would not come out as it went in.
            _ if word.starts_with('0') && word != "0" => None,
            _ if word.bytes().all(|b| b.is_ascii_digit()) => {
                word.parse().ok().filter(|index| i64::try_from(*index).is_ok())
            }
            _ => None,
        };
        let Some(index) = index else { return Step::Word(word.to_string()) };
        self.next = self.next.max(index + 1);
        Step::Index(index)
    }
}

/// Reads a param. The error says what is wrong with it.
pub(super) fn read(param: &[u8]) -> Result<Branch<'_>, String> {
    let mut root = Branch::default();
    let mut left = MOST_NAMES;
    for pair in param.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let equals = pair.iter().position(|byte| *byte == b'=');
        let (name, text) = equals.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
        let name = unescaped(name);
        let name = std::str::from_utf8(&name).map_err(|_| "a name is not UTF-8".to_string())?;
        let words = words(name)?;
        left = left.checked_sub(words.len()).ok_or_else(|| format!("it has more than {MOST_NAMES} names"))?;
        place(&mut root, name, &words, unescaped(text))?;
    }
    Ok(root)
}

/// Bytes as they were before they were encoded. A `%` without two hexadecimal digits is a `%`.
fn unescaped(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'+') {
        return percent_decode(bytes).into();
    }
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

/// The words of a name: `a[b][]` is `a`, `b` and an empty one.
fn words(name: &str) -> Result<Vec<&str>, String> {
    let shown = |why: &str| Err(format!("`{}` {why}", name.escape_debug()));
    let (first, mut rest) = name.split_at(name.find('[').unwrap_or(name.len()));
    if first.is_empty() {
        return Err("a value has no name".to_string());
    }
    let mut words = vec![first];
    while let Some(inner) = rest.strip_prefix('[') {
        let Some((word, behind)) = inner.split_once(']') else { return shown("has a `[` that nothing closes") };
        words.push(word);
        rest = behind;
        if words.len() > DEEPEST + 1 {
            return Err(format!("`{}…` is nested more than {DEEPEST} deep", first.escape_debug()));
        }
    }
    if rest.is_empty() { Ok(words) } else { shown("goes on behind its last `]`") }
}

fn place<'p>(root: &mut Branch<'p>, name: &str, words: &[&str], text: Cow<'p, [u8]>) -> Result<(), String> {
    let twice = || format!("`{}` is both a value and a list", name.escape_debug());
    let (last, outer) = words.split_last().ok_or("a value has no name")?;
    let mut branch = root;
    for word in outer {
        let step = branch.step(word);
        branch = match branch.children.entry(step).or_insert_with(|| Node::Branch(Branch::default())) {
            Node::Branch(inner) => inner,
            Node::Text { .. } => return Err(twice()),
        };
    }
    let step = branch.step(last);
    match branch.children.entry(step) {
        Entry::Vacant(free) => drop(free.insert(Node::Text { last: text, earlier: Vec::new() })),
        Entry::Occupied(taken) => match taken.into_mut() {
            Node::Text { last, earlier } => earlier.push(std::mem::replace(last, text)),
            Node::Branch(_) => return Err(twice()),
        },
    }
    Ok(())
}
