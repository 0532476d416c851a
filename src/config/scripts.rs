//! The scripts folder: each executable file in it is a job with the name of the file.
//!
//! Files that cannot be jobs are no errors, since a folder collects notes and backups; they are remarked on, because
//! the usual cause is a forgotten `chmod +x`.

use super::page::{Place, Problem, Wrong};
use super::section::is_name;
use super::{Config, JobEntry, cannot_read, jobs};
use crate::error::Result;
use crate::work::exec::Command;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The jobs of the folder, sorted by name, and remarks about files that are none.
pub(super) fn find(config: &Config) -> Result<(Vec<JobEntry>, Vec<Problem>)> {
    let dir = &config.scripts_dir;
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        Err(e) => {
            return Err(
                cannot_read(dir, &e).hint("scripts_dir must be a folder that this user may read, or be missing")
            );
        }
    };
    let mut scripts = Vec::new();
    let mut remarks = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| cannot_read(dir, &e))?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Folders are for what the scripts share; hidden files belong to editors and version control.
        if file_name.starts_with('.') || path.is_dir() {
            continue;
        }
        let place = Place::whole(path.display().to_string());
        if let Some((what, hint)) = not_a_job(&path, &file_name) {
            remarks.push(Problem::remark(place, what, hint));
            continue;
        }
        let command = Command {
            argv: vec![path.into_os_string()],
            cwd: config.folder.clone(),
            env: config.basic_env.clone(),
            ..Command::default()
        };
        let (policy, pass_env) = (jobs::default_policy(), Vec::new());
        scripts.push(JobEntry { name: file_name, command, policy, pass_env, place });
    }
    scripts.sort_by(|a, b| a.name.cmp(&b.name));
    remarks.sort_by(|a, b| a.place.file.cmp(&b.place.file));
    Ok((scripts, remarks))
}

fn not_a_job(path: &Path, file_name: &str) -> Option<(&'static str, &'static str)> {
    if path.file_name().and_then(|name| name.to_str()).is_none() || !is_name(file_name) {
        return Some(("this file's name cannot be a job's", "a name is UTF-8 without control characters"));
    }
    if !path.is_file() {
        return Some(("this is not a regular file, so it is not a job", "remove it, or mend the link"));
    }
    if !is_executable_file(path) {
        return Some(("this file is not executable, so it is not a job", "make it one with chmod +x"));
    }
    None
}

/// Whether it is a regular file, or a link to one, that somebody may execute.
pub(super) fn is_executable_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What is wrong when a `[[job]]` has the script's name.
pub(super) fn clash(script: &JobEntry, jobs: &[JobEntry]) -> Option<Problem> {
    let job = jobs.iter().find(|job| job.name == script.name)?;
    let what = format!("this [[job]] and the script {} both have the name `{}`", script.place, job.name);
    let wrong = Wrong::new(what).hint("rename one of them, or make the script not executable");
    Some(Problem::new(job.place.clone(), wrong))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn folder_with_scripts() -> TempDir {
        let dir = TempDir::new().unwrap();
        let scripts = dir.path().join("scripts");
        fs::create_dir_all(scripts.join("shared")).unwrap();
        let files = [("b.sh", 0o755), ("a", 0o700), (".hidden", 0o755), ("notes.txt", 0o644), ("x\ny", 0o755)];
        for (name, mode) in files {
            fs::write(scripts.join(name), "#!/bin/sh\n").unwrap();
            fs::set_permissions(scripts.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::copy(scripts.join("a"), scripts.join(OsStr::from_bytes(b"\xff"))).unwrap();
        symlink("b.sh", scripts.join("link")).unwrap();
        symlink("nowhere", scripts.join("broken")).unwrap();
        dir
    }

    #[test]
    fn executable_files_are_jobs_and_others_are_remarked_on() {
        let dir = folder_with_scripts();
        let env = |name: &str| (name == "HOME").then(|| "/root".to_string());
        let config = Config::load(None, dir.path(), &env).unwrap();
        let (jobs, remarks) = find(&config).unwrap();
        let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["a", "b.sh", "link"]);
        assert_eq!(jobs[1].command.argv, [dir.path().join("scripts/b.sh")]);
        assert_eq!(jobs[1].command.cwd, dir.path());
        assert_eq!(jobs[1].command.env.get("HOME").map(String::as_str), Some("/root"));
        assert_eq!(jobs[1].policy.timeout_ms, Some(3_600_000));
        assert_eq!(config.scripts().unwrap(), jobs);

        let prefix = format!("{}/scripts/", dir.path().display());
        let remarks: Vec<String> = remarks.iter().map(|r| r.to_string().replace(&prefix, "")).collect();
        let wanted = [
            "broken: this is not a regular file, so it is not a job",
            "notes.txt: this file is not executable, so it is not a job",
            "x\\ny: this file's name cannot be a job's",
            "\u{fffd}: this file's name cannot be a job's",
        ];
        assert_eq!(remarks, wanted);
    }

    #[test]
    fn a_script_with_the_name_of_a_job_is_an_error_that_names_both() {
        let dir = folder_with_scripts();
        fs::write(dir.path().join("rowmill.toml"), "\n[[job]]\nname = 'b.sh'\ncommand = ['x']\n").unwrap();
        let e = Config::load(None, dir.path(), &|_| None).unwrap().scripts().unwrap_err();
        let script = dir.path().join("scripts/b.sh");
        let wanted =
            format!("rowmill.toml:2:1: this [[job]] and the script {} both have the name `b.sh`", script.display());
        assert_eq!(e.to_string(), wanted);
    }

    #[test]
    fn a_scripts_folder_may_be_missing_but_not_be_a_file() {
        let dir = TempDir::new().unwrap();
        let config = Config::load(None, dir.path(), &|_| None).unwrap();
        assert_eq!(config.scripts().unwrap(), []);
        fs::write(dir.path().join("scripts"), "").unwrap();
        let e = config.scripts().unwrap_err();
        assert_eq!(e.kind(), crate::error::Kind::Usage);
        assert!(e.to_string().contains("scripts: Not a directory"), "{e}");
    }
}
