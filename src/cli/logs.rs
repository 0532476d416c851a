//! `logs`: what was logged, chosen by time and by what it is about, and what is still to come.

use super::args_logs::{LineFormat, LogsArgs};
use super::site::{Site, env};
use super::{Verdict, show};
use crate::clock::Millis;
use crate::error::{Error, Result};
use crate::log::Form;
use crate::log::read::{Choice, Ends, Query, View, follow, show as show_lines};
use crate::task::parse_span;
use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use std::io::IsTerminal;
use std::os::fd::AsFd;

pub(super) fn logs(site: &Site, args: &LogsArgs) -> Result<Verdict> {
    let stdout = std::io::stdout();
    let query = query(site, args, stdout.is_terminal())?;
    let mut out = stdout.lock();
    if args.follow {
        follow(&query, &site.clock, Ends { stop: None, output: Some(stdout.as_fd()) }, &mut out)?;
    } else {
        show_lines(&query, &site.clock, &mut out)?;
    }
    Ok(Verdict::Well)
}

fn query(site: &Site, args: &LogsArgs, terminal: bool) -> Result<Query> {
    let when = When { zone: site.config.timezone, now_ms: site.clock.now_ms() };
    let date = args.date.as_deref().map(|text| when.date(text)).transpose().map_err(Error::usage)?;
    let since = args.since.as_deref().map(|text| when.time(text, date, false));
    let until = args.until.as_deref().map(|text| when.time(text, date, true));
    let since_ms = since.transpose().map_err(|e| Error::usage(format!("--since: {e}")))?;
    let until_ms = until.transpose().map_err(|e| Error::usage(format!("--until: {e}")))?;
    if let (Some(since_ms), Some(until_ms)) = (since_ms, until_ms)
        && since_ms >= until_ms
    {
        let time = |at_ms| show::time(at_ms, when.zone);
        return Err(Error::usage(format!("nothing lies between {} and {}", time(since_ms), time(until_ms)))
            .hint("--since comes before --until; 14:00 is one of today, or of --date"));
    }
    let level = args.level.as_deref().and_then(|word| word.parse().ok());
    let colours = terminal && env("NO_COLOR").is_none_or(|v| v.is_empty()) && env("TERM").is_none_or(|v| v != "dumb");
    let form = args.format.map(|format| match format {
        LineFormat::Text => Form::Text,
        LineFormat::Json => Form::Json,
    });
    let (task, worker, job, output) = (args.task, args.worker, args.job.clone(), args.output);
    Ok(Query {
        dir: site.config.log_dir.clone(),
        zone: when.zone,
        date,
        since_ms,
        until_ms,
        choice: Choice { task, worker, job, level, output },
        last: args.lines,
        view: View { form, colours, terminal },
    })
}

/// What times are relative to.
struct When {
    zone: Tz,
    now_ms: Millis,
}

impl When {
    fn today(&self) -> NaiveDate {
        DateTime::from_timestamp_millis(self.now_ms).unwrap_or_default().with_timezone(&self.zone).date_naive()
    }

    fn date(&self, text: &str) -> std::result::Result<NaiveDate, String> {
        match text.trim() {
            "today" => Ok(self.today()),
            "yesterday" => Ok(self.today().pred_opt().unwrap_or(NaiveDate::MIN)),
            day => {
                day.parse().map_err(|_| format!("`{text}` is not a day; write it like 2026-11-21, today or yesterday"))
            }
        }
    }

    /// A time of day is one of `date`, or of today. A day is its beginning, or its end.
    fn time(&self, text: &str, date: Option<NaiveDate>, end: bool) -> std::result::Result<Millis, String> {
        if let Ok(day) = self.date(text) {
            return Ok(self.midnight(if end { day.checked_add_days(Days::new(1)).unwrap_or(day) } else { day }));
        }
        let forms = ["%H:%M", "%H:%M:%S"];
        if forms.iter().any(|form| NaiveTime::parse_from_str(text.trim(), form).is_ok()) {
            let day = date.unwrap_or_else(|| self.today());
            return show::read_time(&format!("{day} {}", text.trim()), self.zone);
        }
        if let Ok(ago_ms) = parse_span(text) {
            return Ok(self.now_ms.saturating_sub(i64::try_from(ago_ms).unwrap_or(i64::MAX)));
        }
        show::read_time(text, self.zone).map_err(|e| {
            let ways = "or 2h (ago), 14:00, 2026-11-21, today, yesterday";
            format!("{e}, {ways}")
        })
    }

    /// When a day begins: where the clock is set forward over midnight, a little later.
    fn midnight(&self, day: NaiveDate) -> Millis {
        let tries = (0..=24 * 4).map(|quarters| day.and_time(NaiveTime::MIN) + TimeDelta::minutes(15 * quarters));
        let first = tries.filter_map(|local| self.zone.from_local_datetime(&local).earliest()).next();
        first.map_or(0, |at| at.timestamp_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono_tz::{Asia::Beirut, Europe::Berlin};

    /// 2026-11-21 15:00 in Berlin.
    const NOW_MS: Millis = 1_795_269_600_000;
    const HOUR_MS: Millis = 3_600_000;

    #[test]
    fn times_are_written_as_one_thinks_of_them() {
        let when = When { zone: Berlin, now_ms: NOW_MS };
        let date = NaiveDate::from_ymd_opt(2026, 11, 20);
        for (text, date, ms) in [
            ("2h", None, NOW_MS - 2 * HOUR_MS),
            ("2h", date, NOW_MS - 2 * HOUR_MS),
            ("14:30", None, NOW_MS - HOUR_MS / 2),
            ("14:30:30", None, NOW_MS - HOUR_MS / 2 + 30_000),
            ("14:30", date, NOW_MS - HOUR_MS / 2 - 24 * HOUR_MS),
            ("today", None, NOW_MS - 15 * HOUR_MS),
            ("yesterday", None, NOW_MS - 39 * HOUR_MS),
            ("2026-11-20", None, NOW_MS - 39 * HOUR_MS),
            ("2026-11-20 15:00", None, NOW_MS - 24 * HOUR_MS),
            ("2026-11-21T14:00:00Z", None, NOW_MS),
        ] {
            assert_eq!(when.time(text, date, false), Ok(ms), "{text}");
        }
        assert_eq!(when.time("today", None, true), Ok(NOW_MS + 9 * HOUR_MS));
        assert_eq!(when.time("2026-11-20", None, true), Ok(NOW_MS - 15 * HOUR_MS));
        for text in ["25:00", "tomorrow", "5", ""] {
            assert!(when.time(text, None, false).is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_without_a_midnight_begins_when_it_does() {
        let when = When { zone: Beirut, now_ms: NOW_MS };
        // On 2026-03-29 the clock goes from 00:00 to 01:00.
        assert_eq!(when.time("2026-03-29", None, false), Ok(1_774_735_200_000));
        assert_eq!(when.time("2026-03-28", None, true), Ok(1_774_735_200_000));
    }
}
