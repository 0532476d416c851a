//! An installation of a user who has no other process, and whose limits on processes bind, as root's do not.

use crate::installation::{Installation, Said, to_its_end};
use crate::needs;
use rustix::process::{Resource, getrlimit};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

/// The command, called under a limit that `prlimit` knows by this argument.
pub(super) fn limited(command: &Command, limit: &str) -> Command {
    let mut under = Command::new("prlimit");
    under.arg(limit).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    under.current_dir(command.get_current_dir().unwrap()).env_remove("ROWMILL_DATABASE");
    under
}

/// The installation, and the number of its user, who has no name.
pub(super) struct Bounded {
    pub(super) here: Installation,
    uid: u32,
}

impl Bounded {
    /// `None` where the test is left out: it needs root, `setpriv` and `prlimit`, and a folder that others can reach.
    #[track_caller]
    pub(super) fn new(config: &str) -> Option<Bounded> {
        let is_root = rustix::process::geteuid().is_root();
        if !needs::that(is_root, "root", "run the tests as root") || !needs::tool("setpriv") || !needs::tool("prlimit")
        {
            return None;
        }
        let here = Installation::empty();
        let mut copy = Command::new("cp");
        copy.args([env!("CARGO_BIN_EXE_rowmill"), "rowmill"]).current_dir(here.folder());
        to_its_end(copy).well();
        here.write("rowmill.toml", config);
        let bounded = Bounded { here, uid: free_uid() };
        bounded.own();
        let reached = to_its_end(bounded.command(&["--version"])).code == Some(0);
        let hint = "let others run programs in the folder for temporary files";
        if !needs::that(reached, "another-user", hint) {
            return None;
        }
        to_its_end(bounded.command(&["migrate"])).well();
        Some(bounded)
    }

    /// Gives the user everything in the folder.
    pub(super) fn own(&self) {
        let mut give = Command::new("chown");
        give.args(["-R", &format!("{0}:{0}", self.uid), "."]).current_dir(self.here.folder());
        to_its_end(give).well();
        fs::set_permissions(self.here.folder(), Permissions::from_mode(0o755)).unwrap();
    }

    /// The program, to be called by the user.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.by_user(self.here.path("rowmill").to_str().unwrap());
        command.args(args);
        command
    }

    /// The same with a limit of its own, in the words of `prlimit`. (Set before, it would keep root from becoming the user.)
    pub(super) fn limited(&self, limit: &str, args: &[&str]) -> Command {
        let mut command = self.by_user("prlimit");
        command.arg(limit).arg(self.here.path("rowmill")).args(args);
        command
    }

    /// Sets how many processes the user may have, threads included, when that one asks for another.
    #[track_caller]
    pub(super) fn limit(&self, pid: i32, processes: &str) {
        // By the user: root itself may do that to others only with a right that containers do not give.
        let mut command = self.by_user("prlimit");
        command.args(["--pid", &pid.to_string(), &format!("--nproc={processes}:")]);
        let said: Said = to_its_end(command);
        assert_eq!(said.code, Some(0), "{said:?}");
    }

    /// How many this process may have, which others inherit.
    pub(super) fn own_limit() -> String {
        getrlimit(Resource::Nproc).current.map_or("unlimited".to_string(), |most| most.to_string())
    }

    fn by_user(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={}", self.uid), &format!("--regid={}", self.uid), "--clear-groups"]);
        command.arg(program).current_dir(self.here.folder()).env_remove("ROWMILL_DATABASE").stdin(Stdio::null());
        command
    }
}

/// A user who has no process. Two tests that ask at once get two.
fn free_uid() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static ASKED: AtomicU32 = AtomicU32::new(0);
    // Below what a container may have at most, and above what anybody gives to people and services.
    let first = 64_000 + std::process::id() % 500;
    loop {
        let uid = first + ASKED.fetch_add(1, Ordering::Relaxed);
        let owned = |entry: std::io::Result<fs::DirEntry>| entry.ok()?.metadata().ok().map(|meta| meta.uid());
        if !fs::read_dir("/proc").unwrap().filter_map(owned).any(|owner| owner == uid) {
            return uid;
        }
    }
}
