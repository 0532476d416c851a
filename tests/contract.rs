//! The contract of the store: what each verb does, to what, and to nothing else.
//!
//! One test for each transition of each verb, for every backend. Each runs in a scene full of bystanders, rows in every
//! state and partition that it is not about, which must be the same afterwards, and ends with the laws of the data.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

/// Declares the tests of a module for every backend. A function that is not named here is dead code, which is refused.
macro_rules! on_every_backend {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $name() {
                crate::contract::run(crate::scene::Scene::fresh, super::$name);
            })+
        }
    };
}

mod scene;

/// The suite, a module for each group of verbs. A test is a function over a scene.
mod contract {
    mod bell;
    mod changed;
    mod claim;
    mod enqueue;
    mod fold;
    mod hold;
    mod known;
    mod look;
    mod occurrences;
    mod past;
    mod resident;
    mod schedules;
    mod settle;
    mod ticks;
    mod timer;
    mod year;

    use crate::scene::Scene;

    /// Runs one test in a scene that `make` sets up.
    pub(crate) fn run(make: fn() -> Scene, test: fn(&mut Scene)) {
        let mut scene = make();
        test(&mut scene);
        scene.close();
    }
}
