//! `status` in the text exposition format of Prometheus, version 0.0.4: for each name HELP, TYPE, and its samples.
//!
//! Names have their unit last, in base units. What only rises is a counter and ends with `_total`: the kept counts of
//! tasks that became final, which do not fall when old rows are removed.

use super::crew;
use super::status::Seen;
use crate::store::DayCount;
use std::collections::BTreeMap;
use std::fmt::Display;

/// Everything that was seen, and all that became final so far.
pub(super) fn text(seen: &Seen, history: &[DayCount]) -> String {
    let mut page = Page(String::new());
    page.head("rowmill_tasks", "gauge", "Tasks in the queue, by job and status.");
    for (job, of) in &seen.counts.jobs {
        for (status, count) in of {
            page.sample("rowmill_tasks", &[("job", job), ("status", status.word())], count);
        }
    }
    page.head("rowmill_tasks_finished_total", "counter", "Tasks that became final, removed ones included.");
    let mut finished: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for count in history {
        *finished.entry((&count.job, count.status.word())).or_default() += count.count;
    }
    for ((job, status), count) in finished {
        page.sample("rowmill_tasks_finished_total", &[("job", job), ("status", status)], count);
    }
    page.head("rowmill_partitions", "gauge", "N, the number of partitions of new tasks.");
    page.sample("rowmill_partitions", &[], seen.partitions);
    page.head("rowmill_workers", "gauge", "Living workers.");
    page.sample("rowmill_workers", &[], seen.crew.len());
    page.head("rowmill_worker_resident_bytes", "gauge", "Resident memory of a living worker.");
    for hand in &seen.crew {
        if let Some(kb) = crew::resident_kb(hand.info.pid) {
            page.sample("rowmill_worker_resident_bytes", &[("worker", &hand.info.index.to_string())], kb * 1024);
        }
    }
    page.head(
        "rowmill_oldest_ready_age_seconds",
        "gauge",
        "How long the oldest ready task has waited, at least; 0 without one.",
    );
    let age_ms = seen.oldest_ready.map_or(0, |oldest| (seen.now_ms - oldest.since_ms).max(0));
    page.sample("rowmill_oldest_ready_age_seconds", &[], seconds(age_ms));
    page.head("rowmill_stopped", "gauge", "1 while a person has stopped everything, else 0.");
    page.sample("rowmill_stopped", &[], u8::from(seen.stopped.is_some()));
    page.head("rowmill_job_paused", "gauge", "1 for each job that is paused.");
    for (job, _) in &seen.paused {
        page.sample("rowmill_job_paused", &[("job", job)], 1);
    }
    page.head("rowmill_schedule_next_timestamp_seconds", "gauge", "When a schedule is due next.");
    for kept in seen.schedules.iter().filter(|kept| kept.paused.is_none()) {
        let name = [("schedule", kept.schedule.name.as_str())];
        let Some(next_at) = kept.next_at else { continue };
        page.sample("rowmill_schedule_next_timestamp_seconds", &name, seconds(next_at));
    }
    page.0
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.0 += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(key, text)| format!("{key}=\"{}\"", escaped(text))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.0 += &format!("{name}{labels} {value}\n");
    }
}

/// A label's text as the format wants it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Milliseconds as seconds, exactly.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out_of_their_quotes() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
        assert_eq!((seconds(1_796_086_800_007), seconds(0)), ("1796086800.007".to_string(), "0.000".to_string()));
    }
}
