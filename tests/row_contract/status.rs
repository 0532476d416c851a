//! The engine's own columns in an application's hands: a status that is not its to set.
//!
//! At every moment every status is tried, with what its CHECKs ask for and with a changed priority or time beside it.
//! It is refused in words, and the row and its keys stay as they were; what is final stays final.

use super::application::Application;
use super::moments::{Moment, bring};
use crate::scene::{Scene, done, laws};

by_every_application!(a_status_is_only_ever_set_to_cancelled, what_is_final_stays_final, an_attempt_is_a_number,);

const WORDS: &str = "status is set by the engine; an application may only set it to cancelled";

/// A status with the other columns that it needs.
const STATUSES: &[(&str, &str)] = &[
    ("ready", "status = 'ready', finished_at = NULL"),
    ("delayed", "status = 'delayed', finished_at = NULL"),
    ("running", "status = 'running', finished_at = NULL"),
    ("parked", "status = 'parked', finished_at = NULL, error = 'x'"),
    ("done", "status = 'done', finished_at = 5"),
    ("dead", "status = 'dead', finished_at = 5, cause = 'x'"),
];

const BESIDE: &[&str] = &["", ", priority = 12", ", run_at = 4000000000012", ", run_at = NULL, priority = -12"];

fn a_status_is_only_ever_set_to_cancelled(s: &mut Scene, app: &mut Application) {
    for moment in Moment::ALL {
        let brought = bring(s, moment);
        let (before, stored) = (s.raw(brought.id), s.stored_status(brought.id));
        for (status, set) in STATUSES.iter().filter(|(status, _)| *status != stored) {
            for beside in BESIDE {
                let update = format!("UPDATE queue SET {set}{beside} WHERE id = {}", brought.id);
                app.refused(&[&update], WORDS);
                assert_eq!(s.raw(brought.id), before, "{moment:?} to {status}{beside}");
            }
        }
        laws::hold(&s.database.conn);
        app.run(&[&format!("DELETE FROM queue WHERE id = {}", brought.id)]);
    }
}

fn what_is_final_stays_final(s: &mut Scene, app: &mut Application) {
    for moment in [Moment::Dead, Moment::Cancelled, Moment::Delayed, Moment::Parked] {
        let brought = bring(s, moment);
        let before = s.raw(brought.id);
        app.refused(&[&format!("UPDATE queue SET status = 'done', finished_at = 5 WHERE id = {}", brought.id)], WORDS);
        app.refused(&[&format!("UPDATE queue SET status = 'nonsense' WHERE id = {}", brought.id)], "status is");
        assert_eq!(s.raw(brought.id), before);
        app.run(&[&format!("DELETE FROM queue WHERE id = {}", brought.id)]);
    }
}

fn an_attempt_is_a_number(s: &mut Scene, app: &mut Application) {
    let id = bring(s, Moment::Ready).id;
    for value in ["-1", "'many'", "0.5", "NULL"] {
        app.refused(&[&format!("UPDATE queue SET attempt = {value} WHERE id = {id}")], "attempt");
    }
    s.finish(id, done());
}
