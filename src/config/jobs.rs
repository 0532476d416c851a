//! The `[[job]]` entries: a name, the program that is started, and what its failures cost.
//!
//! The environment of a program is put together here, once, from the lookup that the caller handed in: a short list
//! of variables that nearly every program needs, then what the entry asks for.

use super::page::{Page, Wrong};
use super::read::path_in;
use super::section::Section;
use super::{Config, JobEntry, Lookup};
use crate::task::{Backoff, Delivery, Policy, span_text};
use crate::work::exec::{Command, Limits, MOST_IN_FLIGHT, Stream, User};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use toml::Spanned;

pub(super) const KEYS: &[&str] = &[
    "name",
    "command",
    "mode",
    "in_flight",
    "recycle",
    "delivery",
    "timeout",
    "grace",
    "max_attempts",
    "backoff",
    "env",
    "pass_env",
    "cwd",
    "user",
    "nice",
    "memory",
    "cpu",
    "output",
    "redact",
];

/// The least memory that can be asked for: below it no program starts.
const LEAST_MEMORY: u64 = 1 << 20;

/// The policy of executables that say nothing else.
pub(super) fn default_policy() -> Policy {
    Policy { timeout_ms: Some(3_600_000), ..Policy::default() }
}

/// Reads every entry; those that are wrong are noted and left out.
pub(super) fn read(top: &Section<'_, '_>, config: &Config, env: Lookup<'_>) -> Vec<JobEntry> {
    let mut lines: HashMap<String, usize> = HashMap::new();
    let mut jobs = Vec::new();
    for section in top.sections("job", "[[job]]", KEYS) {
        let name = section.name("name");
        if let Some(name) = &name {
            note_twice(section.page(), &mut lines, name, "job");
        }
        if let Some(name) = name {
            jobs.extend(entry(&section, name.into_inner(), config, env));
        } else {
            // For what else is wrong with it.
            entry(&section, String::new(), config, env);
        }
    }
    jobs
}

/// The keys that say how a command runs.
pub(super) fn settings() -> impl Iterator<Item = &'static str> {
    KEYS.iter().copied().filter(|key| !["name", "command"].contains(key))
}

/// A job of this name, as its table says; what is wrong is noted.
pub(super) fn entry(section: &Section<'_, '_>, name: String, config: &Config, env: Lookup<'_>) -> Option<JobEntry> {
    let policy = policy(section);
    let cwd = section.parsed("cwd", "a path in quotes", |text| path_in(&config.folder, text));
    let argv = argv(section, "command", &config.folder);
    let pass_env = pass_env(section);
    let env = environment(section, &config.basic_env, &pass_env, env);
    let user = section.parsed("user", "\"name\" or \"name:group\"", |text| User::parse(text).map_err(Wrong::new));
    let user = user.map(Spanned::into_inner);
    let limits = limits(section);
    let redact = section.flag("redact").unwrap_or(false);
    let stream = stream(section, argv.as_deref());
    let cwd = cwd.map_or(config.folder.clone(), Spanned::into_inner);
    let place = section.page().place(section.at());
    let command = Command { argv: argv?, cwd, env, user, limits, stream, redact };
    Some(JobEntry { name, command, policy, pass_env, place })
}

/// Notes that a name was given before, with the line of that.
pub(super) fn note_twice(page: &Page<'_>, lines: &mut HashMap<String, usize>, name: &Spanned<String>, what: &str) {
    let at = name.span().start;
    let Some(first) = lines.get(name.get_ref()) else {
        lines.insert(name.get_ref().clone(), at);
        return;
    };
    let wrong = Wrong::new(format!("there are two {what}s with the name `{}`", name.get_ref()));
    page.wrong(at, wrong.hint(format!("the other is at {}: rename one of them", page.place(*first))));
}

fn policy(section: &Section<'_, '_>) -> Policy {
    let default = default_policy();
    let timeout_ms = match section.raw("timeout").and_then(|v| v.get_ref().as_str()) {
        Some("none") => None,
        _ => match section.span_ms("timeout") {
            Some(ms) if *ms.get_ref() == 0 => {
                let wrong = Wrong::new("`timeout` must be longer than 0");
                section.page().wrong(ms.span().start, wrong.hint("\"none\" lets the job run as long as it likes"));
                default.timeout_ms
            }
            Some(ms) => Some(ms.into_inner()),
            None => default.timeout_ms,
        },
    };
    let max_attempts = section.number("max_attempts", 1, 1_000).and_then(|n| u32::try_from(n).ok());
    let delivery = section.parsed("delivery", "a word in quotes", |word| {
        Delivery::from_word(word).ok_or_else(|| {
            let wrong = Wrong::new(format!("there is no delivery `{}`", word.escape_debug()));
            wrong.hint("it is \"at_least_once\" or \"at_most_once\"")
        })
    });
    Policy {
        delivery: delivery.map_or(default.delivery, Spanned::into_inner),
        max_attempts: max_attempts.unwrap_or(default.max_attempts),
        backoff: backoff(section).unwrap_or(default.backoff),
        timeout_ms,
        grace_ms: section.span_ms("grace").map_or(default.grace_ms, Spanned::into_inner),
        ..default
    }
}

fn limits(section: &Section<'_, '_>) -> Limits {
    let not_less = |key: &str, value: Spanned<u64>, least: u64, words: &str| {
        let fine = *value.get_ref() >= least;
        if !fine {
            section.page().wrong(value.span().start, Wrong::new(format!("`{key}` must be {words}")));
        }
        fine.then(|| value.into_inner())
    };
    let default = Limits::default();
    let memory = section.size("memory");
    let cpu = section.span_ms("cpu");
    Limits {
        memory_bytes: memory.and_then(|value| not_less("memory", value, LEAST_MEMORY, "1MB or more")),
        cpu_ms: cpu.and_then(|value| not_less("cpu", value, 1_000, "1s or more, since it is counted in whole seconds")),
        output_bytes: section.size("output").map_or(default.output_bytes, Spanned::into_inner),
        nice: section.number("nice", -20, 19).and_then(|nice| i32::try_from(nice).ok()),
    }
}

/// How a command with `mode = "stream"` is fed; `None` of one that is started for each task.
fn stream(section: &Section<'_, '_>, argv: Option<&[OsString]>) -> Option<Box<Stream>> {
    let mode = section.parsed("mode", "a word in quotes", |word| match word {
        "exec" => Ok(false),
        "stream" => Ok(true),
        other => {
            let wrong = Wrong::new(format!("there is no mode `{}`", other.escape_debug()));
            Err(wrong.hint("it is \"exec\": a process for each task; or \"stream\": one that is given task after task"))
        }
    });
    let in_flight = section.number("in_flight", 1, MOST_IN_FLIGHT as i64).and_then(|n| usize::try_from(n).ok());
    let recycle = recycle(section).unwrap_or_default();
    if !mode.is_some_and(Spanned::into_inner) {
        for key in ["in_flight", "recycle"].into_iter().filter(|key| section.raw(key).is_some()) {
            let wrong = Wrong::new(format!("`{key}` is for `mode = \"stream\"` only"));
            section.wrong_at(key, wrong.hint("set the mode as well, or leave it out"));
        }
        return None;
    }
    if argv.into_iter().flatten().any(|argument| argument.to_string_lossy().contains("{param}")) {
        let wrong = Wrong::new("a stream is given params as lines, so `{param}` cannot stand in its command");
        section.wrong_at("command", wrong.hint("leave it out, or leave `mode` out"));
    }
    Some(Box::new(Stream { in_flight: in_flight.unwrap_or(1), ..recycle }))
}

/// When a stream is replaced.
fn recycle(section: &Section<'_, '_>) -> Option<Stream> {
    let section = section.section("recycle", "recycle", &["max_tasks", "max_age", "max_rss"])?;
    let max_tasks = section.number("max_tasks", 1, i64::MAX);
    Some(Stream {
        max_tasks: max_tasks.and_then(|n| u64::try_from(n).ok()),
        max_age_ms: section.span_ms("max_age").map(Spanned::into_inner),
        max_rss_bytes: section.size("max_rss").map(Spanned::into_inner),
        ..Stream::default()
    })
}

fn backoff(section: &Section<'_, '_>) -> Option<Backoff> {
    let section = section.section("backoff", "backoff", &["first", "factor", "max"])?;
    let default = Backoff::default();
    let backoff = Backoff {
        first_ms: section.span_ms("first").map_or(default.first_ms, Spanned::into_inner),
        factor: section.fraction("factor", 1.0).unwrap_or(default.factor),
        max_ms: section.span_ms("max").map_or(default.max_ms, Spanned::into_inner),
    };
    if backoff.first_ms > backoff.max_ms {
        let (first, max) = (span_text(backoff.first_ms), span_text(backoff.max_ms));
        let wrong = Wrong::new(format!("backoff begins with {first}, which is longer than its longest, {max}"));
        section.page().wrong(section.at(), wrong.hint("set both `first` and `max`; max is 1h unless it is set"));
    }
    Some(backoff)
}

/// The program and its arguments. A program with a slash becomes absolute; one without is left for the PATH.
pub(super) fn argv(section: &Section<'_, '_>, key: &str, folder: &Path) -> Option<Vec<OsString>> {
    let example =
        format!("{key} is a list: the program, then each of its arguments, as in [\"php\", \"jobs/mail.php\"]");
    if section.raw(key).is_none() {
        section.lacks(key, &example);
    }
    let list = section.texts(key)?;
    let Some(program) = list.get_ref().first().filter(|program| !program.get_ref().is_empty()) else {
        section.page().wrong(list.span().start, Wrong::new(format!("`{key}` names no program")).hint(example));
        return None;
    };
    if program.get_ref().contains("{param}") {
        let wrong = Wrong::new("`{param}` may stand in arguments only: no row says what is run");
        section.page().wrong(program.span().start, wrong.hint("name the program, and put `{param}` behind it"));
        return None;
    }
    let program = match program.get_ref().contains('/') {
        true => folder.join(program.get_ref()).into_os_string(),
        false => OsString::from(program.get_ref()),
    };
    let arguments = list.get_ref().iter().skip(1).map(|argument| OsString::from(argument.get_ref()));
    Some(std::iter::once(program).chain(arguments).collect())
}

/// What the executable finds in its environment: the short list, then `pass_env`, then `env`. Of the short list, what says
/// who the worker is does not hold for one that runs as somebody else: it gets its own when it is started.
fn environment(
    section: &Section<'_, '_>,
    basic_env: &BTreeMap<String, String>,
    pass_env: &[String],
    env: Lookup<'_>,
) -> BTreeMap<String, String> {
    let mut all = basic_env.clone();
    if section.raw("user").is_some() {
        all.retain(|name, _| !["HOME", "USER", "LOGNAME"].contains(&name.as_str()));
    }
    all.extend(pass_env.iter().filter_map(|name| Some((name.clone(), env(name)?))));
    all.extend(pairs(section));
    all
}

/// The names of the variables that it is to get from Rowmill's own environment.
fn pass_env(section: &Section<'_, '_>) -> Vec<String> {
    let names = section.texts("pass_env").map(Spanned::into_inner).unwrap_or_default().into_iter();
    let fine = names.filter(|name| is_variable(section, name.get_ref(), name.span().start));
    fine.map(Spanned::into_inner).collect()
}

/// The variables that `env` of a section gives.
pub(super) fn pairs(section: &Section<'_, '_>) -> Vec<(String, String)> {
    let all = section.pairs("env").into_iter();
    let fine = all.filter(|(name, value)| is_variable(section, name, value.span().start));
    fine.map(|(name, value)| (name, value.into_inner())).collect()
}

fn is_variable(section: &Section<'_, '_>, name: &str, at: usize) -> bool {
    let fine = !name.is_empty() && !name.contains(['=', '\0']);
    if !fine {
        let what = format!("`{}` cannot be the name of a variable", name.escape_debug());
        section.page().wrong(at, Wrong::new(what).hint("a name is not empty, and contains no `=`"));
    }
    fine
}

/// The file that `command` would start, if there is one that may be executed.
pub(super) fn program_of(command: &Command) -> Option<PathBuf> {
    let program = Path::new(command.argv.first()?);
    let candidates: Vec<PathBuf> = match program.is_absolute() {
        true => vec![program.to_path_buf()],
        false => {
            std::env::split_paths(command.env.get("PATH")?).map(|dir| command.cwd.join(dir).join(program)).collect()
        }
    };
    candidates.into_iter().find(|file| super::scripts::is_executable_file(file))
}
