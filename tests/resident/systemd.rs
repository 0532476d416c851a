//! What systemd is told, by a real datagram socket.
//!
//! What would be found here: a service that is never ready, or before it is; a watchdog that is not fed; workers that speak
//! in its name.

use crate::installation::{BOUND, Installation, Running, signal, terminate, to_its_end, within};
use crate::needs;
use rustix::process::Signal;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Stdio;

fn start(here: &Installation, socket: &UnixDatagram, name: &str) -> Running {
    socket.set_read_timeout(Some(BOUND)).unwrap();
    let mut command = here.command(&["run"]);
    command.env("NOTIFY_SOCKET", name).env("WATCHDOG_USEC", "20000000");
    Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

/// The next message that has this line, as a whole.
fn await_line(socket: &UnixDatagram, line: &str) -> String {
    let mut bytes = [0; 4096];
    loop {
        let length = socket.recv(&mut bytes).expect("it is told");
        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
        if text.lines().any(|l| l == line) {
            return text;
        }
    }
}

#[test]
fn it_is_told_what_happens() {
    let here = Installation::new("workers = 1\n");
    let path = here.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let mut run = start(&here, &socket, path.to_str().unwrap());
    let ready = await_line(&socket, "READY=1");
    assert_eq!(ready, "READY=1\nSTATUS=1 worker alive");
    let worker = here.await_workers(1)[&0];
    let environment = std::fs::read(format!("/proc/{worker}/environ")).unwrap();
    let names: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
    assert!(!names.iter().any(|name| name.starts_with(b"NOTIFY_SOCKET=") || name.starts_with(b"WATCHDOG_")));
    await_line(&socket, "WATCHDOG=1");
    signal(run.pid(), Signal::HUP);
    await_line(&socket, "RELOADING=1");
    await_line(&socket, "READY=1");
    here.run(&["stop"]).well();
    await_line(&socket, "STATUS=stopped by a person; 0 workers left");
    terminate(run.pid());
    await_line(&socket, "STOPPING=1");
    assert_eq!(run.code(), Some(0));
}

#[test]
fn an_abstract_name_does_too() {
    let here = Installation::new("workers = 1\n");
    let name = format!("rowmill-test-{}", here.folder().display());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let run = start(&here, &socket, &format!("@{name}"));
    await_line(&socket, "READY=1");
    drop(socket);
    // Nobody listens any more: nothing depends on it.
    here.insert(1, "noop", "");
    within(BOUND, "the row to be done", || (here.done() == 1).then_some(()));
    drop(run);
}

/// Whether systemd understands every line of the units that are shipped, with the program and the user of this test.
#[test]
fn the_units_of_the_page_are_understood() {
    if !needs::tool("systemd-analyze") {
        return;
    }
    let here = Installation::empty();
    let units = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/systemd");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(units).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            name.ends_with(".timer") || text.contains("\nKillMode=process\n"),
            "{name} would end lingering workers"
        );
        let text =
            text.replace("/usr/local/bin/rowmill", env!("CARGO_BIN_EXE_rowmill")).replace("User=shop", "User=root");
        here.write(&name, &text);
        names.push(name);
    }
    assert_eq!(names.len(), 3);
    let mut command = std::process::Command::new("systemd-analyze");
    command.arg("verify").args(names.iter().map(|name| here.path(name))).current_dir(here.folder());
    let said = to_its_end(command);
    assert!(said.code == Some(0) && said.err.is_empty(), "{said:?}");
}
