//! `check --as-cron`: what would be missing when cron calls `tick`, and the line for the crontab.
//!
//! Cron gives a command HOME, LOGNAME, SHELL and `PATH=/usr/bin:/bin`, and starts it in the home folder. All else that is set
//! here is not set there, unless the crontab says it.

use super::args::PlaceArgs;
use super::check::Finding;
use super::site::{Site, env, here};
use crate::config::{BASIC_ENV, problems};
use crate::error::Result;
use std::collections::BTreeSet;
use std::path::Path;

/// A variable as cron sets it.
fn of_cron(name: &str) -> Option<String> {
    match name {
        "HOME" | "LOGNAME" | "SHELL" => env(name),
        "PATH" => Some("/usr/bin:/bin".to_string()),
        _ => None,
    }
}

/// What differs there. `known` are the names of the jobs that the program itself registers.
pub(super) fn findings(place: &PlaceArgs, site: &Site, known: &[&str]) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    if site.config.file.is_none() {
        let what = "cron starts in the home folder, and there is no configuration to name";
        found.push(Finding::error(what, "write one (`rowmill init`), so that cron's line can say --config"));
    }
    if place.database.is_none() && env("ROWMILL_DATABASE").is_some_and(|name| !name.is_empty()) {
        let what = format!(
            "ROWMILL_DATABASE is set here and not under cron: there the database is {}",
            site.config.database.display()
        );
        found.push(Finding::error(what, "say it in the configuration (`database`), or in cron's line (--database)"));
    }
    let here: BTreeSet<String> = texts(place, &here()?, known, &env);
    for (what, hint) in problems(place.config.as_deref(), &self::here()?, &of_cron, known)
        .into_iter()
        .filter(|problem| !problem.remark && !here.contains(&problem.to_string()))
        .map(|problem| (problem.to_string(), problem.hint.unwrap_or_default()))
    {
        found.push(Finding::error(format!("under cron: {what}"), hint));
    }
    for job in &site.config.jobs {
        for name in job.pass_env.iter().filter(|name| of_cron(name).is_none()) {
            let (own, set) = (env(name), job.command.env.get(name));
            if set.is_some() && set != own.as_ref() {
                // `env` sets it.
                continue;
            }
            let hint = format!("write `{name}=…` above the line in the crontab, or set it with `env`");
            found.push(match own {
                Some(_) => {
                    let what = format!("the job `{}` passes on {name}, which is set here and not under cron", job.name);
                    Finding::error(what, hint)
                }
                None => {
                    let what = format!("the job `{}` passes on {name}, which is not set here", job.name);
                    Finding::note(what, hint)
                }
            });
        }
    }
    let missing: Vec<&str> = BASIC_ENV.into_iter().filter(|name| of_cron(name).is_none()).collect();
    let missing: Vec<&str> =
        missing.into_iter().filter(|name| env(name).is_some() && !site.config.sets(name)).collect();
    if !missing.is_empty() {
        let what = format!("jobs have {} here, and would not under cron", missing.join(", "));
        found.push(Finding::note(what, "set what they need with `env` in the configuration"));
    }
    Ok(found)
}

fn texts(place: &PlaceArgs, folder: &Path, known: &[&str], env: &dyn Fn(&str) -> Option<String>) -> BTreeSet<String> {
    problems(place.config.as_deref(), folder, env, known).iter().map(ToString::to_string).collect()
}

/// The line for the crontab: absolute paths, quoted where the shell needs it, and `%`, which cron takes for a line break,
/// behind a backslash.
pub(super) fn line(place: &PlaceArgs, site: &Site) -> Option<String> {
    let program = std::env::current_exe().ok()?.display().to_string();
    let mut words = vec![program, "tick".to_string()];
    if let Some(file) = &site.config.file {
        words.extend(["--config".to_string(), file.display().to_string()]);
    }
    if place.database.is_some() || env("ROWMILL_DATABASE").is_some_and(|name| !name.is_empty()) {
        words.extend(["--database".to_string(), site.database.display().to_string()]);
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word).replace('%', "\\%")).collect();
    Some(format!("* * * * * {}", words.join(" ")))
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-%+:@,=".contains(c);
    if word.chars().all(plain) { word.to_string() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_a_shell_would_read_is_quoted() {
        assert_eq!(quoted("/srv/shop/rowmill.toml"), "/srv/shop/rowmill.toml");
        assert_eq!(quoted("/srv/it's mine"), r"'/srv/it'\''s mine'");
    }
}
