//! Who is not a member, and groups that are not there: refused, with words.

use super::place::{GROUP, OWNER, Place, STRANGER, has_python};
use crate::installation::Installation;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

#[test]
fn who_is_not_a_member_is_told_so() {
    let Some(place) = Place::shared() else { return };
    place.call(OWNER, "077", &["drain"]).well();
    // Closed to all others: not even the configuration is read.
    let said = place.call(STRANGER, "000", &["status"]);
    assert!(said.code == Some(2) && said.err.contains("rowmill.toml: Permission denied"), "{said:?}");
    set_permissions(place.path("shop"), Permissions::from_mode(0o755)).unwrap();
    let before = place.everything("shop");
    let commands: [&[&str]; 8] = [
        &["status"],
        &["enqueue", "hello"],
        &["tasks"],
        &["tick"],
        &["drain"],
        &["migrate"],
        &["work", "--index", "0", "--log", "stderr"],
        &["init", "other", "--group", GROUP],
    ];
    for args in commands {
        let said = place.call(STRANGER, "000", args);
        let words = "error: `nobody` is not a member of the group `www-data`";
        let hint = "hint: as root: usermod -aG www-data nobody; then log in anew";
        assert!(said.code == Some(1) && said.err.contains(words) && said.err.contains(hint), "{args:?}: {said:?}");
    }
    let check = place.call(STRANGER, "000", &["check"]);
    assert!(check.code == Some(2) && check.out.contains("error: `nobody` is not a member"), "{check:?}");
    assert_eq!(place.everything("shop"), before);
    if has_python() {
        let said = place.python(
            STRANGER,
            "import sqlite3; sqlite3.connect('shop/queue/rowmill.db').execute('SELECT 1 FROM queue')",
        );
        assert!(said.code == Some(1) && said.err.contains("unable to open database file"), "{said:?}");
    }
}

#[test]
fn a_group_that_is_not_there_is_a_mistake_in_the_configuration() {
    let here = Installation::empty();
    here.write("rowmill.toml", "workers = 2\ngroup = \"no-such-group\"\n");
    for args in [&["migrate"][..], &["tick"], &["drain"], &["status"], &["enqueue", "noop"]] {
        let said = here.run(args);
        let words = "rowmill.toml:2:9: there is no group `no-such-group` in /etc/group\nhint: make it (`groupadd`), or mend `group`\n";
        assert!(said.code == Some(2) && said.err.ends_with(words), "{args:?}: {said:?}");
    }
    assert!(!here.path("rowmill.db").exists() && !here.path("logs").exists());
    let check = here.run(&["check"]);
    let found = "rowmill.toml:2:9: there is no group `no-such-group` in /etc/group\nhint: make it (`groupadd`)";
    assert!(check.code == Some(2) && check.out.contains(found), "{check:?}");
    for (group, words) in [("", "`group` is empty"), ("a:b", "`a:b` is not a group"), ("a/b", "`a/b` is not a group")] {
        here.write("rowmill.toml", &format!("group = \"{group}\"\n"));
        let said = here.run(&["status"]);
        assert!(said.code == Some(2) && said.err.contains(words), "{said:?}");
    }
    let said = here.run(&["init", "shop", "--group", "no-such-group"]);
    assert!(said.code == Some(2) && said.err.contains("there is no group `no-such-group`"), "{said:?}");
    assert!(!here.path("shop").exists());
}

#[test]
fn init_says_when_the_configuration_that_is_there_names_no_group() {
    let here = Installation::empty();
    here.write("rowmill.toml", "");
    let group = rowmill::share::group_name(rustix::process::getegid().as_raw());
    let said = here.run(&["init", ".", "--group", &group]);
    assert!(said.code == Some(2) && said.err.contains("does not name the group"), "{said:?}");
    assert!(here.read("rowmill.toml").is_empty() && !here.path("rowmill.db").exists());
}
