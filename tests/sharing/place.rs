//! A folder in which several users call the program, and what lies in it.

use crate::installation::{Installation, Running, Said, to_its_end};
use crate::needs;
use rowmill::share::Group;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The group that shares.
pub(super) const GROUP: &str = "www-data";

/// The system's, since one of root's own is nobody else's.
const PYTHON: &str = "/usr/bin/python3";

/// Whether other users have a Python.
#[track_caller]
pub(super) fn has_python() -> bool {
    needs::that(Path::new(PYTHON).exists(), "python3", "install it, or run tests/run")
}

/// A user by whom the program is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    /// Its first group.
    gid: u32,
    is_member: bool,
}

pub(super) const OWNER: User = User { uid: 1, gid: 1, is_member: true };
pub(super) const MEMBER: User = User { uid: 2, gid: 2, is_member: true };
pub(super) const STRANGER: User = User { uid: 65_534, gid: 65_534, is_member: false };
pub(super) const ROOT: User = User { uid: 0, gid: 0, is_member: false };

/// A folder of root's that all may enter, with a copy of the program, and a folder `home` of the owner's.
pub(super) struct Place(pub(super) Installation);

impl Place {
    /// `None` where the test is left out: it needs root, `setpriv`, the group, and a folder that others can reach.
    #[track_caller]
    pub(super) fn new() -> Option<Place> {
        let hint = "run the tests as root";
        if !needs::that(rustix::process::geteuid().is_root(), "root", hint) || !needs::tool("setpriv") {
            return None;
        }
        if !needs::that(Group::find(GROUP).is_ok(), GROUP, "make the group") {
            return None;
        }
        let here = Installation::empty();
        let mut copy = Command::new("cp");
        copy.args([env!("CARGO_BIN_EXE_rowmill"), "rowmill"]).current_dir(here.folder());
        to_its_end(copy).well();
        fs::set_permissions(here.folder(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(here.path("home")).unwrap();
        fs::set_permissions(here.path("home"), Permissions::from_mode(0o755)).unwrap();
        chown(here.path("home"), Some(OWNER.uid), Some(OWNER.gid)).unwrap();
        let place = Place(here);
        let reached = place.call(MEMBER, "022", &["--version"]).code == Some(0);
        needs::that(reached, "another-user", "let others run programs in the folder for temporary files")
            .then_some(place)
    }

    /// The same with an installation in `home/shop` that the group shares.
    #[track_caller]
    pub(super) fn shared() -> Option<Place> {
        let place = Place::new()?;
        place.call(OWNER, "077", &["init", "shop", "--group", GROUP]).well();
        Some(place)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path("home").join(name)
    }

    /// A program as that user, in `home`.
    pub(super) fn command(&self, user: User, umask: &str, program: &Path, args: &[&str]) -> Command {
        let gid = Group::find(GROUP).unwrap().gid;
        let groups = if user.is_member { format!("--groups={gid}") } else { "--clear-groups".to_string() };
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "umask $0; exec setpriv \"$@\"", umask]);
        command.args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid), groups]);
        command
            .arg(program)
            .args(args)
            .current_dir(self.0.path("home"))
            .env_remove("ROWMILL_DATABASE")
            .stdin(Stdio::null());
        command
    }

    fn rowmill(&self, user: User, umask: &str, args: &[&str]) -> Command {
        let mut command = self.command(user, umask, &self.0.path("rowmill"), args);
        if self.path("shop/rowmill.toml").exists() {
            command.arg("--config").arg(self.path("shop/rowmill.toml"));
        }
        command
    }

    /// Calls Rowmill as that user, for the installation in `home/shop` once there is one.
    #[track_caller]
    pub(super) fn call(&self, user: User, umask: &str, args: &[&str]) -> Said {
        to_its_end(self.rowmill(user, umask, args))
    }

    /// Starts it, in the folder of the installation.
    pub(super) fn start(&self, user: User, args: &[&str]) -> Running {
        let mut command = self.rowmill(user, "077", args);
        Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    /// What Python says to this program, called as that user.
    #[track_caller]
    pub(super) fn python(&self, user: User, text: &str) -> Said {
        to_its_end(self.command(user, "077", Path::new(PYTHON), &["-c", text]))
    }

    /// Starts Python with this program.
    pub(super) fn start_python(&self, user: User, text: &str) -> Running {
        let mut command = self.command(user, "077", Path::new(PYTHON), &["-c", text]);
        Running::start(command.stdout(Stdio::null()))
    }

    /// Everything below a folder of `home`: owner, group and mode.
    pub(super) fn everything(&self, folder: &str) -> BTreeMap<String, (u32, u32, u32)> {
        everything(&self.path(folder))
    }

    /// Owner, group and mode of one.
    pub(super) fn of(&self, name: &str) -> (u32, u32, u32) {
        of(&self.path(name))
    }

    /// The mode of one.
    pub(super) fn mode(&self, name: &str) -> u32 {
        self.of(name).2
    }
}

pub(super) fn of(path: &Path) -> (u32, u32, u32) {
    let found = path.symlink_metadata().unwrap();
    (found.uid(), found.gid(), found.mode() & 0o7777)
}

/// Everything below a folder, without it and without symbolic links, by its path there.
pub(super) fn everything(folder: &Path) -> BTreeMap<String, (u32, u32, u32)> {
    let (mut all, mut open) = (BTreeMap::new(), vec![folder.to_path_buf()]);
    while let Some(next) = open.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            let fresh = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".new-"));
            // What is being made at this instant has not got its name yet.
            if path.is_symlink() || fresh {
                continue;
            }
            if path.is_dir() {
                open.push(path.clone());
            }
            all.insert(path.strip_prefix(folder).unwrap().display().to_string(), of(&path));
        }
    }
    all
}
