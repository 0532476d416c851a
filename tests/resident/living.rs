//! The shipped units under a systemd that runs.
//!
//! What would be found here: a service that is never seen as ready, a reload that systemd waits for in vain, a stop that
//! leaves workers or kills them, a timer whose ticks end the workers that they have started.
//!
//! Left out of the units, since this systemd is a user's: `User=`. Their sandbox is the shipped one.

use super::cage::Systemd;
use crate::installation::{BOUND, Installation, alive, signal, within};
use rustix::process::Signal;
use std::path::Path;

const JOB: &str = "[[job]]\nname = \"more\"\ncommand = [\"true\"]\n";

/// An installation outside of /tmp, which the sandbox hides.
fn installation() -> Installation {
    Installation::on(Path::new(env!("CARGO_TARGET_TMPDIR")), "workers = 2\n")
}

/// A shipped unit, of this program in this folder.
fn shipped(here: &Installation, name: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/systemd").join(name)).unwrap();
    text.replace("/usr/local/bin/rowmill", env!("CARGO_BIN_EXE_rowmill"))
        .replace("/srv/shop", here.folder().to_str().unwrap())
        .replace("User=shop\n", "")
}

#[test]
fn the_service_starts_reloads_survives_and_stops() {
    let Some(systemd) = Systemd::start() else { return };
    let here = installation();
    systemd.unit("rowmill.service", &shipped(&here, "rowmill.service"));
    systemd.ctl(&["start", "rowmill.service"]).well();
    let main = systemd.show("rowmill.service", "MainPID");
    assert_eq!(systemd.show("rowmill.service", "ActiveState"), "active", "start waits until it is ready");
    within(BOUND, "the status line", || {
        (systemd.show("rowmill.service", "StatusText") == "2 workers alive").then_some(())
    });
    let workers = here.await_workers(2);

    here.write("rowmill.toml", &format!("workers = 2\n{JOB}"));
    systemd.ctl(&["reload", "rowmill.service"]).well();
    within(BOUND, "the configuration to be read", || (here.lines("replaced one by one") == 1).then_some(()));
    within(BOUND, "systemd to see the end of it", || {
        (systemd.show("rowmill.service", "ActiveState") == "active").then_some(())
    });
    here.insert(2, "more", "");
    within(BOUND, "the new job to run", || (here.done() == 2).then_some(()));
    assert_eq!(systemd.show("rowmill.service", "MainPID"), main);
    let renewed = within(BOUND, "all to be replaced", || {
        Some(here.workers()).filter(|w| w.len() == 2 && w.iter().all(|(index, pid)| workers[index] != *pid))
    });

    signal(main.parse().unwrap(), Signal::KILL);
    within(BOUND, "another one", || {
        let there = systemd.show("rowmill.service", "MainPID");
        (there != main && there != "0" && systemd.show("rowmill.service", "ActiveState") == "active").then_some(())
    });
    assert_eq!(here.workers(), renewed, "they outlive the scheduler that was killed");

    systemd.ctl(&["stop", "rowmill.service"]).well();
    let state = |property| systemd.show("rowmill.service", property);
    assert_eq!((state("ActiveState"), state("Result")), ("inactive".to_string(), "success".to_string()));
    assert!(here.processes().is_empty(), "{:?}", here.workers());
}

#[test]
fn the_workers_of_a_tick_outlive_it() {
    let Some(systemd) = Systemd::start() else { return };
    let here = installation();
    systemd.unit("rowmill-tick.service", &shipped(&here, "rowmill-tick.service"));
    let timer = shipped(&here, "rowmill-tick.timer");
    assert!(timer.contains("\nOnCalendar=*-*-* *:*:00\n"), "{timer}");
    // Each second instead of each minute.
    systemd.unit("rowmill-tick.timer", &timer.replace("*:*:00", "*:*:*"));
    systemd.ctl(&["start", "rowmill-tick.timer"]).well();
    let workers = here.await_workers(2);
    let ticks = || systemd.show("rowmill-tick.service", "InvocationID");
    for _ in 0..2 {
        let last = ticks();
        within(BOUND, "the next tick", || (ticks() != last).then_some(()));
    }
    systemd.ctl(&["stop", "rowmill-tick.timer"]).well();
    let state = |property| systemd.show("rowmill-tick.service", property);
    within(BOUND, "the last tick to end", || (state("ActiveState") == "inactive").then_some(()));
    assert_eq!(state("Result"), "success");
    assert_eq!(here.workers(), workers);
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", workers[&0])).unwrap();
    assert!(groups.contains("rowmill-tick.service"), "systemd counts them to the tick: {groups}");
    here.insert(3, "noop", "");
    within(BOUND, "the rows to be done", || (here.done() == 3).then_some(()));
    here.run(&["stop"]).well();
    assert!(!workers.values().any(|pid| alive(*pid)));
}
