//! A group that is named when the installation is there already: what `check` says, and what mends itself.

use super::place::{GROUP, MEMBER, OWNER, Place, ROOT};
use crate::installation::{BOUND, within};
use std::fs;

/// An installation of the owner's alone with a worker in it, to whose configuration the group is then added.
fn existing(database: &str) -> Option<Place> {
    let place = Place::new()?;
    fs::create_dir(place.path("queue")).unwrap();
    std::os::unix::fs::chown(place.path("queue"), Some(OWNER.uid), Some(1)).unwrap();
    place.call(OWNER, "022", &["init", "shop"]).well();
    let config = place.path("shop/rowmill.toml");
    fs::write(&config, format!("database = \"{database}\"\n")).unwrap();
    let _ = fs::remove_file(place.path("shop/rowmill.db"));
    place.call(OWNER, "077", &["tick"]).well();
    place.call(OWNER, "077", &["enqueue", "hello"]).well();
    place.call(OWNER, "077", &["wait", "1", "--timeout", "60s"]).well();
    fs::write(&config, format!("database = \"{database}\"\ngroup = \"{GROUP}\"\n")).unwrap();
    Some(place)
}

#[test]
fn the_owner_s_next_migrate_mends_what_is_ours() {
    for way in ["migrate", "tick"] {
        let Some(place) = existing("../queue/rowmill.db") else { return };
        let check = place.call(OWNER, "077", &["check"]);
        let words = [
            "/queue: it belongs to daemon, group `daemon`, mode 0755, not group `www-data` and mode 2770",
            "/queue/rowmill.db and ",
            " more: it belongs to daemon, group `daemon`, mode 0600, not group `www-data` and mode 0660",
            "/queue/rowmill.db-run: it belongs to daemon, group `daemon`, mode 0700, not group `www-data` and mode 2770",
            "/shop/logs: it belongs to daemon, group `daemon`, mode 0700, not group `www-data` and mode 2750",
            "hint: rowmill migrate, called by daemon or root; so does the next tick",
        ];
        for word in words {
            assert!(check.code == Some(2) && check.out.contains(word), "{word}: {}", check.out);
        }
        assert_ne!(place.call(MEMBER, "077", &["enqueue", "hello"]).code, Some(0));
        place.call(OWNER, "077", &[way]).well();
        assert!(place.call(OWNER, "077", &["check"]).well().ends_with("all well\n"));
        assert_eq!((place.mode("queue"), place.mode("queue/rowmill.db-run")), (0o2770, 0o2770));
        assert_eq!((place.mode("shop/logs"), place.mode("shop")), (0o2750, 0o755));
        // The worker is the same one, and what it makes from now on is shared.
        let id = place.call(MEMBER, "077", &["enqueue", "hello"]).well();
        assert_eq!(place.call(MEMBER, "077", &["wait", id.trim(), "--timeout", "60s"]).well(), "done\n");
        assert!(place.call(MEMBER, "077", &["check"]).out.ends_with("all well\n"));
        place.call(OWNER, "077", &["stop"]).well();
    }
}

#[test]
fn a_folder_with_other_things_in_it_is_left_to_its_admin() {
    let Some(place) = existing("rowmill.db") else { return };
    place.call(OWNER, "077", &["migrate"]).well();
    assert_eq!((place.mode("shop"), place.mode("shop/rowmill.db")), (0o755, 0o660));
    let check = place.call(OWNER, "077", &["check"]);
    let words = "/shop is not a folder in which the group `www-data` shares a database";
    assert!(check.code == Some(2) && check.out.contains(words), "{}", check.out);
    let hint = "hint: give the database a folder of its own: ";
    let advice = check.out.lines().find_map(|line| line.strip_prefix(hint)).unwrap();
    // What it says to do, done as it says.
    place.call(OWNER, "077", &["stop"]).well();
    let commands: Vec<&str> = advice.split("; ").collect();
    let sh = std::path::Path::new("/bin/sh");
    crate::installation::to_its_end(place.command(OWNER, "077", sh, &["-c", commands[1]])).well();
    let config = place.path("shop/rowmill.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"rowmill.db\"", "\"queue/rowmill.db\"")).unwrap();
    place.call(OWNER, "077", &["migrate"]).well();
    place.call(OWNER, "077", &["start"]).well();
    assert!(place.call(OWNER, "077", &["check"]).well().ends_with("all well\n"));
    let id = place.call(MEMBER, "077", &["enqueue", "hello"]).well();
    assert_eq!(
        (id.as_str(), place.call(MEMBER, "077", &["wait", "2", "--timeout", "60s"]).well().as_str()),
        ("2\n", "done\n")
    );
}

#[test]
fn what_exposes_the_configuration_is_a_note() {
    let Some(place) = existing("rowmill.db") else { return };
    let gid = rowmill::share::Group::find(GROUP).unwrap().gid;
    std::os::unix::fs::chown(place.path("shop"), None, Some(gid)).unwrap();
    fs::set_permissions(place.path("shop"), std::os::unix::fs::PermissionsExt::from_mode(0o2770)).unwrap();
    place.call(OWNER, "077", &["migrate"]).well();
    let check = place.call(OWNER, "077", &["check"]).well();
    assert!(
        check.contains("note: members of the group `www-data` may replace ") && check.ends_with("all well\n"),
        "{check}"
    );
}

#[test]
fn closed_ways_in_are_named() {
    let Some(place) = Place::shared() else { return };
    place.call(OWNER, "077", &["tick"]).well();
    fs::set_permissions(place.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let check = place.call(OWNER, "077", &["check"]);
    let home = place.path("");
    let home = home.display().to_string();
    let home = home.trim_end_matches('/');
    let words = format!("error: members of the group `www-data` cannot enter {home}\nhint: chmod o+x {home}\n");
    assert!(check.code == Some(2) && check.out.contains(&words), "{check:?}");
}

#[test]
fn root_mends_what_the_owner_may_not() {
    let Some(place) = existing("../queue/rowmill.db") else { return };
    place.call(ROOT, "077", &["migrate"]).well();
    for (path, (owner, ..)) in place.everything("queue") {
        assert_eq!(owner, OWNER.uid, "{path}");
    }
    let id = place.call(MEMBER, "077", &["enqueue", "hello"]).well();
    assert_eq!(place.call(MEMBER, "077", &["wait", id.trim(), "--timeout", "60s"]).well(), "done\n");
}

#[test]
fn without_a_group_check_names_who_cannot_write() {
    let Some(place) = existing("rowmill.db") else { return };
    fs::write(place.path("shop/rowmill.toml"), "").unwrap();
    assert!(place.call(OWNER, "077", &["check"]).well().ends_with("all well\n"));
    let check = place.call(MEMBER, "077", &["check"]);
    let words = ["error: `bin` cannot write ", "hint: call this as daemon; or have a group share them"];
    assert!(check.code == Some(2) && words.iter().all(|word| check.out.contains(word)), "{check:?}");
    fs::set_permissions(place.path("shop/rowmill.db"), std::os::unix::fs::PermissionsExt::from_mode(0o660)).unwrap();
    let check = place.call(OWNER, "077", &["check"]).well();
    assert!(check.contains("note: the group `daemon` may write ") && check.contains("chmod 600"), "{check}");
    within(BOUND, "the end of the workers", || Some(place.call(OWNER, "077", &["stop"]).well()));
}
