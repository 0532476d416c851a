//! Everything that is wrong with a configuration, for `rowmill check`.
//!
//! Loading refuses what cannot be understood. What can be understood and will still fail later (a schedule for a job
//! that nobody has, a program that is not installed) stops nobody from loading; it is found here.

use super::page::{Place, Problem, Wrong, nearest, no_group};
use super::{Config, JobEntry, Lookup, jobs, read, scripts};
use crate::share::Group;
use crate::work::exec::User;
use std::path::Path;

/// Lists what is wrong, in the order of the file, then what is wrong with the scripts, then remarks. Reads only.
///
/// Takes what [`Config::load`] takes, and in `known` the names of the jobs that the program itself registers. It finds
/// more than loading does: schedules for jobs that nobody has, programs and folders that are not there.
pub fn problems(explicit: Option<&Path>, folder: &Path, env: Lookup<'_>, known: &[&str]) -> Vec<Problem> {
    let (config, mut problems) = match read::read(explicit, folder, env) {
        Ok(read) => read,
        Err(e) => {
            let file = explicit.map_or(folder.join(super::FILE_NAME), Path::to_path_buf);
            return vec![Problem::new(Place::whole(file.display().to_string()), Wrong::from(&e))];
        }
    };
    let (scripts, remarks) = match scripts::find(&config) {
        Ok(found) => found,
        Err(e) => {
            let place = Place::whole(config.scripts_dir.display().to_string());
            problems.push(Problem::new(place, Wrong::from(&e)));
            (Vec::new(), Vec::new())
        }
    };
    let readable = problems.iter().all(|problem| problem.remark);
    if let Some(group) = &config.group
        && let Err(why) = Group::find(&group.name)
    {
        problems.push(Problem::new(group.place.clone(), no_group(why)));
    }
    problems.extend(config.jobs.iter().filter_map(|job| taken(job, known, "[[job]]")));
    problems.extend(config.jobs.iter().flat_map(missing_parts));
    // A job that could not be read may be the one that a schedule names: then only what is certain is said.
    if readable {
        problems.extend(unknown_jobs(&config, &scripts, known));
    }
    problems.extend(scripts.iter().filter_map(|script| scripts::clash(script, &config.jobs)));
    problems.sort_by_key(|problem| problem.place.line_column);
    problems.extend(scripts.iter().filter_map(|script| taken(script, known, "script")));
    problems.extend(remarks);
    problems
}

fn taken(job: &JobEntry, known: &[&str], what: &str) -> Option<Problem> {
    if !known.contains(&job.name.as_str()) {
        return None;
    }
    let wrong = Wrong::new(format!("this {what} has the name `{}`, which the program itself registers", job.name));
    Some(Problem::new(job.place.clone(), wrong.hint("rename it")))
}

fn missing_parts(job: &JobEntry) -> Vec<Problem> {
    let mut missing = Vec::new();
    let program = job.command.argv.first().map(|program| program.to_string_lossy()).unwrap_or_default();
    if jobs::program_of(&job.command).is_none() {
        let (what, hint) = match program.contains('/') {
            true => {
                ("is not an executable file", "mend the path, or make the file executable with chmod +x".to_string())
            }
            false => {
                let path = job.command.env.get("PATH").map_or("", String::as_str);
                ("is not in the PATH", format!("write its full path, or set `path`; the PATH here is {path}"))
            }
        };
        let wrong = Wrong::new(format!("the program `{program}` of the job `{}` {what}", job.name));
        missing.push(Problem::new(job.place.clone(), wrong.hint(hint)));
    }
    if !job.command.cwd.is_dir() {
        let what = format!("the folder {} of the job `{}` is not there", job.command.cwd.display(), job.name);
        missing.push(Problem::new(job.place.clone(), Wrong::new(what).hint("make it, or mend cwd")));
    }
    if let Some(Err(why)) = job.command.user.as_ref().map(User::is_known) {
        let wrong = Wrong::new(format!("the job `{}` cannot be started: {why}", job.name));
        missing.push(Problem::new(job.place.clone(), wrong));
    }
    missing
}

fn unknown_jobs(config: &Config, scripts: &[JobEntry], known: &[&str]) -> Vec<Problem> {
    let names = config.jobs.iter().chain(scripts).map(|job| job.name.as_str()).chain(known.iter().copied());
    let names: Vec<&str> = names.collect();
    let unknown = config.schedules.iter().filter(|schedule| !names.contains(&schedule.schedule.job.as_str()));
    let problems = unknown.map(|entry| {
        let schedule = &entry.schedule;
        let what = format!("the schedule `{}` asks for the job `{}`, which nobody has", schedule.name, schedule.job);
        let hint = match nearest(&schedule.job, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add a [[job]] of that name, or an executable file in {}", config.scripts_dir.display()),
        };
        Problem::new(entry.place.clone(), Wrong::new(what).hint(hint))
    });
    problems.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    fn found(text: &str, prepare: impl FnOnce(&Path)) -> Vec<(String, String, bool)> {
        let dir = TempDir::new().unwrap();
        // On the first line, so that the numbers of the others are easy to see.
        let text = format!("path = 'bin'\n{text}");
        fs::write(dir.path().join("rowmill.toml"), text).unwrap();
        prepare(dir.path());
        let folder = format!("{}/", dir.path().display());
        let problems = problems(None, dir.path(), &|_| None, &["echo"]);
        let plain = |text: String| text.replace(&folder, "");
        problems.into_iter().map(|p| (plain(p.to_string()), plain(p.hint.unwrap_or_default()), p.remark)).collect()
    }

    fn script(file: &Path, mode: u32) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn wrong(what: &str, hint: &str) -> (String, String, bool) {
        (what.to_string(), hint.to_string(), false)
    }

    #[test]
    fn a_good_configuration_has_no_problems() {
        let text = "[[job]]\nname = 'a'\ncommand = ['prog']\n[[job]]\nname = 'b'\ncommand = ['./bin/prog']\n\
            [[schedule]]\nname = 's'\ncron = '@daily'\njob = 'hello'\n\
            [[schedule]]\nname = 't'\ncron = '@daily'\njob = 'echo'\n";
        let problems = found(text, |dir| {
            script(&dir.join("bin/prog"), 0o755);
            script(&dir.join("scripts/hello"), 0o755);
        });
        assert_eq!(problems, []);
    }

    #[test]
    fn programs_and_folders_that_are_not_there_are_found() {
        let text =
            "[[job]]\nname = 'a'\ncommand = ['prog']\n\n[[job]]\nname = 'b'\ncommand = ['bin/prog']\ncwd = 'gone'\n";
        let problems = found(text, |dir| script(&dir.join("bin/prog"), 0o644));
        let wanted = [
            wrong(
                "rowmill.toml:2:1: the program `prog` of the job `a` is not in the PATH",
                "write its full path, or set `path`; the PATH here is bin",
            ),
            wrong(
                "rowmill.toml:6:1: the program `bin/prog` of the job `b` is not an executable file",
                "mend the path, or make the file executable with chmod +x",
            ),
            wrong("rowmill.toml:6:1: the folder gone of the job `b` is not there", "make it, or mend cwd"),
        ];
        assert_eq!(problems, wanted);
    }

    #[test]
    fn users_that_are_not_there_are_found() {
        let job =
            |name: &str, user: &str| format!("[[job]]\nname = '{name}'\ncommand = ['bin/prog']\nuser = '{user}'\n");
        let text = [job("a", "nobody"), job("b", "no-such-user"), job("c", "root:no-such-group")].concat();
        let problems = found(&text, |dir| script(&dir.join("bin/prog"), 0o755));
        let words: Vec<&str> = problems.iter().map(|(what, _, _)| what.as_str()).collect();
        let wanted = [
            "rowmill.toml:6:1: the job `b` cannot be started: there is no user `no-such-user` in /etc/passwd; make it, or \
             mend `user`",
            "rowmill.toml:10:1: the job `c` cannot be started: there is no group `no-such-group` in /etc/group; make it, or \
             mend `user`",
        ];
        assert_eq!(words, wanted);
    }

    #[test]
    fn names_that_nobody_has_or_two_have_are_found() {
        let text = "[[job]]\nname = 'echo'\ncommand = ['bin/prog']\n[[job]]\nname = 'report'\ncommand = ['bin/prog']\n\
            [[schedule]]\nname = 's'\ncron = '@daily'\njob = 'reprot'\n[[schedule]]\nname = 't'\ncron = '@daily'\njob = 'x'\n";
        let problems = found(text, |dir| {
            script(&dir.join("bin/prog"), 0o755);
            script(&dir.join("scripts/report"), 0o755);
            script(&dir.join("scripts/echo"), 0o755);
        });
        let both = "this [[job]] and the script scripts/";
        let rename = "rename one of them, or make the script not executable";
        let taken = "has the name `echo`, which the program itself registers";
        let wanted = [
            wrong(&format!("rowmill.toml:2:1: this [[job]] {taken}"), "rename it"),
            wrong(&format!("rowmill.toml:2:1: {both}echo both have the name `echo`"), rename),
            wrong(&format!("rowmill.toml:5:1: {both}report both have the name `report`"), rename),
            wrong(
                "rowmill.toml:11:7: the schedule `s` asks for the job `reprot`, which nobody has",
                "did you mean `report`?",
            ),
            wrong(
                "rowmill.toml:15:7: the schedule `t` asks for the job `x`, which nobody has",
                "add a [[job]] of that name, or an executable file in scripts",
            ),
            wrong(&format!("scripts/echo: this script {taken}"), "rename it"),
        ];
        assert_eq!(problems, wanted);
    }

    #[test]
    fn a_file_or_folder_that_cannot_be_read_is_one_problem() {
        let problems = found("", |dir| fs::write(dir.join("scripts"), "").unwrap());
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].0.starts_with("scripts: cannot read scripts: Not a directory"), "{problems:?}");
        let gone = super::problems(Some(Path::new("/gone.toml")), Path::new("/"), &|_| None, &[]);
        assert_eq!(gone.len(), 1, "{gone:?}");
        assert!(gone[0].to_string().starts_with("/gone.toml: cannot read /gone.toml: No such file"), "{gone:?}");
    }

    #[test]
    fn remarks_about_scripts_come_last() {
        let problems = found("worker = 1", |dir| script(&dir.join("scripts/notes.txt"), 0o644));
        let remark = "scripts/notes.txt: this file is not executable, so it is not a job";
        let wanted = [
            wrong("rowmill.toml:2:1: unknown key `worker` in the file", "did you mean `workers`?"),
            (remark.to_string(), "make it one with chmod +x".to_string(), true),
        ];
        assert_eq!(problems, wanted);
    }
}
