//! `{param}` in the command: what the program finds in its arguments and on its standard input, and what no argument
//! can hold.

use super::*;
use rustix::param::page_size;

/// Writes its arguments, each in brackets, and how much it finds on its standard input.
const SHOW: &str = "for a; do printf '[%s]\\n' \"$a\"; done; echo stdin: $(wc -c)";

fn show(arguments: &[&str]) -> Command {
    let mut argv = vec!["/bin/sh", "-c", SHOW, "sh"];
    argv.extend(arguments);
    command(&argv)
}

fn rejected(command: &Command, param: &[u8]) -> String {
    let seen = run_it(command, param);
    let Ending::Answered(Outcome::Reject { reason }) = seen.ending else { panic!("{:?}", seen.ending) };
    assert!(seen.lines.is_empty() && reason.contains("read it from stdin instead, without {param}"), "{reason}");
    reason
}

#[test]
fn the_param_is_one_argument_or_part_of_one() {
    let param = "two words; $HOME `id` * \"'\u{1f33e}";
    let seen = run_it(&show(&["{param}", "--data={param}!", "x{param}{param}", "plain", "{Param}"]), param.as_bytes());
    let wanted = [
        format!("[{param}]"),
        format!("[--data={param}!]"),
        format!("[x{param}{param}]"),
        "[plain]".to_string(),
        "[{Param}]".to_string(),
        "stdin: 0".to_string(),
    ];
    assert_eq!((seen.ending.clone(), seen.texts()), (done(), wanted.iter().map(String::as_str).collect()));
    let bytes: Vec<u8> = (1..=255).collect();
    let exact = command(&["/bin/sh", "-c", "printf %s \"$1\" >&3", "sh", "{param}"]);
    assert_eq!(run_it(&exact, &bytes).ending, Ending::Answered(Outcome::with_result(bytes)));
}

#[test]
fn an_empty_param_is_an_empty_argument() {
    assert_eq!(run_it(&show(&["{param}"]), b"").texts(), ["[]", "stdin: 0"]);
}

#[test]
fn what_a_param_brings_along_is_not_looked_at_again() {
    assert_eq!(run_it(&show(&["a{param}b"]), b"{param}").texts(), ["[a{param}b]", "stdin: 0"]);
}

#[test]
fn without_it_the_param_is_on_stdin_only() {
    assert_eq!(run_it(&show(&["param"]), b"12345").texts(), ["[param]", "stdin: 5"]);
}

#[test]
fn which_program_is_run_is_not_for_a_row_to_say() {
    let seen = run_it(&command(&["/bin/{param}"]), b"true");
    let Ending::Failed(Cause::NotStarted(why)) = seen.ending else { panic!("{:?}", seen.ending) };
    assert!(why.contains("`/bin/{param}` does not exist"), "{why}");
}

#[test]
fn what_no_argument_can_hold_rejects_the_task() {
    let largest = page_size() * 32 - 1;
    let count = command(&["/bin/sh", "-c", "printf %s \"$1\" | wc -c", "sh", "{param}"]);
    let fits = run_it(&count, &vec![b'x'; largest]);
    assert_eq!((fits.ending.clone(), fits.texts()), (done(), vec![largest.to_string().as_str()]));
    let why = rejected(&count, &vec![b'x'; largest + 1]);
    assert!(why.contains(&format!("has {} bytes", largest + 1)) && why.contains(&largest.to_string()), "{why}");
    rejected(&command(&["true", "-{param}"]), &vec![b'x'; largest]);
    rejected(&command(&["true", "{param}{param}"]), &vec![b'x'; largest / 2 + 1]);
    let why = rejected(&count, b"ab\0c");
    assert!(why.contains("NUL byte at position 2"), "{why}");
    let many = command(&[&["true"][..], &["{param}"; 60]].concat());
    let why = rejected(&many, &vec![b'x'; largest - 10]);
    assert!(why.contains("does not fit"), "{why}");
    assert_eq!(run_it(&many, b"small").ending, done());
}
