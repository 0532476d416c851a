//! The step between fork and exec: the only unsafe code of this room.
//!
//! It is there for what the standard library cannot do alone. The program dies with its worker, because the child asks
//! the kernel for that before it becomes the program. It is never run by a shell: the C library's `execvp`, which the
//! standard library ends in, hands a file that the kernel does not know to `/bin/sh`; `execve` reports it. It gets
//! descriptor 3, its limits and its user. All memory that the child touches is made before the fork.
#![allow(unsafe_code)]

use rustix::fs::{fchown, fstat};
use rustix::io::{Errno, FdFlags, dup2, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Gid, Resource, Rlimit, Signal, Uid, getpid, getppid, set_parent_process_death_signal};
use rustix::process::{setpriority_process, setrlimit, setsid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::ffi::{CString, c_char, c_int};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Child;

unsafe extern "C" {
    fn execve(path: *const c_char, argv: *const *const c_char, envp: *const *const c_char) -> c_int;
}

/// The descriptor on which a program writes its result, or from which a stream takes its tokens.
const THIRD: RawFd = 3;

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
    fn exec(&self) -> Errno {
        // SAFETY: the path ends in a null byte, both arrays in a null pointer, and `self` outlives the call.
        unsafe { execve(self.path.as_ptr(), self.argv.pointers.as_ptr(), self.env.pointers.as_ptr()) };
        Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
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

/// What holds for the child before it becomes the program.
pub(super) struct Terms {
    /// Its priority on the processor: -20 (most) to 19.
    pub(super) nice: Option<i32>,
    /// Whom it becomes.
    pub(super) person: Option<Person>,
    /// The limit of its address space, in bytes.
    pub(super) memory: Option<Rlimit>,
    /// The limit of its processor time, in seconds.
    pub(super) cpu: Option<Rlimit>,
}

/// Another user.
pub(super) struct Person {
    pub(super) uid: Uid,
    pub(super) gid: Gid,
    pub(super) groups: Vec<Gid>,
}

/// Where a start came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Before the child's own steps: the pipes, the fork, the folder.
    Fork,
    /// Its priority on the processor.
    Nice,
    /// Its user.
    User,
    /// Its limits.
    Limits,
    /// Tying it to its worker, and its descriptors.
    Tie,
    /// Becoming the program.
    Exec,
}

const STEPS: [Step; 6] = [Step::Fork, Step::Nice, Step::User, Step::Limits, Step::Tie, Step::Exec];

/// The standard library carries one number from the child to its parent: the step stands above the error's own.
const STEP_SHIFT: u32 = 16;

/// A start that failed.
#[derive(Debug)]
pub(super) struct Halt {
    pub(super) step: Step,
    pub(super) error: io::Error,
}

impl Halt {
    fn at(step: Step) -> impl Fn(Errno) -> io::Error {
        move |errno| io::Error::from_raw_os_error(errno.raw_os_error() | ((step as i32) << STEP_SHIFT))
    }
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Halt {
        let Some(raw) = error.raw_os_error() else { return Halt { step: Step::Fork, error } };
        let step = usize::try_from(raw >> STEP_SHIFT).ok().and_then(|step| STEPS.get(step));
        let error = io::Error::from_raw_os_error(raw & ((1 << STEP_SHIFT) - 1));
        Halt { step: step.copied().unwrap_or(Step::Fork), error }
    }
}

/// What a program has its third descriptor for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Third {
    /// To write to; we read.
    Out,
    /// To read from; we write, and may read as well.
    In,
}

/// Our ends of the pipe that is the third descriptor of a program.
pub(super) struct Ours {
    pub(super) read: OwnedFd,
    /// Only of one that the program reads from.
    pub(super) write: Option<OwnedFd>,
}

/// Starts `image` with the pipes and the folder of `process`, whose own program is never run, in a session and a process
/// group of its own. Answers the
/// child, and our ends of its third pipe. The error is that of the first step that failed, `execve` included.
/// `body`, which is close-on-exec here, is inherited by the program alone.
pub(super) fn launch(
    process: &mut std::process::Command,
    image: Image,
    terms: Terms,
    body: Option<OwnedFd>,
    third: Third,
) -> Result<(Child, Ours), Halt> {
    let body = body.map(not_the_third).transpose()?;
    let (ours, door) = Door::open(third)?;
    let foreign = foreign();
    let worker = getpid();
    let become_program = move || {
        // A group of its own, by which it is signalled; and no terminal, into which a program of another user could put
        // words for the shell of whoever started the worker there.
        setsid().map_err(Halt::at(Step::Tie))?;
        terms.take_on(&door)?;
        // After the change of the user, which would undo it.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(Halt::at(Step::Tie))?;
        // The worker may have died before the line above; then nobody would kill this child.
        if getppid() != Some(worker) {
            return Err(Halt::at(Step::Tie)(Errno::SRCH));
        }
        for number in &foreign {
            // SAFETY: the number is only handed to `fcntl`, which answers that it is closed if it is.
            let _ = fcntl_setfd(unsafe { BorrowedFd::borrow_raw(*number) }, FdFlags::CLOEXEC);
        }
        door.hand_over().map_err(Halt::at(Step::Tie))?;
        if let Some(body) = &body {
            fcntl_setfd(body, FdFlags::empty()).map_err(Halt::at(Step::Tie))?;
        }
        Err(Halt::at(Step::Exec)(image.exec()))
    };
    // SAFETY: the closure runs after fork in a process that may have had other threads. It makes system calls and reads
    // memory that was made before; it neither allocates nor locks (an error here is a number without memory of its own).
    unsafe { process.pre_exec(become_program) };
    Ok((process.spawn()?, ours))
}

impl Terms {
    /// In the child: lowers what it may do, what needs rights first.
    fn take_on(&self, door: &Door) -> io::Result<()> {
        if let Some(nice) = self.nice {
            setpriority_process(None, nice).map_err(Halt::at(Step::Nice))?;
        }
        if let Some(person) = &self.person {
            // So that it may open them by their names (/dev/stderr). They are pipes that were made for it alone.
            let own = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr(), door.end.as_fd()];
            for pipe in own {
                fchown(pipe, Some(person.uid), Some(person.gid)).map_err(Halt::at(Step::User))?;
            }
            let Person { uid, gid, groups } = person;
            // Those of the one thread that a process has after fork.
            set_thread_groups(groups).map_err(Halt::at(Step::User))?;
            set_thread_res_gid(*gid, *gid, *gid).map_err(Halt::at(Step::User))?;
            set_thread_res_uid(*uid, *uid, *uid).map_err(Halt::at(Step::User))?;
        }
        for (resource, limit) in [(Resource::Cpu, self.cpu), (Resource::As, self.memory)] {
            if let Some(limit) = limit {
                setrlimit(resource, limit).map_err(Halt::at(Step::Limits))?;
            }
        }
        Ok(())
    }
}

/// The third descriptor of a program: its end of a pipe, and what descriptor 3 was when it was made.
///
/// The standard library keeps a pipe of its own through the fork, by which it learns of errors. If that had the number 3,
/// replacing it would make a failed start look like a program that ran. So 3 is taken by us if it is free; if it is
/// somebody else's, the child sees that it still is what it was, for another thread may have closed it in between.
struct Door {
    end: OwnedFd,
    before: (u64, u64),
}

impl Door {
    /// Our ends, and the door.
    fn open(third: Third) -> Result<(Ours, Door), Halt> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from)?;
        let (end, write) = match third {
            // Closes the number that it had before, which may have been 3.
            Third::Out => (fcntl_dupfd_cloexec(write, THIRD), None),
            Third::In => (fcntl_dupfd_cloexec(&read, THIRD), Some(write)),
        };
        let end = end.map_err(io::Error::from)?;
        let before = Door::identity().map_err(io::Error::from)?;
        Ok((Ours { read, write }, Door { end, before }))
    }

    /// What descriptor 3 is.
    fn identity() -> Result<(u64, u64), Errno> {
        // SAFETY: the number is only handed to `fstat`, which answers that it is closed if it is.
        let stat = fstat(unsafe { BorrowedFd::borrow_raw(THIRD) })?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// In the child: makes its end descriptor 3, which the program inherits.
    fn hand_over(&self) -> Result<(), Errno> {
        if self.end.as_raw_fd() == THIRD {
            return fcntl_setfd(&self.end, FdFlags::empty());
        }
        if Door::identity() != Ok(self.before) {
            return Err(Errno::AGAIN);
        }
        // SAFETY: the number is open, as was just seen, in a process with one thread; it is never closed by this value.
        let mut third = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(THIRD) });
        dup2(&self.end, &mut third)
    }
}

/// Descriptors that a program would inherit though nobody here means it to: what this process was itself started with,
/// besides the three standard ones. None if the system does not list them.
fn foreign() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawFd>().ok());
    let is_inherited = |number: &RawFd| {
        // SAFETY: the number is only handed to `fcntl`, which answers that it is closed if it is.
        let flags = fcntl_getfd(unsafe { BorrowedFd::borrow_raw(*number) });
        *number > 2 && flags.is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC))
    };
    numbers.filter(is_inherited).collect()
}

/// The same open file under a number that the third pipe does not take.
fn not_the_third(file: OwnedFd) -> Result<OwnedFd, io::Error> {
    match file.as_raw_fd() > THIRD {
        true => Ok(file),
        false => Ok(fcntl_dupfd_cloexec(&file, THIRD + 1)?),
    }
}
