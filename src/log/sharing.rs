//! Sharing the log with a group: its members read it. Only the folder's owner and root write it, so that no member can
//! take away or forge what the log says, and no member's file stands in the way of the owner's lines on a new day.

use super::day::{self, Kind, LINK};
use crate::error::{Error, Result};
use crate::share::{self, Group, Want};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// What belongs to a log, each by its path and what it is to be; nothing while there is no folder.
#[derive(Debug, Clone)]
pub struct Files {
    /// The folder, and what that is to be.
    pub folder: (PathBuf, Want),
    /// Whether it holds nothing but day files: then it is plainly ours.
    pub folder_is_ours: bool,
    /// The day files.
    pub files: Vec<(PathBuf, Want)>,
}

/// Lists what belongs to the log in `dir`, shared with `group`. Looks only; `None` while there is no folder. Errors: the
/// folder cannot be read.
pub fn files(dir: &Path, group: &Group) -> std::io::Result<Option<Files>> {
    let want = |mode| Want { owner: None, group: Some(group.gid), mode };
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut found =
        Files { folder: (dir.to_path_buf(), want(share::LOG_FOLDER)), folder_is_ours: true, files: Vec::new() };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        match day::kind_of(&name) {
            // It gets what the day's file has when it is complete.
            Some((_, Kind::Part)) => {}
            Some(_) => found.files.push((path, want(share::LOG_FILE))),
            None if share::is_fresh(&path)
                || name == LINK
                || (name.starts_with(".rowmill-") && name.ends_with(".log.link")) => {}
            None => found.folder_is_ours = false,
        }
    }
    found.files.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Some(found))
}

/// Shares the log in `dir` with `group`: makes a missing folder, and gives what is there the group and the mode that it is to
/// have, as far as this user may. The folder is changed only where it is plainly ours; what stays wrong is for `check`.
///
/// Safe to repeat: yes, because what is right is not touched.
pub fn share(dir: &Path, group: &Group) -> Result<()> {
    let wrong = |path: &Path, e: Errno| {
        let e = std::io::Error::from(e);
        Error::failed(format!("{} cannot be shared with the group `{}`: {e}", path.display(), group.name))
            .hint("root can see to it, with `rowmill check`, which says how")
    };
    let found = match files(dir, group) {
        // Not this user's to share; who writes there is told so.
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return Ok(()),
        other => other?,
    };
    let Some(found) = found else {
        let owner = dir.parent().and_then(share::heir);
        let want = Want { owner, group: Some(group.gid), mode: share::LOG_FOLDER };
        // Where the folder above is missing too, the first line makes both, and the next call shares them.
        return match share::make_folder(dir, want) {
            Err(Errno::NOENT) => Ok(()),
            other => other.map_err(|e| wrong(dir, e)),
        };
    };
    let folder = found.folder_is_ours.then_some(found.folder);
    for (path, want) in found.files.into_iter().chain(folder) {
        share::give(&path, want).map_err(|e| wrong(&path, e))?;
    }
    Ok(())
}
