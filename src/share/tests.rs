use super::*;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use tempfile::TempDir;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn own_group(mode: u32) -> Want {
    Want { owner: None, group: Some(rustix::process::getegid().as_raw()), mode }
}

/// A folder of this mode.
fn folder(mode: u32) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("folder");
    make_folder(&path, own_group(mode)).unwrap();
    (dir, path)
}

#[test]
fn what_a_new_file_is_follows_from_its_folder() {
    let of = |mode| inherited(&folder(mode).1, FILE, 0o600).unwrap().map(|want| want.mode);
    // As root, in root's folder, there is nobody to whom a file should belong instead.
    assert_eq!((of(0o2770), of(0o2750)), (Some(FILE), Some(FILE)));
    assert_eq!((of(0o700), of(0o770), of(0o2700)), (None, None, None), "its group may not enter, or is not handed on");
    assert_eq!(inherited(Path::new("/no/such/folder"), FILE, 0o600), Err(Errno::NOENT));
}

#[test]
fn all_who_make_one_file_at_once_get_the_same() {
    let (_dir, shared) = folder(FOLDER);
    for round in 0..20 {
        let path = shared.join(format!("file-{round}"));
        let open = || {
            let file = open_or_make(&path, OFlags::RDWR, own_group(FILE)).unwrap();
            let found = rustix::fs::fstat(&file).unwrap();
            (found.st_ino, found.st_mode & 0o7777)
        };
        let all: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(all.iter().all(|one| *one == (all[0].0, FILE)), "{all:?}");
    }
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 20, "nothing else is left in the folder");
}

#[test]
fn a_folder_that_is_there_is_left_as_it_is() {
    let (_dir, path) = folder(0o700);
    fs::write(path.join("file"), "").unwrap();
    make_folder(&path, own_group(FOLDER)).unwrap();
    assert!(mode(&path) == 0o700 && path.join("file").exists());
}

#[test]
fn links_are_followed_by_nothing() {
    let (_dir, shared) = folder(FOLDER);
    let target = shared.join("target");
    fs::write(&target, "precious").unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o600)).unwrap();
    symlink(&target, shared.join("soft")).unwrap();
    assert_eq!(open_or_make(&shared.join("soft"), OFlags::RDWR, own_group(FILE)).unwrap_err(), Errno::LOOP);
    assert_eq!(give(&shared.join("soft"), own_group(FILE)), Ok(Given::Odd));
    fs::hard_link(&target, shared.join("hard")).unwrap();
    assert_eq!(give(&shared.join("hard"), own_group(FILE)), Ok(Given::Odd));
    assert_eq!(mode(&target), 0o600);
    fs::remove_file(shared.join("hard")).unwrap();
    assert_eq!((give(&target, own_group(FILE)), mode(&target)), (Ok(Given::Right), FILE));
    assert_eq!(give(&shared.join("nothing"), own_group(FILE)), Ok(Given::Missing));
}

#[test]
fn what_is_somebody_else_s_stays_so() {
    if rustix::process::geteuid().is_root() {
        // Root may: it gives what is root's to whom it should belong, and nothing that is another's.
        let (_dir, shared) = folder(FOLDER);
        let own = |owner| Want { owner: Some(owner), group: None, mode: FILE };
        let path = shared.join("file");
        fs::write(&path, "").unwrap();
        for (owner, comes_to) in [(1, 1), (2, 1)] {
            give(&path, own(owner)).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().uid(), comes_to);
        }
    } else {
        assert_eq!(give(Path::new("/etc/passwd"), own_group(FILE)), Ok(Given::NotOurs));
    }
}
