//! Under `run`: workers killed and restarted while rows come in. Nothing is lost or doubled.

use crate::installation::{BOUND, Installation, within};
use crate::storm::{CONFIG, Storm, seconds};

#[test]
fn nothing_is_lost_or_doubled_under_run() {
    let here = Installation::new(CONFIG);
    let mut run = here.start(&["run"]);
    here.await_workers(4);
    let storm = Storm::of(seconds());
    let report = storm.over(&here);
    crate::installation::terminate(run.pid());
    assert_eq!(run.code(), Some(0));
    within(BOUND, "all processes to end", || here.processes().is_empty().then_some(()));
    println!("under run: {report}");
}
