//! Who may start programs, and that none of them is a shell.
//!
//! A row reaches one of these places as an argument, as standard input or in a variable, never as text that something
//! reads for commands. What would be found here: a second way to start programs, and `sh -c`.

use super::law::named_in;
use super::source::File;
use super::tokens;
use proc_macro2::TokenTree;

/// The places, below `src`, and what each of them starts.
const PLACES: [(&str, &str); 3] = [
    ("work/exec/start.rs", "the program of a job"),
    ("schedule/launch.rs", "a worker: this program"),
    ("cli/demo/stage.rs", "this program, in a scratch folder"),
];

/// What a shell is called, and how one is told to read commands.
const SHELLS: [&str; 8] = ["sh", "ash", "bash", "dash", "ksh", "zsh", "busybox", "-c"];

/// What hands text or an unknown file to a shell.
const BY_SHELL: [&str; 5] = ["popen", "execlp", "execvp", "execvpe", "posix_spawnp"];

/// Programs that are started elsewhere, and shells that are named anywhere.
pub(crate) fn programs(file: &File) -> Vec<String> {
    if !["src/", "jobs/"].iter().any(|folder| file.path.starts_with(folder)) || file.path.contains("/tests") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if !PLACES.iter().any(|(path, _)| file.in_room() == Some(*path)) {
        let starts = |path: &[String]| path.ends_with(&["Command".to_string(), "new".to_string()]);
        let named = named_in(file).into_iter().filter(|named| starts(&named.path));
        findings.extend(named.map(|named| file.finding(named.line, "programs are started elsewhere")));
    }
    tokens::each_token(&tokens::without_tests(&tokens::tokens(file)), &mut |token| {
        let line = token.span().start().line;
        if BY_SHELL.iter().any(|word| tokens::is_word(Some(token), word)) {
            findings.push(file.finding(line, "this may end in a shell"));
        }
        let TokenTree::Literal(literal) = token else { return };
        let text = literal.to_string();
        let Some((_, text)) = text.split_once('"') else { return };
        let text = text.split('"').next().unwrap_or_default();
        if !text.contains(char::is_whitespace) && SHELLS.contains(&text.rsplit('/').next().unwrap_or_default()) {
            findings.push(file.finding(line, format_args!("`{text}` is a shell, or speaks to one")));
        }
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_and_a_second_way_to_start_programs_are_found() {
        for text in [
            "fn f() { std::process::Command::new(x) }",
            "use std::process::Command; fn f() { Command::new(x); }",
            "use std::process; fn f() { process::Command::new(x); }",
            "fn f() { run(\"/bin/sh\") }",
            "const A: [&str; 2] = [\"bash\", \"-l\"];",
            "fn f() { g(&[\"-c\", line]) }",
            "extern \"C\" { fn popen(a: *const u8); }",
        ] {
            assert!(!programs(&File::of_room("work/a.rs", text)).is_empty(), "{text}");
            assert!(!programs(&File::new("jobs/pack/mod.rs", text)).is_empty(), "{text}");
        }
        let shell = "fn f() { std::process::Command::new(\"/bin/sh\").arg(\"-c\") }";
        assert_eq!(programs(&File::of_room("work/exec/start.rs", shell)).len(), 2, "not even there");
        let lawful = "/// Never `sh -c`.\nconst A: &str = \"#!/bin/sh\\necho\"; fn f() { clap::Command::name(); }
            #[cfg(test)] mod tests { fn f() { std::process::Command::new(\"sh\"); } }";
        assert_eq!(programs(&File::of_room("work/a.rs", lawful)), [""; 0]);
    }
}
