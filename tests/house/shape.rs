//! The shape of files: how long, how named, and what they keep to themselves.
//!
//! Lengths are counted in lines of text, comments and blanks included: they are read too.

use super::source::File;
use super::tokens::{self, is_word};
use proc_macro2::{Delimiter, TokenTree};

/// The longest file, in lines.
const FILE_LINES: usize = 400;
/// The longest function, in lines, from `fn` to its closing brace.
const FUNCTION_LINES: usize = 70;
/// Words that say nothing about what a thing is for.
const EMPTY_WORDS: &[&str] = &[
    "manager",
    "managers",
    "helper",
    "helpers",
    "util",
    "utils",
    "utility",
    "utilities",
    "common",
    "commons",
    "types",
];

/// Files and functions that are too long to be read at once.
pub(crate) fn lengths(file: &File) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let lines = file.text.lines().count();
    let mut findings = Vec::new();
    if lines > FILE_LINES {
        findings.push(file.finding(lines, format!("{lines} lines; a file has at most {FILE_LINES}")));
    }
    tokens::each_run(&tokens::tokens(file), &[], &mut |run, _| {
        for (i, token) in run.iter().enumerate().filter(|(_, token)| is_word(Some(token), "fn")) {
            let Some(TokenTree::Ident(name)) = run.get(i + 1) else { continue };
            let end = run[i..].iter().find_map(|token| match token {
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.span_close().end().line),
                TokenTree::Punct(punct) if punct.as_char() == ';' => Some(0),
                _ => None,
            });
            let first = token.span().start().line;
            let length = (end.unwrap_or(0) + 1).saturating_sub(first);
            if length > FUNCTION_LINES {
                findings.push(file.finding(first, format!("`{name}` has {length} lines; {FUNCTION_LINES} at most")));
            }
        }
    });
    findings
}

/// Files, modules and types with a name that could be anything's.
pub(crate) fn names(file: &File) -> Vec<String> {
    let mut findings = Vec::new();
    for part in file.path.split(['/', '.', '-']).filter(|part| is_empty_name(part)) {
        findings.push(file.finding(1, format!("`{part}` names no thing")));
    }
    if file.is_rust() {
        tokens::each_run(&tokens::tokens(file), &[], &mut |run, _| {
            for pair in run.windows(2) {
                let named =
                    ["mod", "struct", "enum", "union", "trait", "type"].iter().any(|w| is_word(pair.first(), w));
                if named && is_empty_name(&pair[1].to_string()) {
                    findings.push(file.finding(pair[1].span().start().line, format!("`{}` names no thing", pair[1])));
                }
            }
        });
    }
    findings
}

/// Whether a word of a name, in `CamelCase` or `snake_case`, is an empty one.
fn is_empty_name(name: &str) -> bool {
    let mut spaced = String::new();
    for c in name.chars() {
        if c.is_uppercase() {
            spaced.push(' ');
        }
        spaced.extend(c.to_lowercase());
    }
    spaced.split([' ', '_']).any(|word| EMPTY_WORDS.contains(&word))
}

/// Lines that mention a ticket by number: a reader without the tracker learns nothing from it.
pub(crate) fn tickets(file: &File) -> Vec<String> {
    let numbered = file.text.lines().enumerate().filter(|(_, line)| mentions_ticket(line));
    numbered.map(|(i, _)| file.finding(i + 1, "mentions a ticket by its number: say what it is about")).collect()
}

/// A number behind a tracker's word (issue, PR, GH), or behind `#` after a space or a bracket. `5#3` is cron, `#1a2b3c` a
/// colour, `[1](#1-first)` a heading.
fn mentions_ticket(line: &str) -> bool {
    let lower = line.to_lowercase();
    let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let words = ["issue ", "issue #", "issues/", "issue no. ", "pull/", "pr ", "pr #", "gh-", "ticket ", "bug #"];
    let by_word = words.iter().any(|word| {
        lower
            .match_indices(word)
            .any(|(at, _)| !lower[..at].ends_with(|c: char| c.is_alphanumeric()) && number(&lower[at + word.len()..]))
    });
    let by_mark = lower.match_indices('#').any(|(at, _)| {
        let digits: String = lower[at + 1..].chars().take_while(char::is_ascii_digit).collect();
        let rest = &lower[at + 1 + digits.len()..];
        let before = lower[..at].chars().next_back();
        let heading = lower[..at].ends_with("](");
        !digits.is_empty()
            && digits.len() <= 5
            && !heading
            && before.is_none_or(|c| c.is_whitespace() || "([,;`".contains(c))
            && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    });
    by_word || by_mark
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_and_functions_are_found() {
        let file = |lines: usize| File::new("src/task/a.rs", &"// x\n".repeat(lines));
        assert_eq!(lengths(&file(400)), [""; 0]);
        assert_eq!(lengths(&file(401)).len(), 1);
        let function = |lines: usize| {
            let text = format!("mod m {{ impl X {{ fn f(x: fn(u8)) {{\n{}}} }} }}", "x();\n".repeat(lines - 2));
            lengths(&File::new("tests/a.rs", &text))
        };
        assert_eq!(function(70), [""; 0]);
        assert_eq!(function(71), ["tests/a.rs:1: `f` has 71 lines; 70 at most"]);
        let declared = format!("trait T {{ fn f();\n{} fn g() {{}} }}", "const X: u8 = 1;\n".repeat(80));
        assert_eq!(lengths(&File::new("src/a.rs", &declared)), [""; 0]);
    }

    #[test]
    fn empty_names_are_found() {
        let lawful = "struct Typed; type Millis = i64; mod kinds; fn util() {} struct Utility2; // the manager\n";
        assert_eq!(names(&File::new("src/task/kind.rs", lawful)), [""; 0]);
        for path in ["src/util.rs", "src/task/types.rs", "tests/common/mod.rs", "jobs/mail_helpers.rs", "docs/types.md"]
        {
            assert_eq!(names(&File::new(path, "")).len(), 1, "{path}");
        }
        for text in ["mod helper {}", "struct TaskManager;", "enum Types {}", "trait CommonDoor {}", "type Utils = ();"]
        {
            assert_eq!(names(&File::new("src/task/a.rs", text)).len(), 1, "{text}");
        }
    }

    #[test]
    fn tickets_are_found() {
        for text in ["issue N", "see issue #N", "(#N)", "Fixes #N.", "x/issues/N", "PR N", "GH-N", "\t#N"] {
            assert!(!tickets(&File::new("docs/a.md", &text.replace('N', "12"))).is_empty(), "{text}");
        }
        for text in [
            "# 1 title",
            "cron 0 0 * * 5#3",
            "an issue with 12 rows",
            "#[test]",
            "#333333",
            "[a](#1-a)",
            "r#12",
            "r##\"x\"##",
            "&#39;",
            "tissue 12",
        ] {
            assert_eq!(tickets(&File::new("docs/a.md", text)), [""; 0], "{text}");
        }
    }
}
