//! Owner, group and mode of everything that is made, whatever the umask.
//!
//! What would be found here: a file that the umask keeps from the members, one that others can read, a folder in which
//! the next file belongs to somebody's own group, a file of the run folder that was forgotten.

use super::place::{GROUP, MEMBER, OWNER, Place, everything, of};
use crate::installation::{BOUND, Installation, to_its_end, within};
use rowmill::share::{Group, group_name};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a file of a shared installation is to be, by its path in it.
fn wanted(path: &str) -> u32 {
    let file = Path::new(path);
    match path {
        "queue" | "queue/rowmill.db-run" => 0o2770,
        "logs" => 0o2750,
        "scripts" => 0o750,
        "rowmill.toml" => 0o644,
        "scripts/hello" => 0o755,
        _ if file.starts_with("logs") => 0o640,
        _ => 0o660,
    }
}

/// Every kind of file of an installation at work.
const KINDS: [&str; 12] = [
    "queue/rowmill.db",
    "queue/rowmill.db-wal",
    "queue/rowmill.db-shm",
    "queue/rowmill.db-run/gate",
    "queue/rowmill.db-run/scheduler",
    "queue/rowmill.db-run/worker-0",
    "queue/rowmill.db-run/pulse-0",
    "queue/rowmill.db-run/bell-0",
    "queue/rowmill.db-run/lookout",
    "queue/rowmill.db-run/fold",
    "queue/rowmill.db-run/partition-1-",
    "queue/rowmill.db-run/body-",
];

#[track_caller]
fn all_is_shared(found: &BTreeMap<String, (u32, u32, u32)>, uid: u32, gid: u32) {
    for kind in KINDS {
        assert!(found.keys().any(|path| path.starts_with(kind)), "no {kind} was made: {found:?}");
    }
    for (path, (owner, group, mode)) in found {
        // These two are read by members, who need not own them.
        let group = if path == "rowmill.toml" || path == "scripts/hello" { gid } else { *group };
        assert_eq!((*owner, group, format!("{mode:o}")), (uid, gid, format!("{:o}", wanted(path))), "{path}");
    }
}

#[test]
fn everything_is_the_group_s_under_every_umask() {
    let Some(place) = Place::new() else { return };
    let gid = Group::find(GROUP).unwrap().gid;
    for (round, umask) in ["077", "000", "027", "777"].into_iter().enumerate() {
        let name = format!("shop{round}");
        // A folder that nobody may enter is no folder to begin with.
        let first = if umask == "777" { "077" } else { umask };
        place.call(OWNER, first, &["init", &name, "--group", GROUP]).well();
        std::fs::rename(place.path(&name), place.path("shop")).unwrap();
        place.call(OWNER, umask, &["tick"]).well();
        let id = place.call(OWNER, umask, &["enqueue", "hello"]).well();
        place.call(OWNER, umask, &["wait", id.trim(), "--timeout", "60s"]).well();
        // Workers that wait for nothing any more have folded, and one of them is the lookout.
        let found = within(BOUND, "every kind of file", || {
            let found = place.everything("shop");
            KINDS.iter().all(|kind| found.keys().any(|path| path.starts_with(kind))).then_some(found)
        });
        all_is_shared(&found, OWNER.uid, gid);
        assert_eq!(place.of("shop"), (OWNER.uid, gid, 0o750));
        place.call(OWNER, umask, &["stop"]).well();
        std::fs::rename(place.path("shop"), place.path(&name)).unwrap();
    }
}

#[test]
fn a_run_folder_that_was_deleted_is_the_group_s_again() {
    let Some(place) = Place::shared() else { return };
    place.call(OWNER, "077", &["tick"]).well();
    std::fs::remove_dir_all(place.path("shop/queue/rowmill.db-run")).unwrap();
    // Whoever comes first makes it, here a member that reads no configuration.
    let database = place.path("shop/queue/rowmill.db");
    let program = place.0.path("rowmill");
    let args = ["enqueue", "hello", "--database", database.to_str().unwrap()];
    let said = to_its_end(place.command(MEMBER, "077", &program, &args));
    assert_eq!((said.code, said.out.as_str()), (Some(0), "1\n"), "{said:?}");
    place.call(OWNER, "077", &["wait", "1", "--timeout", "60s"]).well();
    let gid = Group::find(GROUP).unwrap().gid;
    for (path, (_, group, mode)) in place.everything("shop/queue") {
        let wanted = if path == "rowmill.db-run" { 0o2770 } else { 0o660 };
        assert_eq!((group, format!("{mode:o}")), (gid, format!("{wanted:o}")), "{path}");
    }
}

/// Calls the program under a umask, as whoever runs the tests.
#[track_caller]
fn under(here: &Installation, umask: &str, args: &[&str]) -> String {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "umask $0; exec \"$@\"", umask, env!("CARGO_BIN_EXE_rowmill")]);
    command.args(args).current_dir(here.folder()).env_remove("ROWMILL_DATABASE").stdin(Stdio::null());
    to_its_end(command).well()
}

#[test]
fn anybody_may_share_with_a_group_of_their_own() {
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let here = Installation::empty();
    let before = of(&here.folder());
    under(&here, "077", &["init", ".", "--group", &group_name(own.1)]);
    under(&here, "077", &["tick"]);
    under(&here, "077", &["enqueue", "hello"]);
    under(&here, "077", &["wait", "1", "--timeout", "60s"]);
    let found = within(BOUND, "every kind of file", || {
        let found = everything(&here.folder());
        KINDS.iter().all(|kind| found.keys().any(|path| path.starts_with(kind))).then_some(found)
    });
    // The folder `scripts` is new; the one around it was there.
    all_is_shared(&found, own.0, own.1);
    assert_eq!(of(&here.folder()), before);
}

#[test]
fn without_a_group_everything_is_its_owner_s_alone() {
    let here = Installation::empty();
    under(&here, "000", &["init"]);
    under(&here, "000", &["tick"]);
    under(&here, "000", &["enqueue", "hello"]);
    under(&here, "000", &["wait", "1", "--timeout", "60s"]);
    let found = everything(&here.folder());
    let own = rustix::process::geteuid().as_raw();
    for (path, (owner, _, mode)) in &found {
        let name = path.rsplit('/').next().unwrap();
        let wanted = match name {
            "rowmill.db-run" => 0o700,
            "logs" => 0o750,
            _ if name.ends_with(".log") => 0o640,
            // In a folder that is closed to all others.
            _ if name.starts_with("bell-") => *mode,
            _ if name.starts_with("rowmill.db") || path.starts_with("rowmill.db-run") => 0o600,
            _ => continue,
        };
        assert_eq!((*owner, format!("{mode:o}")), (own, format!("{wanted:o}")), "{path}");
    }
    assert!(found.contains_key("rowmill.db-run/gate") && found.contains_key("rowmill.db-wal"), "{found:?}");
}
