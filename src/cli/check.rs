//! `check`: everything that is wrong with the configuration and the database, without starting anything.

use super::args::{Format, PlaceArgs};
use super::site::{Register, Site, env, here};
use super::{Verdict, access, as_cron, crew, exposed, print};
use crate::config::{Problem, problems};
use crate::error::{Error, Result};
use crate::store::{Origin, Schedule};
use crate::work::Registry;
use serde_json::json;

pub(super) fn check(place: &PlaceArgs, register: Register, for_cron: bool, format: Format) -> Result<Verdict> {
    let mut own = Registry::new();
    register(&mut own)?;
    let known: Vec<&str> = own.names().collect();
    let found = problems(place.config.as_deref(), &here()?, &env, &known);
    let mut lines: Vec<Finding> = found.iter().map(Finding::from).collect();
    let readable = lines.iter().all(|line| line.remark);
    let mut crontab = None;
    if let Ok(site) = Site::look(place, register) {
        lines.extend(access::access(&site));
        lines.extend(exposed::exposed(&site));
        if for_cron {
            lines.extend(as_cron::findings(place, &site, &known)?);
            crontab = as_cron::line(place, &site);
        }
        // What stands in the way of everything is said once.
        if readable && site.group().is_ok() {
            lines.extend(database(&site));
            lines.extend(schedules(&site).unwrap_or_default());
        }
    }
    let wrong = lines.iter().any(|line| !line.remark);
    let text = match format {
        Format::Json => {
            let object = |line: &Finding| json!({ "level": line.level(), "message": line.what, "hint": line.hint });
            let mut answer = json!({ "ok": !wrong, "found": lines.iter().map(object).collect::<Vec<_>>() });
            if for_cron {
                answer["crontab"] = json!(crontab);
            }
            format!("{answer}\n")
        }
        Format::Table => {
            let mut text = String::new();
            for line in &lines {
                text += &format!("{}: {}\n", line.level(), line.what);
                text += &line.hint.as_ref().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
            }
            text += &crontab.map(|line| format!("crontab        {line}\n")).unwrap_or_default();
            if !wrong {
                text += &summary(&Site::find(place, register)?)?;
            }
            text
        }
    };
    print(&text)?;
    Ok(if wrong { Verdict::Wrong } else { Verdict::Well })
}

/// One thing that is to be said.
pub(super) struct Finding {
    /// It is only worth knowing: nothing is refused because of it.
    remark: bool,
    what: String,
    hint: Option<String>,
}

impl Finding {
    pub(super) fn error(what: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { remark: false, what: what.into(), hint: Some(hint.into()) }
    }

    pub(super) fn note(what: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { remark: true, ..Finding::error(what, hint) }
    }

    pub(super) fn wrong(e: &Error) -> Finding {
        Finding { remark: false, what: e.to_string(), hint: e.hint_text().map(str::to_string) }
    }

    fn level(&self) -> &'static str {
        if self.remark { "note" } else { "error" }
    }
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Finding {
        Finding { remark: problem.remark, what: problem.to_string(), hint: problem.hint.clone() }
    }
}

/// What is to be said of the database. One that is not there yet is made by the first tick.
fn database(site: &Site) -> Vec<Finding> {
    let folder = site.database.parent().unwrap_or(&site.database);
    if !folder.is_dir() {
        let what = format!("the folder of the database, {}, is not there", folder.display());
        return vec![Finding::error(what, "make it first")];
    }
    if !site.database.exists() {
        let what = format!("there is no database at {} yet", site.database.display());
        return vec![Finding::note(what, "the first tick, drain or migrate makes it")];
    }
    let seen = site.existing_store().and_then(|mut store| Ok((store.plan()?.current().partitions, store.crew())));
    let (there, crew) = match seen {
        Err(e) => return vec![Finding::wrong(&e)],
        // Whom the locks are closed to is told so by the look at the files.
        Ok((there, crew)) => (there, crew.unwrap_or_default()),
    };
    let here = site.config.workers;
    let mut found = Vec::new();
    if there != here {
        let what = format!("the database has {there} partitions; `workers = {here}` only counts when it is made");
        found.push(Finding { remark: true, what, hint: None });
    }
    if site.config.limits.pressure.is_some() && crate::schedule::measure().pressure.is_empty() {
        let what = "this kernel does not tell its pressure (/proc/pressure), so `max_pressure` limits nothing";
        found.push(Finding::note(what, "use `max_load`, or a kernel with CONFIG_PSI"));
    }
    found.extend(crew::remark(site, &crew).map(|what| Finding::note(what, crew::RENEW)));
    found
}

/// Schedules that ask for jobs which nobody here has: those of packs, and those that persons made. (The file's are looked
/// at with the file.)
fn schedules(site: &Site) -> Result<Vec<Finding>> {
    let registry = site.registry()?;
    let mut all = site.schedules(&registry);
    if site.database.exists()
        && let Ok(stored) = site.existing_store().and_then(|mut store| store.schedules())
    {
        all.extend(stored.into_iter().map(|kept| kept.schedule).filter(|one| one.origin == Origin::Person));
    }
    let unknown = all.iter().filter(|one| one.origin != Origin::File && registry.get(&one.job).is_none());
    let finding = |one: &Schedule| {
        let (name, job) = (one.name.escape_debug(), one.job.escape_debug());
        let whose = if one.origin == Origin::Pack { "of a pack" } else { "made by `schedule add`" };
        let what = format!("the schedule `{name}` ({whose}) asks for the job `{job}`, which nobody here has");
        Finding { remark: true, what, hint: None }
    };
    Ok(unknown.map(finding).collect())
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
        site.schedules(&registry).len()
    ))
}
