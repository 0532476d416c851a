//! `check`: everything that is wrong with the configuration and the database, without starting anything.

use super::args::{Format, PlaceArgs};
use super::site::{Register, Site, env, here};
use super::{Verdict, print};
use crate::config::{Problem, problems};
use crate::error::Result;
use crate::work::Registry;
use serde_json::json;

pub(super) fn check(place: &PlaceArgs, register: Register, format: Format) -> Result<Verdict> {
    let mut own = Registry::new();
    register(&mut own)?;
    let known: Vec<&str> = own.names().collect();
    let found = problems(place.config.as_deref(), &here()?, &env, &known);
    let mut lines: Vec<(bool, String, Option<String>)> = found.iter().map(line).collect();
    if !lines.iter().any(|(remark, ..)| !remark) {
        let site = Site::find(place, register)?;
        lines.extend(database(&site));
    }
    let wrong = lines.iter().any(|(remark, ..)| !remark);
    let text = match format {
        Format::Json => {
            let object = |(remark, text, hint): &(bool, String, Option<String>)| json!({ "level": if *remark { "note" } else { "error" }, "message": text, "hint": hint });
            format!("{}\n", json!({ "ok": !wrong, "found": lines.iter().map(object).collect::<Vec<_>>() }))
        }
        Format::Table => {
            let mut text = String::new();
            for (remark, what, hint) in &lines {
                text += &format!("{}: {what}\n", if *remark { "note" } else { "error" });
                text += &hint.as_ref().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
            }
            if !wrong {
                text += &summary(&Site::find(place, register)?)?;
            }
            text
        }
    };
    print(&text)?;
    Ok(if wrong { Verdict::Wrong } else { Verdict::Well })
}

fn line(problem: &Problem) -> (bool, String, Option<String>) {
    (problem.remark, format!("{}: {}", problem.place, problem.what), problem.hint.clone())
}

/// What is to be said of the database. One that is not there yet is made by the first tick.
fn database(site: &Site) -> Vec<(bool, String, Option<String>)> {
    if !site.database.exists() {
        let hint = Some("the first tick, drain or migrate makes it".to_string());
        return vec![(true, format!("there is no database at {} yet", site.database.display()), hint)];
    }
    match site.existing_store().and_then(|mut store| store.plan()) {
        Err(e) => vec![(false, e.to_string(), e.hint_text().map(str::to_string))],
        Ok(plan) if plan.current().partitions != site.config.workers => {
            let (there, here) = (plan.current().partitions, site.config.workers);
            let what = format!("the database has {there} partitions; `workers = {here}` only counts when it is made");
            vec![(true, what, None)]
        }
        Ok(_) => Vec::new(),
    }
}

fn summary(site: &Site) -> Result<String> {
    let registry = site.registry()?;
    let names: Vec<&str> = registry.names().collect();
    let config = match &site.config.file {
        Some(file) => file.display().to_string(),
        None => "defaults, there is no rowmill.toml here".to_string(),
    };
    Ok(format!(
        "configuration  {config}\ndatabase       {}\njobs           {}\nschedules      {}\nall well\n",
        site.database.display(),
        names.join(", "),
        site.config.schedules.len()
    ))
}
