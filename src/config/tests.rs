//! The values that are read, and every message with its line and column.

mod any;
mod jobs;
mod schedules;

use super::*;
use crate::error::Kind;
use crate::store::{CatchUp, Origin, Overlap};
use crate::task::Delivery;
use crate::work::exec::{Limits, User};
use proptest::prelude::*;
use std::fs;
use tempfile::TempDir;

fn no_env(_: &str) -> Option<String> {
    None
}

fn written(text: impl AsRef<[u8]>) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(FILE_NAME), text).unwrap();
    dir
}

fn load(text: &str) -> Result<Config> {
    Config::load(None, written(text).path(), &no_env)
}

const FULL: &str = r#"
database = "sqlite:data/q.db"
workers = 12
timezone = "Asia/Shanghai"
durability = "normal"
log_dir = "/var/log/rowmill"
log_level = "debug"
scripts_dir = "bin"
linger = "2m"
retention = "forever"
path = "bin:/opt/bin"
env = { TZ = "UTC", LANG = "fr" }
max_load = 12.5
max_pressure = "40%"

[[job]]
name = "mail"
command = ["php", "jobs/mail.php", "{param}"]
timeout = "30s"
grace = "1s"
max_attempts = 7
delivery = "at_most_once"
backoff = { first = "1s", factor = 3, max = "1m" }
env = { MODE = "fast", LANG = "C" }
pass_env = ["SMTP_HOST", "NOT_SET"]
cwd = "jobs"
user = "www-data:mail"
nice = -5
memory = "256MB"
cpu = "1500ms"
output = "64KB"
redact = true

[[job]]
name = "tool"
command = ["bin/tool"]
timeout = "none"

[[schedule]]
name = "nightly"
cron = "0 2 * * *"
timezone = "Europe/Berlin"
job = "mail"
param = { kind = "daily", ids = [1, 2.5, true], at = 2026-01-02T03:04:05Z }
priority = -3
enabled = false

[[schedule]]
name = "hourly"
cron = "@hourly"
job = "tool"
param = "plain"
"#;

#[test]
fn every_key_is_read() {
    let dir = written(FULL);
    let env = |name: &str| match name {
        "PATH" => Some("/somebody/s".to_string()),
        "LANG" => Some("de_DE.UTF-8".to_string()),
        "HOME" => Some("/root".to_string()),
        "USER" => Some(String::new()),
        "SMTP_HOST" => Some("mx".to_string()),
        "SECRET" => Some("not for jobs".to_string()),
        _ => None,
    };
    let config = Config::load(None, dir.path(), &env).unwrap();
    assert_eq!(config.folder, dir.path());
    assert_eq!(config.file.as_deref(), Some(dir.path().join(FILE_NAME).as_path()));
    assert_eq!(config.database, dir.path().join("data/q.db"));
    assert_eq!((config.workers, config.linger_ms, config.retention_ms), (12, 120_000, None));
    assert_eq!((config.timezone, config.durability), (Tz::Asia__Shanghai, Durability::Normal));
    assert_eq!((config.log_dir.as_path(), config.log_level), (Path::new("/var/log/rowmill"), log::LevelFilter::Debug));
    assert_eq!(config.scripts_dir, dir.path().join("bin"));

    let [mail, tool] = &config.jobs[..] else { panic!("{:?}", config.jobs) };
    assert_eq!((mail.name.as_str(), mail.place.to_string().as_str()), ("mail", "rowmill.toml:16:1"));
    assert_eq!(mail.command.argv, ["php", "jobs/mail.php", "{param}"]);
    assert_eq!(mail.command.cwd, dir.path().join("jobs"));
    let env: Vec<(&str, &str)> = mail.command.env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let path = dir.path().join("bin").display().to_string();
    let path = format!("{path}:/opt/bin");
    let wanted = [("LANG", "C"), ("MODE", "fast"), ("PATH", path.as_str()), ("SMTP_HOST", "mx"), ("TZ", "UTC")];
    assert_eq!(env, wanted);
    assert_eq!((mail.pass_env.join(" ").as_str(), tool.pass_env.len()), ("SMTP_HOST NOT_SET", 0));
    assert_eq!((config.limits.load, config.limits.pressure), (Some(12.5), Some(40.0)));
    let home = |job: &JobEntry| job.command.env.get("HOME").cloned();
    assert_eq!((home(mail), home(tool)), (None, Some("/root".to_string())), "whoever is another user has another home");
    let backoff = crate::task::Backoff { first_ms: 1_000, factor: 3.0, max_ms: 60_000 };
    assert_eq!(
        mail.policy,
        Policy {
            delivery: Delivery::AtMostOnce,
            max_attempts: 7,
            backoff,
            timeout_ms: Some(30_000),
            grace_ms: 1_000,
            ..Policy::default()
        }
    );
    let limits = Limits { memory_bytes: Some(256 << 20), cpu_ms: Some(1_500), output_bytes: 64 << 10, nice: Some(-5) };
    assert_eq!((&mail.command.limits, mail.command.redact), (&limits, true));
    assert_eq!(mail.command.user, Some(User::parse("www-data:mail").unwrap()));
    assert_eq!((&tool.command.limits, tool.command.redact), (&Limits::default(), false));
    assert_eq!((&tool.command.user, Limits::default().output_bytes), (&None, 1 << 20));
    assert_eq!(tool.command.argv, [dir.path().join("bin/tool")]);
    assert_eq!(tool.command.cwd, dir.path());
    assert_eq!(tool.policy, Policy::default());

    let [nightly, hourly] = &config.schedules[..] else { panic!("{:?}", config.schedules) };
    let (nightly, hourly) = (&nightly.schedule, &hourly.schedule);
    assert_eq!((nightly.name.as_str(), nightly.timing.as_str()), ("nightly", "0 2 * * *"));
    assert_eq!((nightly.zone, nightly.priority, nightly.enabled), (Tz::Europe__Berlin, -3, false));
    assert_eq!(nightly.param, r#"{"at":"2026-01-02T03:04:05Z","ids":[1,2.5,true],"kind":"daily"}"#);
    assert_eq!((hourly.zone, hourly.priority, hourly.enabled), (Tz::Asia__Shanghai, 0, true));
    assert_eq!((hourly.job.as_str(), hourly.param.as_str()), ("tool", r#""plain""#));
}

#[test]
fn without_a_file_there_are_defaults() {
    let dir = TempDir::new().unwrap();
    let config = Config::load(None, dir.path(), &no_env).unwrap();
    assert_eq!((config.folder.as_path(), config.file.as_deref()), (dir.path(), None));
    assert_eq!(config.database, dir.path().join("rowmill.db"));
    assert_eq!(config.log_dir, dir.path().join("logs"));
    assert_eq!(config.scripts_dir, dir.path().join("scripts"));
    assert_eq!((config.workers, config.linger_ms, config.timezone), (4, 90_000, Tz::UTC));
    assert_eq!(config.retention_ms, Some(30 * 86_400_000));
    assert_eq!((config.durability, config.log_level), (Durability::Full, log::LevelFilter::Info));
    assert!(config.jobs.is_empty() && config.schedules.is_empty());
    assert!(config.scripts().unwrap().is_empty());
}

#[test]
fn what_an_entry_leaves_out_has_defaults() {
    let config = load("[[job]]\nname='a'\ncommand=['x']\n[[schedule]]\nname='s'\ncron='@daily'\njob='a'").unwrap();
    let policy = Policy { timeout_ms: Some(3_600_000), ..Policy::default() };
    assert_eq!(config.jobs[0].policy, policy);
    let env: Vec<_> = config.jobs[0].command.env.iter().collect();
    assert_eq!(
        env,
        [(&"PATH".to_string(), &"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_string())]
    );
    let default = Schedule { origin: Origin::File, ..Schedule::new("s", "@daily", "a") };
    assert_eq!((&config.schedules[0].schedule, &config.schedules[0].only_if), (&default, &None));
}

#[test]
fn an_explicit_file_brings_its_own_folder() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/other.toml"), "database = 'q.db'").unwrap();
    fs::write(dir.path().join(FILE_NAME), "workers = 'not looked at'").unwrap();
    let config = Config::load(Some(Path::new("etc/other.toml")), dir.path(), &no_env).unwrap();
    assert_eq!(config.database, dir.path().join("etc/q.db"));
    assert_eq!(config.folder, dir.path().join("etc"));
    let missing = Config::load(Some(Path::new("etc/none.toml")), dir.path(), &no_env).unwrap_err();
    assert_eq!(missing.kind(), Kind::Usage);
    assert!(missing.to_string().contains("etc/none.toml: No such file"), "{missing}");
    fs::write(dir.path().join("etc/other.toml"), "worker = 1").unwrap();
    let wrong = Config::load(Some(Path::new("etc/other.toml")), dir.path(), &no_env).unwrap_err();
    assert_eq!(wrong.to_string(), "etc/other.toml:1:1: unknown key `worker` in the file");
}

#[test]
fn workers_may_be_one_for_each_processor() {
    assert!((1..=4096).contains(&load("workers = \"auto\"").unwrap().workers));
    assert_eq!(load("workers = 0x10").unwrap().workers, 16);
}

#[test]
fn a_database_is_a_path_with_or_without_its_kind() {
    let folder = Path::new("/srv/app");
    for (text, path) in [
        ("q.db", "/srv/app/q.db"),
        ("/data/q.db", "/data/q.db"),
        ("sqlite:q.db", "/srv/app/q.db"),
        ("sqlite:/data/q.db", "/data/q.db"),
        ("sqlite:///data/q.db", "/data/q.db"),
        ("sqlite://q.db", "/srv/app/q.db"),
    ] {
        assert_eq!(database_path(text, folder).unwrap(), Path::new(path), "{text}");
    }
    for text in ["", "sqlite:", "postgres://h/d", "mysql://h/d", ":memory:", "sqlite::memory:", "file:q.db", "a\0b"] {
        assert_eq!(database_path(text, folder).expect_err(text).kind(), Kind::Usage, "{text}");
    }
}

/// A job and a schedule with all that they need, to be made wrong in one place.
const JOB: &str = "[[job]]\nname = 'a'\ncommand = ['x']\n";
const SCHEDULE: &str = "[[schedule]]\nname = 's'\njob = 'a'\ncron = '@daily'\n";

fn assert_only_problem(text: &str, wanted: &str, hint: &str) {
    let dir = written(text);
    let problems = problems(None, dir.path(), &no_env, &["a"]);
    let found: Vec<String> = problems.iter().map(Problem::to_string).filter(|p| !p.contains("the program")).collect();
    assert_eq!(found, [format!("rowmill.toml:{wanted}")], "in\n{text}");
    let found = problems.iter().find(|p| p.to_string().ends_with(wanted)).unwrap().hint.clone().unwrap_or_default();
    assert!(found.contains(hint), "`{hint}` is not in the hint `{found}` in\n{text}");
    let error = Config::load(None, dir.path(), &no_env).unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (Kind::Usage, format!("rowmill.toml:{wanted}")));
}

#[test]
fn what_is_wrong_at_the_top_is_said_with_its_place() {
    for (text, wanted, hint) in [
        ("\nworkers = = 4", "2:11: this is not TOML: extra `=`, expected nothing", ""),
        ("workers = 4\nworkers = 5", "2:1: this is not TOML: duplicate key", ""),
        ("log_dir = \"logs", "1:16: this is not TOML: invalid basic string, expected `\"`", ""),
        ("worker = 4", "1:1: unknown key `worker` in the file", "did you mean `workers`?"),
        ("# ü\n  xyz.a = 4", "2:3: unknown key `xyz` in the file", "the keys of the file are database, workers"),
        ("workers = 0", "1:11: `workers` must be from 1 to 4096, not 0", ""),
        ("workers = 4097", "1:11: `workers` must be from 1 to 4096, not 4097", ""),
        ("workers = 1e3", "1:11: `workers` must be an integer from 1 to 4096, not a number with a fraction", ""),
        ("workers = '4'", "1:11: `workers` must be an integer from 1 to 4096, or \"auto\"", "one for each processor"),
        ("timezone = 'Europe/Berln'", "1:12: `Europe/Berln` is not a time zone", "did you mean `Europe/Berlin`?"),
        ("timezone = 'CET+1:00 or so'", "1:12: `CET+1:00 or so` is not a time zone", "Asia/Shanghai"),
        ("timezone = 8", "1:12: `timezone` must be the name of a time zone in quotes, not an integer", ""),
        ("durability = 'none'", "1:14: `durability` must be \"full\" or \"normal\", not `none`", "power cut"),
        ("log_level = 'all'", "1:13: `log_level` must be off, error, warn, info, debug or trace, not `all`", ""),
        (
            "linger = '90'",
            "1:10: `90` is not a span of time (the unit must be ms, s, m, h, d or w); \
          write it like 500ms, 30s, 1h30m or 7d",
            "",
        ),
        ("linger = 90", "1:10: `linger` must be a span of time in quotes, such as \"30s\", not an integer", ""),
        ("timezone = \"a\\nb\"", "1:12: `a\\nb` is not a time zone", ""),
        ("log_dir = ''", "1:11: a path cannot be empty", ""),
        ("log_dir = \"a\\u0000b\"", "1:11: `log_dir` contains a NUL character", ""),
        ("scripts_dir = ['a']", "1:15: `scripts_dir` must be a path in quotes, not a list", ""),
        ("\ndatabase = 'postgres://db/q'", "2:12: this version speaks SQLite only, not PostgreSQL", "rowmill.db"),
        ("database = 'amqp://db/q'", "1:12: `amqp://` is not a known database", "rowmill.db"),
        ("database = ':memory:'", "1:12: the database must be a file that other processes can open by its path", ""),
        ("[job]\nname = 'a'", "1:1: `job` must be written as [[job]], with two brackets, not a table", ""),
        ("job = [{ name = 'ü', command = ['x'], y = 1 }]", "1:39: unknown key `y` in [[job]]", ""),
        ("job = ['a']", "1:8: `job` must be written as [[job]], not text", ""),
    ] {
        assert_only_problem(text, wanted, hint);
    }
}

#[test]
fn all_problems_are_found_in_the_order_of_the_file() {
    let text =
        "linger = 5\nworker = 1\n[[job]]\nname = 'b'\n[[schedule]]\nname = 's'\ncron = 'x'\njob = 'a'\nenable = 1\n";
    let dir = written(text);
    let places: Vec<String> = problems(None, dir.path(), &no_env, &["a"]).iter().map(|p| p.place.to_string()).collect();
    let wanted = ["1:10", "2:1", "3:1", "7:10", "9:1"].map(|place| format!("rowmill.toml:{place}"));
    assert_eq!(places, wanted);
    let first = Config::load(None, dir.path(), &no_env).unwrap_err();
    assert!(first.to_string().starts_with(&wanted[0]), "{first}");
}

#[test]
fn what_is_no_text_is_refused() {
    let dir = written(b"workers = 4\n# \xff\n");
    let e = Config::load(None, dir.path(), &no_env).unwrap_err();
    assert_eq!(
        (e.to_string().as_str(), e.hint_text()),
        ("rowmill.toml:2:3: this is not UTF-8", Some("save the file in UTF-8"))
    );
    let huge = written(vec![b'#'; (4 << 20) + 1]);
    let e = Config::load(None, huge.path(), &no_env).unwrap_err();
    assert_eq!(e.to_string(), "rowmill.toml is longer than 4 MiB: it cannot be a configuration");
    let e = Config::load(Some(Path::new("/")), dir.path(), &no_env).unwrap_err();
    assert!(e.to_string().starts_with("cannot read /: Is a directory"), "{e}");
}

proptest! {
    #[test]
    fn arbitrary_text_is_read_or_refused(text in "\\PC{0,60}", tomlish in "([a-z_]{1,8}|\\[\\[job\\]\\]|cron|[=\\[\\]{}'\"#.,\\n 0-9-]){0,30}") {
        for text in [text, tomlish] {
            let dir = written(&text);
            let loaded = Config::load(None, dir.path(), &no_env);
            let wrong = problems(None, dir.path(), &no_env, &[]).iter().any(|p| !p.remark);
            prop_assert!(loaded.is_ok() || wrong);
        }
    }

    #[test]
    fn a_file_with_bytes_changed_is_read_or_refused(cuts in prop::collection::vec((0usize..FULL.len(), any::<u8>()), 1..4)) {
        let mut bytes = FULL.as_bytes().to_vec();
        for (at, byte) in cuts {
            bytes[at] = byte;
        }
        let dir = written(&bytes);
        let _ = problems(None, dir.path(), &no_env, &[]);
    }
}
