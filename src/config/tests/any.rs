//! Files of every kind: those that say something right are read as they say it, all others are refused with a place.

use super::*;
use crate::task::{Backoff, size_text};
use std::collections::BTreeMap;
use toml::Value;

/// A job as a person means it.
#[derive(Debug, Clone)]
struct Meant {
    name: String,
    arguments: Vec<String>,
    env: BTreeMap<String, String>,
    timeout_s: u64,
    max_attempts: u32,
    factor: f64,
    memory_mb: u64,
    redact: bool,
}

/// Text that TOML, a shell or a terminal would take for something, without NUL.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z'\"\\\\#=\\[\\]{}$`;&|\n\t .-]{0,12}",
        "\\PC{0,8}",
        any::<String>().prop_map(|t| t.replace('\0', ""))
    ]
}

prop_compose! {
    fn any_job()(
        name in "[^\\p{Cc}]{1,20}",
        arguments in prop::collection::vec(any_text(), 0..4),
        env in prop::collection::btree_map("[^=\\x00]{1,6}", any_text(), 0..3),
        timeout_s in 1_u64..1_000_000,
        max_attempts in 1_u32..=1_000,
        factor in 1.0..1e9_f64,
        memory_mb in 1_u64..=1 << 20,
        redact: bool,
    ) -> Meant {
        Meant { name, arguments, env, timeout_s, max_attempts, factor, memory_mb, redact }
    }
}

impl Meant {
    fn table(&self) -> toml::Table {
        let command = std::iter::once("prog".to_string()).chain(self.arguments.clone()).map(Value::from).collect();
        let mut table = toml::Table::new();
        table.insert("name".into(), self.name.clone().into());
        table.insert("command".into(), Value::Array(command));
        table.insert("env".into(), Value::Table(self.env.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect()));
        table.insert("timeout".into(), format!("{}s", self.timeout_s).into());
        table.insert("max_attempts".into(), i64::from(self.max_attempts).into());
        let backoff = [("first", Value::from("1s")), ("factor", self.factor.into()), ("max", "1w".into())];
        let backoff = backoff.into_iter().map(|(key, value)| (key.to_string(), value));
        table.insert("backoff".into(), Value::Table(backoff.collect()));
        table.insert("memory".into(), size_text(self.memory_mb << 20).into());
        table.insert("redact".into(), self.redact.into());
        table
    }

    fn is_what_was_read(&self, job: &JobEntry) {
        let argv: Vec<&str> = job.command.argv.iter().map(|text| text.to_str().unwrap()).collect();
        assert_eq!(job.name, self.name);
        assert_eq!(
            (argv[0], &argv[1..]),
            ("prog", self.arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice())
        );
        let mut env = self.env.clone();
        env.entry("PATH".into())
            .or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
        assert_eq!(job.command.env, env);
        assert_eq!((job.policy.timeout_ms, job.policy.max_attempts), (Some(self.timeout_s * 1_000), self.max_attempts));
        assert_eq!(job.policy.backoff, Backoff { first_ms: 1_000, factor: self.factor, max_ms: 604_800_000 });
        assert_eq!((job.command.limits.memory_bytes, job.command.redact), (Some(self.memory_mb << 20), self.redact));
    }
}

/// Every problem stands in one line that steers no terminal, and names a place within the file; loading fails with the
/// first of them, and with nothing else.
fn assert_said_in_its_place(text: &[u8]) {
    let dir = written(text);
    let found = problems(None, dir.path(), &no_env, &[]);
    let lines = String::from_utf8_lossy(text).split('\n').count();
    for problem in &found {
        let said = format!("{problem} {}", problem.hint.as_deref().unwrap_or_default());
        assert!(!said.contains(char::is_control), "{said:?}");
        let (line, column) = problem.place.line_column.expect("a place");
        assert!((1..=lines).contains(&line) && column > 0, "{problem} of {lines} lines");
    }
    match Config::load(None, dir.path(), &no_env) {
        Ok(config) => {
            let again = Config::load(None, dir.path(), &no_env).unwrap();
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
        }
        Err(e) => assert!(found.iter().any(|problem| !problem.remark && problem.to_string() == e.to_string()), "{e}"),
    }
}

proptest! {
    #[test]
    fn what_a_file_says_is_what_is_read(
        jobs in prop::collection::vec(any_job(), 0..4),
        workers in 1_i64..=4_096,
        zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
        keep_d in prop::option::of(0_u64..36_000),
        param in prop::option::of(any_text()),
    ) {
        let mut names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut table = toml::Table::new();
        table.insert("workers".into(), workers.into());
        table.insert("timezone".into(), zone.name().into());
        table.insert("retention".into(), keep_d.map_or("forever".to_string(), |days| format!("{days}d")).into());
        table.insert("job".into(), Value::Array(jobs.iter().map(|job| Value::Table(job.table())).collect()));
        let mut schedule = toml::Table::new();
        for (key, value) in [("name", "s"), ("job", "noop"), ("cron", "@daily")] {
            schedule.insert(key.into(), value.into());
        }
        schedule.extend(param.clone().map(|param| ("param".to_string(), param.into())));
        table.insert("schedule".into(), Value::Array(vec![Value::Table(schedule)]));
        let text = table.to_string();
        let loaded = load(&text);
        if names.len() < jobs.len() {
            prop_assert!(loaded.unwrap_err().to_string().contains("there are two jobs"));
            return Ok(());
        }
        let config = loaded.unwrap();
        prop_assert_eq!((i64::from(config.workers), config.timezone), (workers, zone), "{}", text);
        prop_assert_eq!(config.retention_ms, keep_d.map(|days| days * 86_400_000));
        prop_assert_eq!(config.jobs.len(), jobs.len());
        jobs.iter().zip(&config.jobs).for_each(|(meant, read)| meant.is_what_was_read(read));
        let param = param.map_or(String::new(), |param| serde_json::Value::from(param).to_string());
        prop_assert_eq!(&config.schedules[0].schedule.param, &param);
    }

    #[test]
    fn what_is_wrong_in_any_file_has_a_place(
        text in "\\PC{0,60}",
        tomlish in "((timezone|linger|log_level|group|database) = '[\u{9b}\t:a]{0,2}'\n|[a-z_]{1,8}|\\[\\[(job|schedule)\\]\\]\n|name|command|cron|param|env|\u{9b}|[=\\[\\]{}'\"#.,\\\\\n\t 0-9-]){0,40}",
        cuts in prop::collection::vec((0usize..FULL.len(), any::<u8>()), 1..4),
        (from, to) in (0usize..FULL.len(), 0usize..FULL.len()),
    ) {
        assert_said_in_its_place(text.as_bytes());
        assert_said_in_its_place(tomlish.as_bytes());
        let mut bytes = FULL.as_bytes().to_vec();
        for (at, byte) in cuts {
            bytes[at] = byte;
        }
        assert_said_in_its_place(&bytes);
        bytes.drain(from.min(to)..from.max(to));
        assert_said_in_its_place(&bytes);
    }
}

#[test]
fn nesting_without_end_is_refused() {
    let schedule = "[[schedule]]\nname = 's'\njob = 'a'\ncron = '@daily'\n";
    let many = |text: &str| text.repeat(100_000);
    for text in [
        format!("{schedule}param = {}{}", many("["), many("]")),
        format!("{schedule}param = {}1{}", many("{a="), many("}")),
        format!("{schedule}param{} = 1", many(".a")),
        format!("[a{}]\nb = 1", many(".a")),
        format!("[[a{}]]\nb = 1", many(".a")),
    ] {
        assert_said_in_its_place(text.as_bytes());
        assert!(load(&text).is_err());
    }
}
