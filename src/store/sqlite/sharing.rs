//! Sharing a database with a group: everything that belongs to it, and making that what it should be.
//!
//! What is once right stays right by itself: SQLite gives its log and shared memory the mode of the database, the run
//! folder follows the database, what is in it follows the folder. So only whoever makes a database, or finds the group
//! new in the configuration, has something to do here.

use super::lock::wrong;
use super::open::{Create, beside, cannot_make, real_path, run_folder};
use crate::error::{Error, Result};
use crate::share::{self, Given, Group, Want};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What belongs to a database, each by its path and what it is to be, as far as it is there.
#[derive(Debug, Clone)]
pub struct Files {
    /// The database's real path.
    pub database: PathBuf,
    /// Its folder, and what that is to be.
    pub folder: (PathBuf, Want),
    /// Whether the folder holds nothing but the database: then it is plainly ours.
    pub folder_is_ours: bool,
    /// The database, the files that SQLite keeps beside it, the run folder, and what is in that.
    pub files: Vec<(PathBuf, Want)>,
}

/// Lists what belongs to the database at `path`, shared with `group`. Looks only.
pub fn files(path: &Path, group: &Group) -> Result<Files> {
    let database = real_path(path, Create::WithPartitions(1))?;
    let want = |mode| Want { owner: None, group: Some(group.gid), mode };
    let folder = database.parent().unwrap_or(Path::new("/")).to_path_buf();
    let run = run_folder(&database);
    let owned = std::fs::symlink_metadata(&database).ok().map(|found| found.uid());
    let mut files = ["", "-wal", "-shm"].map(|suffix| (beside(&database, suffix), want(share::FILE))).to_vec();
    files.push((run.clone(), Want { owner: owned, ..want(share::FOLDER) }));
    // One that this user may not read is said by itself.
    let inside = std::fs::read_dir(&run).into_iter().flatten().flatten().map(|entry| entry.path());
    files.extend(inside.map(|path| (path, Want { owner: owned, ..want(share::FILE) })));
    files.retain(|(path, _)| path.symlink_metadata().is_ok() && !share::is_fresh(path));
    let folder_is_ours = holds_only_the_database(&folder, &database, owned);
    Ok(Files { folder: (folder, want(share::FOLDER)), database, folder_is_ours, files })
}

/// Whether a folder belongs to the database's owner and holds nothing else: whoever may change it could otherwise
/// change what is not ours.
fn holds_only_the_database(folder: &Path, database: &Path, owner: Option<u32>) -> bool {
    let Some(name) = database.file_name().map(|name| name.as_bytes().to_vec()) else { return false };
    let ours = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let found = entry.file_name();
            let rest = found.as_bytes().strip_prefix(name.as_slice());
            rest.is_some_and(|rest| [b"".as_slice(), b"-wal", b"-shm", b"-journal", b"-run"].contains(&rest))
                || share::is_fresh(Path::new(&found))
        })
    };
    std::fs::metadata(folder).is_ok_and(|found| Some(found.uid()) == owner)
        && std::fs::read_dir(folder).is_ok_and(|mut entries| entries.all(ours))
}

/// Makes a missing database file that `group` may write; one that is there is left as it is. Its folder must be there.
///
/// Safe to repeat: yes, because it only does what is missing.
pub fn make_shared(path: &Path, group: &Group) -> Result<()> {
    let database = real_path(path, Create::WithPartitions(1))?;
    if database.symlink_metadata().is_ok() {
        return Ok(());
    }
    let owner = database.parent().and_then(share::heir);
    let want = Want { owner, group: Some(group.gid), mode: share::FILE };
    match share::make(&database, OFlags::RDWR, want) {
        // Closed again before SQLite opens it, which has no locks on it yet.
        Ok(_) | Err(Errno::EXIST) => Ok(()),
        Err(e) => Err(cannot_make(&database, e.into())),
    }
}

/// Shares a database of ours, which the caller has opened, with `group`: gives what is there the group and the mode that it is
/// to have, as far as this user may. The folder is changed only where it is plainly ours; what stays wrong is for `check`
/// to say.
///
/// Safe to repeat: yes, because what is right is not touched.
pub fn share(path: &Path, group: &Group) -> Result<()> {
    let found = files(path, group)?;
    let folder = found.folder_is_ours.then_some(found.folder);
    // The way in is opened last.
    for (path, want) in found.files.into_iter().rev().chain(folder) {
        match share::give(&path, want) {
            Ok(Given::Right | Given::NotOurs | Given::Odd | Given::Missing) => {}
            Err(Errno::PERM) => {
                let text = format!("{} cannot be shared with the group `{}`", path.display(), group.name);
                return Err(Error::failed(text).hint("`rowmill migrate`, called by root, sees to it"));
            }
            Err(e) => return Err(wrong(&path, e)),
        }
    }
    Ok(())
}
