//! From the text of the file to the values of [`Config`].
//!
//! What is missing or wrong is left at its default, so that the rest of the file is looked at all the same; it is the
//! caller who decides whether a configuration with problems is used.

use super::page::{Page, Problem, Wrong};
use super::section::Section;
use super::{Config, FILE_NAME, GroupEntry, Lookup, cannot_read, jobs, schedules};
use crate::error::{Error, Result};
use crate::log::Form;
use crate::schedule::Limits;
use crate::store::Durability;
use crate::task::parse_span;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read};
use std::path::{self, Path, PathBuf};
use toml::Spanned;

pub(super) const KEYS: &[&str] = &[
    "database",
    "workers",
    "timezone",
    "durability",
    "group",
    "log_dir",
    "log_level",
    "log_format",
    "scripts_dir",
    "linger",
    "stall",
    "retention",
    "path",
    "env",
    "max_load",
    "max_pressure",
    "job",
    "schedule",
];

/// Far more than a person writes; a device or a database named by mistake is not read to its end.
const LARGEST_BYTES: u64 = 4 << 20;

/// What an executable gets of the environment without being asked for.
pub const BASIC_ENV: [&str; 7] = ["HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// Where programs are looked for unless `path` says it: never in the PATH of whoever starts workers, since cron's, a shell's and
/// systemd's differ.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The configuration as far as it could be read, and everything that is wrong with the file.
pub(super) fn read(explicit: Option<&Path>, folder: &Path, env: Lookup<'_>) -> Result<(Config, Vec<Problem>)> {
    let folder = path::absolute(folder).map_err(|e| cannot_read(folder, &e))?;
    let (shown, file) = match explicit {
        Some(file) => (file.display().to_string(), folder.join(file)),
        None => (FILE_NAME.to_string(), folder.join(FILE_NAME)),
    };
    let bytes = match bytes_of(&file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound && explicit.is_none() => {
            return Ok((defaults(folder, None, env), Vec::new()));
        }
        Err(e) => return Err(cannot_read(&file, &e).hint("see that the file is there, and may be read by this user")),
    };
    if bytes.len() as u64 > LARGEST_BYTES {
        return Err(Error::usage(format!("{shown} is longer than 4 MiB: it cannot be a configuration")));
    }
    let folder = file.parent().map_or(folder, Path::to_path_buf);
    let mut config = defaults(folder, Some(file), env);
    let (text, cut) = match std::str::from_utf8(&bytes) {
        Ok(text) => (text, None),
        Err(e) => (std::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap_or_default(), Some(e.valid_up_to())),
    };
    let page = Page::new(shown, text);
    if let Some(at) = cut {
        page.wrong(at, Wrong::new("this is not UTF-8").hint("save the file in UTF-8"));
    } else if let Some(tree) = page.tree() {
        fill(&mut config, &Section::open(&page, tree.get_ref(), 0, "the file", KEYS), env);
    }
    Ok((config, page.into_problems()))
}

fn bytes_of(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(LARGEST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn defaults(folder: PathBuf, file: Option<PathBuf>, env: Lookup<'_>) -> Config {
    let found = BASIC_ENV.iter().filter_map(|name| Some(((*name).to_string(), env(name).filter(|v| !v.is_empty())?)));
    let mut basic_env: BTreeMap<String, String> = found.collect();
    basic_env.insert("PATH".to_string(), DEFAULT_PATH.to_string());
    Config {
        database: folder.join("rowmill.db"),
        workers: 4,
        timezone: chrono_tz::UTC,
        durability: Durability::Full,
        group: None,
        log_dir: folder.join("logs"),
        log_level: log::LevelFilter::Info,
        log_format: Form::Text,
        scripts_dir: folder.join("scripts"),
        linger_ms: 90_000,
        stall_ms: 30_000,
        retention_ms: Some(30 * 86_400_000),
        limits: Limits::default(),
        jobs: Vec::new(),
        schedules: Vec::new(),
        basic_env,
        set_env: BTreeSet::new(),
        file,
        folder,
    }
}

fn fill(config: &mut Config, top: &Section<'_, '_>, env: Lookup<'_>) {
    let folder = config.folder.clone();
    let file_of = |key| top.parsed(key, "a path in quotes", |text| path_in(&folder, text)).map(Spanned::into_inner);
    let database = top.parsed("database", "a path in quotes", |text| database_in(&folder, text));
    config.database = database.map_or(config.database.clone(), Spanned::into_inner);
    config.log_dir = file_of("log_dir").unwrap_or(config.log_dir.clone());
    config.scripts_dir = file_of("scripts_dir").unwrap_or(config.scripts_dir.clone());
    config.workers = workers(top).unwrap_or(config.workers);
    config.timezone = top.zone("timezone").unwrap_or(config.timezone);
    let durability = top.parsed("durability", "\"full\" or \"normal\"", |text| match text {
        "full" => Ok(Durability::Full),
        "normal" => Ok(Durability::Normal),
        _ => Err(Wrong::new(format!("`durability` must be \"full\" or \"normal\", not `{text}`"))
            .hint("full survives a power cut; normal is faster, and may lose the last moments before one")),
    });
    config.durability = durability.map_or(config.durability, Spanned::into_inner);
    let group = top.parsed("group", "the name of a group in quotes", |text| match text {
        "" => Err(Wrong::new("`group` is empty").hint("leave it out: then the files are their owner's alone")),
        _ if text.contains([':', '\n', '/']) => Err(Wrong::new(format!("`{}` is not a group", text.escape_debug()))),
        _ => Ok(text.to_string()),
    });
    config.group =
        group.map(|group| GroupEntry { place: top.page().place(group.span().start), name: group.into_inner() });
    let levels = "off, error, warn, info, debug or trace";
    let log_level = top.parsed("log_level", levels, |text| {
        text.parse().map_err(|_| Wrong::new(format!("`log_level` must be {levels}, not `{text}`")))
    });
    config.log_level = log_level.map_or(config.log_level, Spanned::into_inner);
    let log_format = top.parsed("log_format", "\"text\" or \"json\"", |text| match text {
        "text" => Ok(Form::Text),
        "json" => Ok(Form::Json),
        _ => Err(Wrong::new(format!("`log_format` must be \"text\" or \"json\", not `{text}`"))
            .hint("text is for people; json is one object a line, for programs")),
    });
    config.log_format = log_format.map_or(config.log_format, Spanned::into_inner);
    config.stall_ms = top.span_ms("stall").map_or(config.stall_ms, Spanned::into_inner).max(1_000);
    config.linger_ms = top.span_ms("linger").map_or(config.linger_ms, Spanned::into_inner);
    let retention =
        top.parsed("retention", "a span of time in quotes, such as \"30d\", or \"forever\"", |text| match text {
            "forever" => Ok(None),
            _ => parse_span(text).map(Some).map_err(|why| Wrong::new(why).hint("\"forever\" keeps everything")),
        });
    config.retention_ms = retention.map_or(config.retention_ms, Spanned::into_inner);
    config.limits = limits(top);
    if let Some(path) = top.parsed("path", "folders in quotes, with `:` between them", |text| search_in(&folder, text))
    {
        config.basic_env.insert("PATH".to_string(), path.into_inner());
    }
    let set = jobs::pairs(top);
    config.set_env = set.iter().map(|(name, _)| name.clone()).collect();
    config.basic_env.extend(set);
    config.jobs = jobs::read(top, config, env);
    let (schedules, own_jobs) = schedules::read(top, config, env);
    config.schedules = schedules;
    config.jobs.extend(own_jobs);
}

/// Above which load and pressure workers are curbed.
fn limits(top: &Section<'_, '_>) -> Limits {
    let percent = "a share in quotes, such as \"50%\"";
    let pressure = top.parsed("max_pressure", percent, |text| {
        let number = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
        number.filter(|percent| *percent > 0.0 && *percent <= 100.0).ok_or_else(|| {
            let wrong = Wrong::new(format!("`max_pressure` must be {percent}, not `{}`", text.escape_debug()));
            wrong.hint("of a minute, in which something waited for processor, memory or disk")
        })
    });
    Limits { load: top.fraction("max_load", 0.01), pressure: pressure.map(Spanned::into_inner) }
}

/// The folders of a search path, each absolute; relative ones are relative to `folder`.
fn search_in(folder: &Path, text: &str) -> std::result::Result<String, Wrong> {
    let parts: Vec<String> = text.split(':').map(|part| folder.join(part).display().to_string()).collect();
    match text.split(':').any(str::is_empty) {
        true => Err(Wrong::new("`path` has an empty folder in it").hint("write the folders with one `:` between two")),
        false => Ok(parts.join(":")),
    }
}

fn workers(top: &Section<'_, '_>) -> Option<u32> {
    let raw = top.raw("workers")?;
    if raw.get_ref().as_str() == Some("auto") {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        return Some(u32::try_from(processors).unwrap_or(u32::MAX).min(4096));
    }
    if raw.get_ref().is_str() {
        let wrong = Wrong::new("`workers` must be an integer from 1 to 4096, or \"auto\"");
        top.page().wrong(raw.span().start, wrong.hint("\"auto\" is one for each processor"));
        return None;
    }
    top.number("workers", 1, 4096).and_then(|n| u32::try_from(n).ok())
}

/// A path that is relative to `folder` unless it is absolute.
pub(super) fn path_in(folder: &Path, text: &str) -> std::result::Result<PathBuf, Wrong> {
    match text {
        "" => Err(Wrong::new("a path cannot be empty")),
        _ => Ok(folder.join(text)),
    }
}

fn database_in(folder: &Path, text: &str) -> std::result::Result<PathBuf, Wrong> {
    let sqlite = "write the path of an SQLite file, such as \"rowmill.db\"";
    let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let path = match text.strip_prefix("sqlite:") {
        Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
        None => match scheme.as_deref() {
            Some("postgres" | "postgresql") => {
                return Err(Wrong::new("this version speaks SQLite only, not PostgreSQL").hint(sqlite));
            }
            Some(scheme) => return Err(Wrong::new(format!("`{scheme}://` is not a known database")).hint(sqlite)),
            None => text,
        },
    };
    if path.starts_with(":memory:") || path.starts_with("file:") {
        return Err(Wrong::new("the database must be a file that other processes can open by its path").hint(sqlite));
    }
    if path.contains('\0') {
        return Err(Wrong::new("the database's path contains a NUL character"));
    }
    path_in(folder, path)
}

/// The file of a database as people name it: a path, or `sqlite:` and a path; relative ones to `folder`. Anything else
/// is a usage error.
pub fn database_path(text: &str, folder: &Path) -> Result<PathBuf> {
    let folder = path::absolute(folder).map_err(|e| cannot_read(folder, &e))?;
    database_in(&folder, text).map_err(Error::from)
}
