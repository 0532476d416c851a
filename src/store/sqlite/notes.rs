//! What the holder of a partition is doing, in memory that outlives it: the partition's lock file, mapped.
//!
//! A store to it costs a nanosecond and the kernel keeps it when the process dies, so the next holder can read which
//! task ran. The note is stamped with the epoch of its hold: one of an earlier hold counts for nothing, and so a death is
//! charged once. Beside it stands who else wants the partition.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use crate::store::Note;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::c_void;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const LENGTH: usize = 4096;

/// The layout of the file's first bytes. A new file is all zeros: no epoch, no task, nobody waiting.
#[repr(C)]
struct Page {
    epoch: AtomicI64,
    running: AtomicI64,
    wanted: AtomicU64,
    boot: AtomicU64,
}

/// The mapped lock file of a partition.
#[derive(Debug)]
pub(super) struct Notes(NonNull<Page>);

// SAFETY: the memory behind it is only ever used through atomics.
unsafe impl Send for Notes {}
// SAFETY: as above.
unsafe impl Sync for Notes {}

impl Notes {
    /// Maps a lock file, making it long enough first. Our files are never cut short while we live: a lock file that was
    /// replaced is another file.
    ///
    /// A mapping keeps the open file that it was made of, and with it that file's lock. So it is made of one of its own:
    /// however long somebody keeps the note, the hold ends when its lock is dropped.
    pub(super) fn map(lock: &File) -> Result<Notes> {
        let again = format!("/proc/self/fd/{}", lock.as_raw_fd());
        let file = File::options().read(true).write(true).open(again)?;
        if file.metadata()?.len() < LENGTH as u64 {
            file.set_len(LENGTH as u64)?;
        }
        // SAFETY: the kernel chooses the address, so no memory of ours is replaced.
        let address = unsafe {
            mmap(std::ptr::null_mut(), LENGTH, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, &file, 0)?
        };
        let page = NonNull::new(address.cast::<Page>());
        Ok(Notes(page.ok_or_else(|| Error::failed("a lock file could not be mapped"))?))
    }

    fn page(&self) -> &Page {
        // SAFETY: the mapping is as long as the page and lives as long as `self`; any bytes are valid integers.
        unsafe { self.0.as_ref() }
    }

    /// The task that ran when the holder at `epoch` died; `None` when none did, or the note is of another hold, or of
    /// another `boot`: then the machine went down with the holder, and the task is not to blame.
    pub(super) fn left_by(&self, epoch: i64, boot: u64) -> Option<i64> {
        let page = self.page();
        let running = page.running.load(Ordering::Acquire);
        let same = page.epoch.load(Ordering::Acquire) == epoch && page.boot.load(Ordering::Acquire) == boot;
        (running != 0 && same).then_some(running)
    }

    /// Begins the notes of a hold.
    pub(super) fn begin(&self, epoch: i64, boot: u64) {
        let page = self.page();
        page.running.store(0, Ordering::Release);
        page.boot.store(boot, Ordering::Release);
        page.epoch.store(epoch, Ordering::Release);
    }

    /// Says that worker `index` waits for the partition.
    pub(super) fn want(&self, index: u32) {
        self.page().wanted.fetch_or(1 << (index % 64), Ordering::AcqRel);
    }
}

impl Note for Notes {
    fn starts(&self, task: i64) {
        self.page().running.store(task, Ordering::Release);
    }

    fn ends(&self) {
        self.page().running.store(0, Ordering::Release);
    }

    fn is_wanted(&self) -> bool {
        self.page().wanted.load(Ordering::Acquire) != 0
    }

    fn take_wanted(&self) -> u64 {
        self.page().wanted.swap(0, Ordering::AcqRel)
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that `map` made, and nobody can use it after this.
        let unmapped = unsafe { munmap(self.0.as_ptr().cast::<c_void>(), LENGTH) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours can be given back");
    }
}
