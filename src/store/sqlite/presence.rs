//! Whether the files of an open database still lie where they were opened.
//!
//! Who deletes the database, or puts another one in its place, leaves every process that has it open with files that
//! nobody else sees. SQLite would go on writing there, and what is acknowledged would be gone. So each write looks first,
//! and a sleeper once a second; whoever finds that they are gone ends. Files that are overwritten in place are not seen.

use super::lock::Inode;
use super::open::beside;
use crate::error::{Error, Result};
use rustix::fs::stat;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// The database, its log and its index, with what lay at their paths when they were opened. SQLite replaces none of them
/// while a connection is open.
#[derive(Debug, Default)]
pub(super) struct Presence(Vec<(PathBuf, Inode)>);

impl Presence {
    /// Of a database that is open.
    pub(super) fn of(file: &Path) -> Presence {
        let paths = ["", "-wal", "-shm"].map(|suffix| beside(file, suffix));
        Presence(paths.into_iter().filter_map(|path| Inode::at(&path).map(|inode| (path, inode))).collect())
    }

    /// An error when one of them is not there any more, or is another file. A look that fails is no proof.
    pub(super) fn check(&self) -> Result<()> {
        for (path, inode) in &self.0 {
            let what = match stat(path) {
                Ok(_) if Inode::at(path).is_none_or(|there| there == *inode) => continue,
                Ok(_) => "was replaced by another file",
                Err(Errno::NOENT | Errno::NOTDIR) => "was deleted or moved away",
                Err(_) => continue,
            };
            let text = format!("{} {what} while it was in use", path.display());
            return Err(
                Error::failed(text).hint("nothing more is written; stop all workers before a database is moved")
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_that_are_deleted_moved_or_replaced_are_missed() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("a.db");
        let words = |presence: &Presence| presence.check().map_err(|e| e.to_string());
        for suffix in ["", "-wal", "-shm"] {
            for name in ["", "-wal", "-shm"] {
                fs::write(beside(&file, name), "").unwrap();
            }
            let (presence, path) = (Presence::of(&file), beside(&file, suffix));
            assert_eq!(words(&presence), Ok(()));
            fs::write(&path, "written in place").unwrap();
            assert_eq!(words(&presence), Ok(()));
            fs::rename(&path, folder.path().join("elsewhere")).unwrap();
            assert!(words(&presence).is_err_and(|text| text.contains("deleted or moved away")));
            fs::write(&path, "").unwrap();
            assert!(words(&presence).is_err_and(|text| text.contains("replaced by another file")));
        }
        let presence = Presence::of(&file);
        fs::remove_dir_all(folder.path()).unwrap();
        assert!(presence.check().is_err());
    }
}
