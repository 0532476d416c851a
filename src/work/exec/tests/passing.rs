//! Starts that the machine refuses for the moment: nobody is charged for them, and nothing is left behind.
//!
//! Each runs in a process of its own, whose limits it can lower.

use super::alone::{alone, assert_no_children, descriptors};
use super::*;
use crate::work::exec::launch::{Halt, Step};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn lower(resource: Resource, to: u64) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: Some(to), maximum }).unwrap();
}

fn not_now(command: &Command) -> String {
    let seen = run_it(command, b"param");
    let Ending::NotNow(why) = seen.ending else { panic!("{:?}", seen.ending) };
    assert!(seen.lines.is_empty());
    why
}

#[test]
fn without_descriptors_it_is_put_off() {
    alone("passing::without_descriptors_it_is_put_off", || {
        let before = descriptors();
        let most = getrlimit(Resource::Nofile).current.unwrap();
        let (mut refused, mut ran) = (0, false);
        // From too few for the first pipe to enough for all of them. Two are the test's own. The limit is the number
        // of the first descriptor that cannot be had, wherever those lie that the test was started with.
        let mut free = (0..most).filter(|number| !before.contains_key(&number.to_string()));
        free.next();
        for more in 2..30 {
            lower(Resource::Nofile, 1 + free.next().unwrap());
            let ending = run_it(&sh("exit 0"), b"").ending;
            match ending {
                Ending::NotNow(why) if !ran => {
                    refused += 1;
                    assert!(why.contains("Too many open files") && why.contains("ulimit -n"), "{why}");
                }
                ending => {
                    assert_eq!(ending, done(), "with {more} more");
                    ran = true;
                }
            }
        }
        lower(Resource::Nofile, most);
        assert!(refused >= 5 && ran, "{refused}");
        assert_eq!(descriptors(), before);
        assert_no_children();
    });
}

#[test]
fn without_processes_it_is_put_off() {
    if !is_root() {
        return;
    }
    alone("passing::without_processes_it_is_put_off", || {
        // Root is not bound by it; a user who has a process already is.
        let as_nobody = |script: &str| Command { user: Some(User::parse("nobody").unwrap()), ..sh(script) };
        let mut why = String::new();
        let first = run_with(&as_nobody("echo ready; exec sleep 1000"), b"", &patient(), |_, stop| {
            lower(Resource::Nproc, 0);
            why = not_now(&as_nobody("exit 0"));
            stop.write_all(b"x").unwrap();
        });
        assert_eq!(first.ending, Ending::Interrupted);
        assert!(why.contains("Resource temporarily unavailable") && why.contains("ulimit -u"), "{why}");
        assert_no_children();
    });
}

#[test]
fn what_passes_is_told_from_what_has_to_be_mended() {
    let command = sh("exit 0");
    let said = |step, errno: Errno, command: &Command| {
        let error = std::io::Error::from_raw_os_error(errno.raw_os_error());
        refusal::refusal(&Halt { step, error }, command, Path::new("/bin/sh"))
    };
    for errno in [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE] {
        for step in [Step::Fork, Step::Tie, Step::Exec] {
            assert!(matches!(said(step, errno, &command), Refusal::Passing(_)), "{step:?} {errno}");
        }
    }
    for errno in [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC, Errno::PERM, Errno::IO, Errno::TXTBSY, Errno::TOOBIG] {
        assert!(matches!(said(Step::Exec, errno, &command), Refusal::Broken(_)), "{errno}");
    }
    let limits = Limits { memory_bytes: Some(4_096), nice: Some(-3), ..Limits::default() };
    let small = Command { limits, user: Some(User::parse("nobody").unwrap()), ..command };
    let Refusal::Broken(why) = said(Step::Exec, Errno::NOMEM, &small) else { panic!("its own limit does not pass") };
    assert!(why.contains("does not even start with 4KB; raise `memory`"), "{why}");
    assert!(matches!(said(Step::Fork, Errno::NOMEM, &small), Refusal::Passing(_)));
    for (step, words) in [(Step::Nice, "`nice = -3`"), (Step::User, "the user `nobody`"), (Step::Limits, "its limits")]
    {
        let Refusal::Broken(why) = said(step, Errno::PERM, &small) else { panic!("{step:?}") };
        assert!(why.contains(words) && why.contains("Operation not permitted"), "{why}");
    }
}
