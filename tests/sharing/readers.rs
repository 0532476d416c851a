//! Who may read the database and not write it: examined while somebody has it open, told why not while nobody has.

use super::place::{OWNER, Place, STRANGER};
use crate::installation::Installation;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;

#[test]
fn who_can_only_read_can_examine() {
    let Some(place) = Place::new() else { return };
    place.call(OWNER, "022", &["init", "shop"]).well();
    set_permissions(place.path("shop/rowmill.db"), Permissions::from_mode(0o644)).unwrap();
    let before = place.everything("shop");
    let said = place.call(STRANGER, "000", &["--config", "shop/rowmill.toml", "doctor"]);
    assert!(said.code == Some(75) && said.err.contains("while nobody has it open"), "{said:?}");
    assert_eq!(place.everything("shop"), before);
    // The owner's connection makes the log and its index, which have the mode of the database.
    let here: &Installation = &place.0;
    let conn = rusqlite::Connection::open(here.path("home/shop/rowmill.db")).unwrap();
    conn.execute("INSERT INTO queue (job) VALUES ('noop')", []).unwrap();
    let said = place.call(STRANGER, "000", &["--config", "shop/rowmill.toml", "doctor"]);
    assert!(said.code == Some(0) && said.out.contains("all well"), "{said:?}");
    assert!(said.out.contains("the run folder cannot be looked into"), "{said:?}");
}
