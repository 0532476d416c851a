//! What `rowmill init` writes: a commented configuration, and a sample job.
//!
//! Both texts stand beside this file as they are written, so that they can be read and linted as what they are. The
//! database is made by the caller.

use super::FILE_NAME;
use crate::error::{Error, Result};
use crate::share::{self, Group, Want};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const FILES: [(&str, u32, &str); 2] =
    [(FILE_NAME, 0o644, include_str!("rowmill.toml")), ("scripts/hello", 0o755, include_str!("hello.sh"))];

/// A file of a new installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// The file.
    pub path: PathBuf,
    /// Whether it was written; `false` when there was something of that name, which is left as it is.
    pub written: bool,
}

/// Writes `rowmill.toml` and `scripts/hello` into `dir`, making folders that are missing. Nothing is ever overwritten,
/// links to nowhere included, so it may be called again. After an error, files that were written before it stay.
///
/// With a group, the configuration names it, and puts the database into a folder of its own, so that members may replace
/// that and nothing else; they may enter and read the folders that are made.
pub fn init(dir: &Path, group: Option<&Group>) -> Result<Vec<Started>> {
    let mut started = Vec::new();
    for (name, mode, text) in FILES {
        let text = group.map_or_else(|| text.to_string(), |group| with_group(text, &group.name));
        let path = dir.join(name);
        let cannot = |e: std::io::Error| {
            let hint = "name a folder that this user may write to: rowmill init DIR";
            Error::failed(format!("cannot write {}: {e}", path.display())).hint(hint)
        };
        if let Some(parent) = path.parent() {
            let missing = !parent.exists();
            fs::create_dir_all(parent).map_err(cannot)?;
            if let Some(group) = group.filter(|_| missing) {
                let want = Want { owner: None, group: Some(group.gid), mode: 0o750 };
                share::give(parent, want).map_err(|e| cannot(e.into()))?;
            }
        }
        let written = write_new(&path, mode, &text).map_err(cannot)?;
        started.push(Started { path, written });
    }
    Ok(started)
}

/// The text of the configuration with a group in force; any other text stays as it is.
fn with_group(text: &str, group: &str) -> String {
    let database = (r#"#database = "rowmill.db""#, r#"database = "queue/rowmill.db""#);
    let named = format!("group = {}", toml::Value::from(group));
    text.replace(database.0, database.1).replace(r#"#group = "www-data""#, &named)
}

fn write_new(path: &Path, mode: u32, text: &str) -> std::io::Result<bool> {
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(e) => return Err(e),
    };
    // The umask may have taken bits that the job needs to be one.
    let filled = file.write_all(text.as_bytes()).and_then(|()| file.set_permissions(Permissions::from_mode(mode)));
    if let Err(e) = filled {
        // Half a file would be taken for an admin's own by the next call. It is ours: it was created just now.
        let _ = fs::remove_file(path);
        return Err(e);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, problems};
    use super::*;
    use std::process::{Command, Stdio};
    use tempfile::TempDir;

    fn no_env(_: &str) -> Option<String> {
        None
    }

    /// The text with every commented key in force: prose has a blank after the `#`, keys have none.
    fn uncommented(text: &str) -> String {
        let lines = text.lines().map(|line| match line.strip_prefix('#') {
            Some(key) if !key.starts_with(' ') => key,
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_written_is_a_configuration_without_problems() {
        let dir = TempDir::new().unwrap();
        let new = dir.path().join("new/place");
        let started = init(&new, None).unwrap();
        let wanted = ["rowmill.toml", "scripts/hello"].map(|name| Started { path: new.join(name), written: true });
        assert_eq!(started, wanted);
        let config = Config::load(None, &new, &no_env).unwrap();
        assert!(config.file.is_some() && config.jobs.is_empty() && config.schedules.is_empty());
        let scripts: Vec<String> = config.scripts().unwrap().into_iter().map(|job| job.name).collect();
        assert_eq!(scripts, ["hello"]);
        assert_eq!(problems(None, &new, &no_env, &[]), []);
    }

    #[test]
    fn the_keys_in_comments_show_the_defaults_and_are_all_understood() {
        let dir = TempDir::new().unwrap();
        let defaults = Config::load(None, dir.path(), &no_env).unwrap();
        init(dir.path(), None).unwrap();
        let file = dir.path().join(FILE_NAME);
        fs::write(&file, uncommented(&fs::read_to_string(&file).unwrap())).unwrap();
        let mut config = Config::load(None, dir.path(), &no_env).unwrap();
        let jobs = std::mem::take(&mut config.jobs);
        let schedules = std::mem::take(&mut config.schedules);
        config.file = None;
        let limits = std::mem::take(&mut config.limits);
        assert_eq!(
            (limits.load, limits.pressure),
            (Some(8.0), Some(50.0)),
            "examples, as there is no limit by default"
        );
        assert_eq!(config.group.take().map(|group| group.name).as_deref(), Some("www-data"));
        assert_eq!(format!("{config:?}"), format!("{defaults:?}"));
        let [short, long, stream, own] = &jobs[..] else { panic!("{jobs:?}") };
        assert!(short.command.stream.is_none() && long.command.stream.is_none());
        assert_eq!(
            stream.command.stream.as_ref().map(|stream| (stream.in_flight, stream.max_tasks)),
            Some((1, Some(10_000)))
        );
        assert_eq!(own.name, "backup");
        assert_eq!(short.policy, long.policy, "the long example shows the defaults");
        assert_eq!((short.name.as_str(), long.name.as_str()), ("thumbnail", "report"));
        let [nightly, pulse, backup] = &schedules[..] else { panic!("{schedules:?}") };
        assert_eq!((nightly.schedule.job.as_str(), nightly.schedule.param.as_str()), ("hello", r#"{"who":"world"}"#));
        assert_eq!((pulse.schedule.timing.as_str(), backup.schedule.job.as_str()), ("every 15m", "backup"));
        let mut as_by_default = pulse.schedule.clone();
        (as_by_default.unique_key, as_by_default.until_ms, as_by_default.guarded) = (None, None, false);
        let default = crate::store::Schedule::new("pulse", "every 15m", "hello");
        let param = r#"{"at":"{due}"}"#.to_string();
        assert_eq!(as_by_default, crate::store::Schedule { origin: crate::store::Origin::File, param, ..default });
    }

    #[test]
    fn a_group_is_written_down_with_a_folder_for_the_database() {
        let dir = TempDir::new().unwrap();
        let gid = rustix::process::getegid();
        let group = Group::find(&share::group_name(gid.as_raw())).unwrap();
        let new = dir.path().join("shop");
        init(&new, Some(&group)).unwrap();
        let config = Config::load(None, &new, &no_env).unwrap();
        assert_eq!(config.group.map(|group| group.name), Some(group.name));
        assert_eq!(config.database, new.join("queue/rowmill.db"));
        for folder in [new.clone(), new.join("scripts")] {
            assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o7777, 0o750);
        }
    }

    #[test]
    fn every_key_is_shown() {
        let text = uncommented(include_str!("rowmill.toml"));
        let top = super::super::read::KEYS.iter().filter(|key| !["job", "schedule"].contains(key));
        for key in top.chain(super::super::jobs::KEYS).chain(super::super::schedules::KEYS) {
            assert!(text.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key} is not shown");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(FILE_NAME), "workers = 2").unwrap();
        fs::create_dir(dir.path().join("scripts")).unwrap();
        std::os::unix::fs::symlink("../outside", dir.path().join("scripts/hello")).unwrap();
        let started = init(dir.path(), None).unwrap();
        assert!(started.iter().all(|s| !s.written), "{started:?}");
        assert_eq!(fs::read_to_string(dir.path().join(FILE_NAME)).unwrap(), "workers = 2");
        assert!(!dir.path().join("outside").exists());
        fs::write(dir.path().join("file"), "").unwrap();
        let e = init(&dir.path().join("file"), None).unwrap_err();
        assert!(e.to_string().contains("cannot write") && e.hint_text().is_some(), "{e}");
    }

    #[test]
    fn the_sample_job_runs() {
        let dir = TempDir::new().unwrap();
        init(dir.path(), None).unwrap();
        let script = dir.path().join("scripts/hello");
        assert_eq!(fs::metadata(&script).unwrap().permissions().mode() & 0o777, 0o755);
        // Run by a shell: a file that was just written may still be open for writing in a child of another test.
        let mut command = Command::new("/bin/sh");
        command.arg(&script).env("ROWMILL_TASK_ID", "7").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(br#"{"who":"world"}"#).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, b"hello from task 7, which was given: {\"who\":\"world\"}\n");
    }
}
