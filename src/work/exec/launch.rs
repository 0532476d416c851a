//! The step between fork and exec: the only unsafe code of this room.
//!
//! It is there for two promises that the standard library cannot keep alone. The program dies with its worker, because
//! the child asks the kernel for that before it becomes the program. And it is never run by a shell: the C library's
//! `execvp`, which the standard library ends in, hands a file that the kernel does not know to `/bin/sh`; `execve`
//! reports it. All memory that the child touches is made before the fork.
#![allow(unsafe_code)]

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use std::ffi::{CString, c_char, c_int};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Child;

unsafe extern "C" {
    fn execve(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
}

/// What the child becomes.
pub(super) struct Image {
    /// The program's file; relative to the folder that the child is started in.
    pub(super) path: CString,
    /// Its arguments, the name of the program first.
    pub(super) argv: Words,
    /// Its whole environment, as `NAME=value`.
    pub(super) env: Words,
}

impl Image {
    /// Turns this process into the program; returns only if that fails. The closure that calls it holds the whole image,
    /// the texts included, because this takes the whole image.
    fn exec(&self) -> io::Error {
        // SAFETY: the path ends in a null byte, both arrays in a null pointer, and `self` outlives the call.
        unsafe { execve(self.path.as_ptr(), self.argv.pointers.as_ptr(), self.env.pointers.as_ptr()) };
        io::Error::last_os_error()
    }
}

/// Texts in the form that `execve` wants: an array of pointers, ended by a null.
pub(super) struct Words {
    pointers: Vec<*const c_char>,
    _owned: Vec<CString>,
}

// SAFETY: the pointers lead into the heap memory of `_owned`, which moves with them, is never changed, and is freed with
// them; nobody else has them.
unsafe impl Send for Words {}
// SAFETY: as above; a shared reference only reads.
unsafe impl Sync for Words {}

impl Words {
    /// The array for these texts.
    pub(super) fn new(owned: Vec<CString>) -> Words {
        let pointers = owned.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        Words { pointers, _owned: owned }
    }
}

/// Starts `image` with the pipes, folder and process group of `process`, whose own program is never run. The error is
/// that of the first step that failed, `execve` included.
/// `body`, which is close-on-exec here, is inherited by the program alone.
pub(super) fn launch(process: &mut std::process::Command, image: Image, body: Option<OwnedFd>) -> io::Result<Child> {
    let worker = getpid();
    let become_program = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The worker may have died before the line above; then nobody would kill this child.
        if getppid() != Some(worker) {
            return Err(Errno::SRCH.into());
        }
        if let Some(body) = &body {
            fcntl_setfd(body, FdFlags::empty())?;
        }
        Err(image.exec())
    };
    // SAFETY: the closure runs after fork in a process that may have had other threads. It makes four system calls and
    // reads memory that was made before; it neither allocates nor locks.
    unsafe { process.pre_exec(become_program) };
    process.spawn()
}
