//! Where a database file may lie: under one name, on a disk of this machine.
//!
//! Locks lie beside the real path, so a second name (a hard link) would have locks of its own; and on a network file
//! system neither our locks nor SQLite's shared memory reach the other machines.

use crate::error::{Error, Result};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Types of network file systems, as statfs(2) and linux/magic.h name them.
const NETWORK: [(u64, &str); 9] = [
    (0x6969, "NFS"),
    (0x517B, "SMB"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0BD0_0BD0, "Lustre"),
];

/// Types of file systems of this machine's own, for whoever asks.
const LOCAL: [(u64, &str); 8] = [
    (0xEF53, "ext4"),
    (0x9123_683E, "btrfs"),
    (0x5846_5342, "xfs"),
    (0x0102_1994, "tmpfs"),
    (0x794C_7630, "overlayfs"),
    (0x2FC1_2FC1, "zfs"),
    (0xF2F5_2010, "f2fs"),
    (0x6573_5546, "fuse"),
];

/// Refuses a file that has two names, or that does not lie on a disk of this machine. Looks at the path only: opening the
/// file by hand could drop SQLite's locks on it.
pub(super) fn refuse(file: &Path) -> Result<()> {
    let Ok(found) = std::fs::metadata(file) else { return Ok(()) };
    if found.nlink() > 1 {
        return Err(Error::usage(format!("{} has {} names (hard links)", file.display(), found.nlink()))
            .hint("whoever opened it by another name would have other locks; keep one name, or use a symbolic link"));
    }
    let system = rustix::fs::statfs(file)?;
    match network(system.f_type.cast_unsigned()) {
        Some(name) => Err(Error::usage(format!("{} lies on a network file system ({name})", file.display()))
            .hint("SQLite needs a disk of this machine; several machines share a PostgreSQL database")),
        None => Ok(()),
    }
}

/// Refuses a run folder that is a symbolic link: whoever may write the database's folder could lead our files anywhere.
pub(super) fn refuse_link(run: &Path) -> Result<()> {
    match std::fs::symlink_metadata(run) {
        Ok(found) if !found.is_dir() => Err(Error::usage(format!("{} is not a folder", run.display()))
            .hint("the locks of the database lie in it; take away what is there, a symbolic link too")),
        _ => Ok(()),
    }
}

/// What the file system that a path lies on is called; its number where it is not known here.
pub(super) fn file_system(path: &Path) -> Result<String> {
    let kind = rustix::fs::statfs(path)?.f_type.cast_unsigned() & 0xFFFF_FFFF;
    let known = NETWORK.iter().chain(&LOCAL).find(|(magic, _)| *magic == kind);
    Ok(known.map_or_else(|| format!("0x{kind:x}"), |(_, name)| (*name).to_string()))
}

fn network(kind: u64) -> Option<&'static str> {
    // On some machines the number is sign-extended from 32 bits.
    NETWORK.iter().find(|(magic, _)| *magic == kind & 0xFFFF_FFFF).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_and_local_ones_are_not_taken_for_them() {
        assert_eq!(network(0x6969), Some("NFS"));
        assert_eq!(network(0xFFFF_FFFF_FF53_4D42), Some("CIFS"));
        for local in [0xEF53, 0x9123_683E, 0x5846_5342, 0x0102_1994, 0x794C_7630] {
            assert_eq!(network(local), None, "{local:x}");
        }
    }

    #[test]
    fn a_file_with_two_names_is_refused() {
        let folder = tempfile::TempDir::new().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&one, "").unwrap();
        assert!(refuse(&one).is_ok() && refuse(&two).is_ok());
        std::fs::hard_link(&one, &two).unwrap();
        assert!(refuse(&one).unwrap_err().to_string().contains("2 names"));
    }
}
