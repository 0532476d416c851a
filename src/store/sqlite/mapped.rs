//! A page of a file, mapped into memory and shared by all processes that map it.
//!
//! A store to it costs a nanosecond, and the kernel keeps it when the process dies. The page is only ever used through
//! atomics, so that any bytes are valid and no reader needs a lock. The file stays open for the mapping alone: a lock on
//! another opening of it ends when that is dropped, however long the mapping lives.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;
use std::sync::atomic::AtomicI64;

/// The length of the mapping, in bytes.
const LENGTH: usize = 4096;
/// How many words of it are used.
pub(super) const WORDS: usize = 72;

/// The first words of a mapped file.
#[derive(Debug)]
pub(super) struct Mapped(NonNull<[AtomicI64; WORDS]>);

// SAFETY: the memory behind it is only ever used through atomics.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps a file that is open for reading and writing, making it long enough first: a new one is all zeros. Our files
    /// are never cut short while somebody maps them. An error of kind `TryAgain` says that the disk is full.
    pub(super) fn new(file: &File) -> Result<Mapped> {
        let found = file.metadata()?;
        if found.len() < LENGTH as u64 || found.blocks() == 0 {
            make_room(file)?;
        }
        // SAFETY: the kernel chooses the address, so no memory of ours is replaced.
        let address = unsafe {
            mmap(std::ptr::null_mut(), LENGTH, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)?
        };
        let words = NonNull::new(address.cast::<[AtomicI64; WORDS]>());
        Ok(Mapped(words.ok_or_else(|| Error::failed("a file of the run folder could not be mapped"))?))
    }

    /// Maps a lock file by an opening of its own: a mapping keeps the open file that it was made of, and with it that file's
    /// lock. Errors: as with [`Mapped::new`], and when no descriptor is to be had.
    pub(super) fn apart_from(lock: &impl AsRawFd) -> Result<Mapped> {
        let again = format!("/proc/self/fd/{}", lock.as_raw_fd());
        let file = File::options().read(true).write(true).open(again);
        Mapped::new(&file.map_err(|e| Error::from(e).during("a lock file cannot be opened a second time"))?)
    }

    /// The words.
    pub(super) fn words(&self) -> &[AtomicI64; WORDS] {
        // SAFETY: the mapping is longer than the words, aligned to a page, and lives as long as `self`; any bytes are
        // valid integers.
        unsafe { self.0.as_ref() }
    }
}

/// Gives the file its length, and a place on the disk: where that is full, a store to a page without one would end the
/// process (SIGBUS).
fn make_room(file: &File) -> Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, LENGTH as u64) {
        Ok(()) => Ok(()),
        Err(Errno::NOSPC | Errno::DQUOT) => {
            Err(Error::try_again("the disk is full").hint("it goes on when there is room again"))
        }
        // A file system that cannot promise room.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(file.set_len(LENGTH as u64)?),
        Err(e) => Err(e.into()),
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `new` made, and nobody can use it after this.
        let unmapped = unsafe { munmap(self.0.as_ptr().cast::<c_void>(), LENGTH) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours can be given back");
    }
}
