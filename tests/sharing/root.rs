//! Root beside a user, and links that somebody has put where files are expected.

use super::place::{MEMBER, OWNER, Place, ROOT};
use crate::installation::Installation;
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn what_root_makes_is_the_owner_s() {
    for group in [true, false] {
        let place = if group { Place::shared() } else { Place::new() };
        let Some(place) = place else { return };
        if !group {
            place.call(OWNER, "077", &["init", "shop"]).well();
        }
        let _ = fs::remove_dir_all(place.path(if group { "shop/queue/rowmill.db-run" } else { "shop/rowmill.db-run" }));
        place.call(OWNER, "077", &["drain"]).well();
        // A new day of the log, the locks of a new generation, SQLite's files: root makes them all.
        for entry in fs::read_dir(place.path("shop/logs")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        place.call(OWNER, "077", &["enqueue", "hello"]).well();
        place.call(ROOT, "077", &["tick", "--workers", "2"]).well();
        place.call(ROOT, "077", &["wait", "1", "--timeout", "60s"]).well();
        for (path, (owner, ..)) in place.everything("shop") {
            assert_eq!(owner, OWNER.uid, "{path}");
        }
        // Beside root's workers, and after them.
        place.call(OWNER, "077", &["tick"]).well();
        place.call(OWNER, "077", &["enqueue", "hello"]).well();
        place.call(OWNER, "077", &["wait", "2", "--timeout", "60s"]).well();
        place.call(ROOT, "077", &["stop"]).well();
        place.call(OWNER, "077", &["start"]).well();
        place.call(OWNER, "077", &["enqueue", "hello"]).well();
        place.call(OWNER, "077", &["wait", "3", "--timeout", "60s"]).well();
        place.call(OWNER, "077", &["stop"]).well();
    }
}

#[test]
fn an_installation_that_root_begins_is_its_folder_s_owner_s() {
    for group in [true, false] {
        let Some(place) = Place::new() else { return };
        place.call(OWNER, "077", &["init", "shop"]).well();
        for file in ["rowmill.db", "rowmill.db-wal", "rowmill.db-shm"] {
            let _ = fs::remove_file(place.path("shop").join(file));
        }
        fs::remove_dir_all(place.path("shop/rowmill.db-run")).unwrap();
        if group {
            let config = format!("group = \"{}\"\ndatabase = \"queue/rowmill.db\"\n", super::place::GROUP);
            fs::write(place.path("shop/rowmill.toml"), config).unwrap();
            place.call(ROOT, "077", &["migrate"]).well();
        }
        place.call(ROOT, "077", &["drain"]).well();
        for (path, (owner, ..)) in place.everything("shop") {
            assert_eq!(owner, OWNER.uid, "{path}");
        }
        place.call(OWNER, "077", &["enqueue", "hello"]).well();
        place.call(OWNER, "077", &["drain"]).well();
        assert_eq!(place.call(OWNER, "077", &["wait", "1"]).well(), "done\n");
    }
}

#[test]
fn a_link_of_a_member_s_leads_root_nowhere() {
    let Some(place) = Place::shared() else { return };
    place.call(OWNER, "077", &["drain"]).well();
    let secret = place.0.path("secret");
    let run = place.path("shop/queue/rowmill.db-run");
    fs::write(&secret, "precious").unwrap();
    let before = super::place::of(&secret);
    for name in ["pulse-0", "worker-0", "partition-1-1"] {
        let _ = fs::remove_file(run.join(name));
        symlink(&secret, run.join(name)).unwrap();
        place.call(MEMBER, "077", &["enqueue", "hello"]).well();
        let said = place.call(ROOT, "077", &["work", "--index", "0", "--workers", "1", "--drain"]);
        assert!(said.code != Some(0), "{name}: {said:?}");
        assert!(fs::read_to_string(&secret).unwrap() == "precious" && super::place::of(&secret) == before, "{name}");
        let check = place.call(ROOT, "077", &["check"]);
        assert!(check.code == Some(2) && check.out.contains(&format!("{name} is a link")), "{check:?}");
        fs::remove_file(run.join(name)).unwrap();
    }
}

#[test]
fn an_installation_of_root_s_is_advised_against() {
    let Some(place) = Place::new() else { return };
    place.call(ROOT, "022", &["init", "shop", "--group", super::place::GROUP]).well();
    let check = place.call(ROOT, "022", &["check"]).well();
    let words = "rowmill.db is root's: members of the group can have root's workers end any process\nhint: let a user of its own";
    assert!(check.starts_with("note: ") && check.contains(words) && check.ends_with("all well\n"), "{check}");
}

#[test]
fn a_run_folder_that_is_a_link_is_refused() {
    let here = Installation::new("");
    fs::rename(here.path("rowmill.db-run"), here.path("elsewhere")).unwrap();
    symlink("elsewhere", here.path("rowmill.db-run")).unwrap();
    for args in [&["status"][..], &["tick"], &["enqueue", "noop"]] {
        let said = here.run(args);
        assert!(said.code == Some(2) && said.err.contains("rowmill.db-run is not a folder\nhint: "), "{said:?}");
    }
}
