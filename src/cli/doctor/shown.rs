//! How the answer of `doctor` looks, to people and to scripts.

use super::Seen;
use super::notes::notes;
use crate::cli::show;
use crate::cli::site::Site;
use crate::store::sqlite::{LogReader, Sure};
use crate::store::{EXAMPLES, Example, Found};
use serde_json::{Value, json};

/// Said once below all breaches.
const NEVER: &str = "hint: the engine leaves no breach behind: keep a copy of the database, look in the logs for what else wrote to it, \
                     and report it\n";

pub(super) fn as_json(seen: &Seen) -> Value {
    let at = &seen.condition;
    let note = |n: &super::notes::Note| json!({ "about": n.about, "message": n.what, "hint": n.hint });
    let schema = |(version, sum): &(u32, i64)| json!({ "version": version, "checksum": checksum(*sum) });
    let locks = |found: &[(String, Vec<i64>)]| -> Value {
        found.iter().map(|(file, pids)| json!({ "file": file, "pids": pids })).collect()
    };
    let job = |(name, waits): (&String, &crate::store::Queued)| {
        let known = seen.known.as_ref().map(|known| known.contains(name));
        let of = json!({ "ready": waits.ready, "delayed": waits.delayed, "parked": waits.parked, "known": known });
        (name.clone(), of)
    };
    json!({
        "ok": seen.breaches() == 0,
        "breaches": seen.breaches(),
        "laws": seen.found.iter().map(law).collect::<Value>(),
        "notes": notes(seen).iter().map(note).collect::<Value>(),
        "engine": { "program": env!("CARGO_PKG_VERSION"), "sqlite": at.engine, "tzdata": chrono_tz::IANA_TZDB_VERSION },
        "database": {
            "path": seen.database, "bytes": at.file_bytes, "unused_bytes": at.unused_bytes,
            "file_system": at.file_system, "free_bytes": at.free_bytes, "settings": at.settings,
            "schema": at.schema.iter().map(schema).collect::<Value>(),
        },
        "log": {
            "bytes": at.log_bytes, "truncated_at": at.log_bound,
            "readers": seen.readers.iter().map(reader).collect::<Value>(),
        },
        "run_folder": {
            "file_system": at.run_file_system, "closed": at.run.closed, "bodies": at.run.bodies,
            "strays": locks(&at.run.strays), "orphaned_locks": locks(&at.run.orphans),
            "idle_sockets": at.run.sockets, "foreign": at.run.foreign,
        },
        "clock": { "now": seen.now_ms, "last_tick_at": at.last_tick },
        "waiting": {
            "jobs": seen.waiting.jobs.iter().map(job).collect::<serde_json::Map<_, _>>(),
            "longest": seen.waiting.longest.iter().map(|(id, since)| json!({ "id": id, "since": since })).collect::<Value>(),
            "oldest_unfolded_at": at.oldest_fresh,
        },
        "dead_workers": at.dead.iter().map(|dead| {
            json!({ "index": dead.index, "pid": dead.pid, "since": dead.since, "tasks": dead.tasks })
        }).collect::<Value>(),
        "took_ms": seen.took_ms,
    })
}

fn law(found: &Found) -> Value {
    let example = |example: &Example| match example {
        Example::Id(id) => json!(id),
        Example::Text(text) => json!(text),
    };
    json!({
        "law": found.law.name, "sentence": found.law.sentence, "severity": found.law.severity.word(),
        "broken": found.count, "examples": found.examples.iter().map(example).collect::<Value>(),
        "hint": found.law.remedy, "left_out": found.left_out,
    })
}

fn reader(reader: &LogReader) -> Value {
    let sure = match reader.sure {
        Sure::Certain => "certain",
        Sure::Likely => "likely",
        Sure::Possible => "possible",
    };
    json!({ "pid": reader.pid, "name": reader.name, "frame": reader.frame, "sure": sure })
}

fn checksum(sum: i64) -> String {
    format!("{:016x}", sum.cast_unsigned())
}

pub(super) fn as_text(site: &Site, seen: &Seen) -> String {
    let (at, zone) = (&seen.condition, site.config.timezone);
    let schema: Vec<String> =
        at.schema.iter().map(|(version, sum)| format!("{version} ({})", checksum(*sum))).collect();
    let settings: Vec<String> = at.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let mut text = format!(
        "database    {}\n            {}, of which {} unused; on {}, {} free\n            {}\n            tables of version {}\n",
        seen.database,
        show::size(at.file_bytes),
        show::size(at.unused_bytes),
        at.file_system,
        show::size(at.free_bytes),
        settings.join(", "),
        schema.join(", ")
    );
    text += &format!("log         {}, truncated from {} on\n", show::size(at.log_bytes), show::size(at.log_bound));
    text += &format!("engine      SQLite {}, tzdata {}\n", at.engine, chrono_tz::IANA_TZDB_VERSION);
    if let Some(last) = at.last_tick {
        text += &format!("last tick   {} ({})\n", show::time(last, zone), show::from_now(last, seen.now_ms));
    }
    for (id, since) in &seen.waiting.longest {
        text += &format!(
            "waits       task {id}, ready since {} ({})\n",
            show::time(*since, zone),
            show::from_now(*since, seen.now_ms)
        );
    }
    let holds = seen.found.iter().filter(|found| found.count == 0 && found.left_out.is_none()).count();
    text += &format!("laws        {} looked at, {holds} hold\n", seen.found.len());
    for found in seen.found.iter().filter(|found| found.count > 0) {
        text += &broken(found);
    }
    for note in notes(seen) {
        text += &format!("note: {}\nhint: {}\n", note.what, note.hint);
    }
    text += &match seen.breaches() {
        0 => format!("all well, in {}\n", show::span(i64::try_from(seen.took_ms).unwrap_or(i64::MAX))),
        1 => format!("one law is broken\n{NEVER}"),
        n => format!("{n} laws are broken\n{NEVER}"),
    };
    text
}

fn broken(found: &Found) -> String {
    let example = |example: &Example| match example {
        Example::Id(id) => id.to_string(),
        Example::Text(text) => show::excerpt(text.as_bytes(), 200),
    };
    let mut examples: Vec<String> = found.examples.iter().map(example).collect();
    if found.count > EXAMPLES as u64 {
        examples.push("…".to_string());
    }
    let law = found.law;
    format!(
        "{}: it does not hold that {} ({})\n  {} times: {}\nhint: {}\n",
        law.severity.word(),
        law.sentence,
        law.name,
        show::number(found.count),
        examples.join(", "),
        law.remedy
    )
}
