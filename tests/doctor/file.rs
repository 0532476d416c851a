//! The laws of the file, which are looked at on wish.

use crate::scene::Scene;
use rowmill::store::sqlite::Examiner;
use rowmill::store::{Examine, Example};

/// The laws that are broken here.
pub(super) const LAWS: [&str; 2] = ["file-is-sound", "foreign-keys-are-met"];

fn broken(scene: &Scene) -> Vec<(&'static str, Vec<Example>)> {
    let found = Examiner::open(&scene.database.path()).unwrap().examine_file().unwrap();
    found.into_iter().filter(|found| found.count > 0).map(|found| (found.law.name, found.examples)).collect()
}

#[test]
fn an_index_that_does_not_agree_with_its_table_is_found() {
    let scene = Scene::fresh();
    assert_eq!(broken(&scene), []);
    scene.sql("CREATE TABLE app (a, b); INSERT INTO app VALUES (1, 2); CREATE INDEX app_a ON app (a)");
    scene.sql(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_master SET sql = 'CREATE INDEX app_a ON app (b)' WHERE name = 'app_a'",
    );
    let found = broken(&scene);
    assert!(found.len() == 1 && found[0].0 == LAWS[0], "{found:?}");
    assert_eq!(found[0].1, [Example::Text("row 1 missing from index app_a".into())]);
}

#[test]
fn a_reference_that_points_nowhere_is_found() {
    let scene = Scene::fresh();
    scene.sql(
        "PRAGMA foreign_keys = OFF; CREATE TABLE app (task REFERENCES queue); INSERT INTO app VALUES (1), (1000000)",
    );
    assert_eq!(broken(&scene), [(LAWS[1], vec![Example::Text("app 2".into())])]);
}
