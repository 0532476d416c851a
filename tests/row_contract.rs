//! The row contract as applications meet it: plain SQL through a connection that is not the engine's.
//!
//! Every statement runs through the bundled SQLite, through Python's `sqlite3` module and through the `sqlite3` shell,
//! which bring SQLite versions of their own, and through the oldest that is supported: the triggers run inside those. Each test plays in a queue full of rows
//! that it is not about, which must be the same afterwards, and ends with the laws of the data.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

/// Declares the tests of a module for every kind of application. A function that is not named here is dead code.
macro_rules! by_every_application {
    ($($name:ident),+ $(,)?) => {
        by_every_application!(@ bundled Bundled [$($name)+]);
        by_every_application!(@ python Python [$($name)+]);
        by_every_application!(@ shell Shell [$($name)+]);
        by_every_application!(@ oldest Oldest [$($name)+]);
    };
    (@ $module:ident $kind:ident [$($name:ident)+]) => {
        mod $module {
            $(#[test]
            fn $name() {
                crate::row_contract::run(crate::row_contract::application::Kind::$kind, super::$name);
            })+
        }
    };
}

mod needs;
mod scene;

/// The tests, a module for each thing that an application does. A test is a function over a scene and an application.
mod row_contract {
    pub(crate) mod application;
    mod change;
    mod histories;
    mod insert;
    mod moments;
    mod refuse;
    mod status;
    mod take_back;
    mod unique;

    use crate::scene::Scene;
    use application::{Application, Kind};

    /// Runs one test as one kind of application.
    #[track_caller]
    pub(crate) fn run(kind: Kind, test: fn(&mut Scene, &mut Application)) {
        if !kind.is_there() {
            return;
        }
        let mut scene = Scene::fresh();
        let mut application = Application::start(kind, &scene.database.path());
        test(&mut scene, &mut application);
        scene.close();
    }
}
