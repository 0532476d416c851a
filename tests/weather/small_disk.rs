//! A small disk of a test's own: a file system in memory, mounted where only one thread and its children see it.
#![allow(unsafe_code)]

use crate::needs;
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs `body` with a disk of so many MiB, in a thread that has a mount namespace of its own. Leaves it out, and says so,
/// where that cannot be had.
pub(super) fn on_a_small_disk(mib: u32, body: impl FnOnce(&Path) + Send) {
    let is_root = rustix::process::geteuid().is_root();
    if !needs::that(is_root, "root", "run it as root") || !needs::tool("mount") {
        return;
    }
    let folder = tempfile::Builder::new().prefix("rowmill-disk-").tempdir().unwrap();
    let path = folder.path();
    // Named like the test: it is what a test that is left out calls itself.
    let name = std::thread::current().name().unwrap_or("disk").to_string();
    let in_own_namespace = move || {
        // SAFETY: only the mounts that this thread sees are parted from those of the others; no memory, no descriptor.
        let parted = unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.is_ok()
            && mount(&["--make-rprivate", "/"])
            && mount(&["-t", "tmpfs", "-o", &format!("size={mib}m,mode=0755"), "rowmill-test", path.to_str().unwrap()]);
        if needs::that(parted, "mount-namespace", "run it on a machine or in a container that may mount") {
            body(path);
        }
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, in_own_namespace).unwrap();
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn mount(args: &[&str]) -> bool {
    let mut command = Command::new("mount");
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
