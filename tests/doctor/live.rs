//! `doctor` beside ten busy workers: it finds nothing wrong, and keeps nobody from truncating the log.
//!
//! What would be found here: a law that compares two instants, a read transaction that lasts as long as the examination.

use crate::installation::Installation;
use crate::scene::Scene;
use rowmill::clock::Clock;
use rowmill::store::Examine;
use rowmill::store::sqlite::Examiner;

/// The log is truncated at 32 MiB. What is written until that succeeds is a few batches of each worker.
const LOG_BOUND: u64 = 96 << 20;

#[test]
fn beside_ten_workers_every_law_holds_and_the_log_stays_short() {
    let here = Installation::new("workers = 10\nlog_level = \"warn\"\n");
    here.insert(20_000, "echo", "\"x\"");
    here.insert(200, "fail", "\"no\"");
    let mut drain = here.start(&["drain"]);
    let (mut beside, mut longest) = (0, 0);
    let ended = loop {
        if let Some(status) = drain.0.try_wait().unwrap() {
            break status;
        }
        let answer = here.json(&["doctor"]);
        assert_eq!(answer["breaches"], 0, "{answer}");
        let broken = answer["laws"].as_array().unwrap().iter().filter(|law| law["broken"] != 0);
        assert_eq!(broken.count(), 0, "{answer}");
        longest = longest.max(answer["log"]["bytes"].as_u64().unwrap());
        beside += 1;
    };
    // Those that failed wait for another attempt, which comes later.
    assert_eq!(ended.code(), Some(0));
    assert!(beside > 0 && longest < LOG_BOUND, "{beside} times, {longest} bytes of log");
    assert_eq!(here.json(&["doctor"])["breaches"], 0);
}

/// That it ends at all shows that a walk does not run after what is inserted before each of its pages.
#[test]
fn between_two_pages_the_log_can_be_truncated() {
    let scene = Scene::fresh();
    let many = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
                  INSERT INTO queue (job) SELECT 'noop' FROM n";
    scene.sql(many);
    let mut examiner = Examiner::open(&scene.database.path()).unwrap();
    let mut parts = Vec::new();
    let mut step = |step: rowmill::store::Step| {
        assert!(parts.len() < 1_000, "it runs after the rows that are inserted");
        scene.sql("INSERT INTO queue (job) VALUES ('noop')");
        assert_eq!(
            scene.number("PRAGMA wal_checkpoint(TRUNCATE)"),
            0,
            "a reader is in the way, after a page of {}",
            step.part
        );
        parts.push(step.part);
    };
    let examined = examiner.examine(Clock::System.now_ms(), &mut step).unwrap();
    assert!(examined.found.iter().all(|found| found.count == 0), "{examined:?}");
    assert!(
        ["tasks", "the order of work", "counts"].iter().all(|part| parts.iter().filter(|p| p == &part).count() > 2)
    );
}
