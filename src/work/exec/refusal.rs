//! The words for a program that could not be started.
//!
//! The kernel answers with a number that stands for many mistakes ("no such file" is also said of a script whose
//! interpreter is missing), so the files are looked at again to say which of them it was. They may have changed since;
//! then the number's own text is what is left.

use rustix::fs::Access;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why `path` could not be started in the folder `cwd`, and what to mend.
pub(super) fn refusal(error: &io::Error, cwd: &Path, path: &Path) -> String {
    if let Some(why) = folder_refusal(cwd) {
        return why;
    }
    // What the child resolved was relative to its folder.
    let file = cwd.join(path);
    let shown = file.display();
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => missing(&file),
        Some(Errno::ACCESS) if file.is_dir() => format!("`{shown}` is a folder, not a program"),
        Some(Errno::ACCESS) if file.is_file() && rustix::fs::access(&file, Access::EXEC_OK).is_err() => {
            format!("`{shown}` is not executable; run: chmod +x {shown}")
        }
        Some(Errno::ACCESS) => format!(
            "`{shown}` may not be started ({error}); look at the folders above it, the interpreter in its first line, \
             and whether its file system is mounted noexec"
        ),
        Some(Errno::NOEXEC) => format!(
            "`{shown}` is not a program that this machine can run; a script needs a first line such as #!/bin/sh"
        ),
        Some(Errno::TOOBIG) => format!(
            "the arguments and the environment of `{shown}` are larger than the kernel takes; \
             read the param from stdin instead"
        ),
        Some(Errno::TXTBSY) => format!("`{shown}` is open for writing; replace it by renaming a new file over it"),
        Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => format!(
            "the system refused another process or its pipes for `{shown}`: {error}; \
             look at ulimit -u, ulimit -n and the free memory"
        ),
        _ => format!("`{shown}` could not be started: {error}"),
    }
}

fn folder_refusal(cwd: &Path) -> Option<String> {
    let shown = cwd.display();
    match cwd.metadata() {
        Err(e) => Some(format!("its working folder `{shown}` cannot be used: {e}; create it, or mend `cwd`")),
        Ok(what) if !what.is_dir() => Some(format!("its working folder `{shown}` is not a folder; mend `cwd`")),
        Ok(_) if rustix::fs::access(cwd, Access::EXEC_OK).is_err() => {
            Some(format!("its working folder `{shown}` may not be entered; run: chmod +x {shown}"))
        }
        Ok(_) => None,
    }
}

/// "No such file": the file itself, or what runs it.
fn missing(file: &Path) -> String {
    let shown = file.display();
    if !file.exists() {
        return format!("`{shown}` does not exist; mend `command`, or put the program there");
    }
    match interpreter(file) {
        Some(line) if line.ends_with('\r') => format!(
            "the first line of `{shown}` ends in a carriage return, so its interpreter is not found; \
             save it with Unix line ends"
        ),
        Some(line) => {
            format!(
                "the interpreter of `{shown}` does not exist: `{}`; mend its first line, or install it",
                line.trim()
            )
        }
        None => format!("what `{shown}` needs to be loaded does not exist; is it built for this machine?"),
    }
}

/// What follows `#!` in the first line; at most what the kernel looks at.
fn interpreter(file: &Path) -> Option<String> {
    let mut start = Vec::new();
    File::open(file).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.split(|byte| *byte == b'\n').next()?.strip_prefix(b"#!")?;
    Some(String::from_utf8_lossy(line).into_owned())
}
