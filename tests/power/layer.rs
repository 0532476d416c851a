//! The layer under SQLite: its calls go on to SQLite's own VFS, past the [`Disk`] of the folder that a file lies in.
//!
//! It is the default of this process. A file in a folder without a disk is opened by SQLite's own VFS and never seen here
//! again. Shared memory and locks go on as they are, so that several connections work as they always do. Memory-mapped
//! reading is not offered; SQLite reads through calls then.
#![allow(unsafe_code, reason = "SQLite knows a VFS as a table of C functions")]

use super::disk::{Call, Disk, File, Verdict};
use rusqlite::ffi;
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};

/// An open file: ours, with SQLite's own right behind it.
#[repr(C)]
struct Layered {
    base: ffi::sqlite3_file,
    handle: *mut Handle,
}

/// What is known of an open file.
struct Handle {
    disk: Arc<Disk>,
    file: File,
    /// The first sync of a new log or journal syncs its folder too (`UNIXFILE_DIRSYNC` in SQLite's os_unix.c).
    syncs_folder: bool,
}

/// SQLite's own VFS.
struct Below(*mut ffi::sqlite3_vfs);
// SAFETY: SQLite never changes a VFS once it is registered, and uses it from every thread.
unsafe impl Send for Below {}
// SAFETY: as above.
unsafe impl Sync for Below {}

static BELOW: LazyLock<Below> = LazyLock::new(|| {
    // SAFETY: the default VFS is there before and after; ours is a copy of it that lives for ever.
    unsafe {
        let below = ffi::sqlite3_vfs_find(std::ptr::null());
        assert!(!below.is_null());
        let mut ours = *below;
        ours.szOsFile += size_of::<Layered>() as c_int;
        ours.pNext = std::ptr::null_mut();
        ours.zName = c"power".as_ptr();
        ours.xOpen = Some(open);
        ours.xDelete = Some(delete);
        ours.xAccess = Some(access);
        assert_eq!(ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1), ffi::SQLITE_OK);
        Below(below)
    }
});

static DISKS: LazyLock<Mutex<HashMap<PathBuf, Arc<Disk>>>> = LazyLock::new(Mutex::default);

/// Puts a disk under a folder; what is opened in it from now on goes past that disk.
pub(crate) fn insert(folder: &Path, disk: &Arc<Disk>) {
    LazyLock::force(&BELOW);
    DISKS.lock().unwrap().insert(folder.canonicalize().unwrap(), Arc::clone(disk));
}

/// Takes the disk away again.
pub(crate) fn remove(folder: &Path) {
    DISKS.lock().unwrap().remove(&folder.canonicalize().unwrap());
}

/// The disk under a file, and the file's name.
fn disk_of(path: *const c_char) -> Option<(Arc<Disk>, String)> {
    if path.is_null() {
        return None;
    }
    // SAFETY: SQLite hands over a text that ends with a zero.
    let path = Path::new(unsafe { CStr::from_ptr(path) }.to_str().ok()?);
    let disk = Arc::clone(DISKS.lock().unwrap().get(path.parent()?)?);
    Some((disk, path.file_name()?.to_str()?.to_string()))
}

fn below() -> *mut ffi::sqlite3_vfs {
    BELOW.0
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    path: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite hands over room for `szOsFile` bytes; what lies behind ours is enough for the VFS below.
    unsafe {
        let go_on = (*below()).xOpen.unwrap();
        let Some((disk, name)) = disk_of(path) else { return go_on(below(), path, file, flags, out) };
        (*file).pMethods = std::ptr::null();
        if let Verdict::Fails(code) = disk.asked(Call::Open) {
            return code;
        }
        let code = go_on(below(), path, real(file), flags, out);
        if code == ffi::SQLITE_OK {
            let is_log = flags & (ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL) != 0;
            let syncs_folder = is_log && flags & ffi::SQLITE_OPEN_CREATE != 0;
            let mut length = 0;
            (*(*real(file)).pMethods).xFileSize.unwrap()(real(file), &mut length);
            let handle = Handle { file: disk.opened(&name, length as u64), disk, syncs_folder };
            (*file.cast::<Layered>()).handle = Box::into_raw(Box::new(handle));
            (*file).pMethods = &raw const METHODS;
        }
        code
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, path: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: the call goes on as it came.
    unsafe {
        let go_on = (*below()).xDelete.unwrap();
        let Some((disk, name)) = disk_of(path) else { return go_on(below(), path, sync_folder) };
        if let Verdict::Fails(code) = disk.asked(Call::Delete) {
            return code;
        }
        let code = go_on(below(), path, 0);
        if code == ffi::SQLITE_OK {
            disk.removed(&name, sync_folder & 1 != 0);
        }
        code
    }
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, path: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    if let Some((disk, _)) = disk_of(path)
        && let Verdict::Fails(code) = disk.asked(Call::Access)
    {
        return code;
    }
    // SAFETY: the call goes on as it came.
    unsafe { (*below()).xAccess.unwrap()(below(), path, flags, out) }
}

/// SQLite's own file behind ours.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `open` made it there.
    unsafe { file.cast::<u8>().add(size_of::<Layered>()).cast() }
}

unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: set by `open`, taken by `close`; SQLite uses a file from one thread at a time.
    unsafe { &mut *(*file.cast::<Layered>()).handle }
}

/// Asks the disk, and goes on with a method of the file below.
macro_rules! go_on {
    ($file:ident, $method:ident ( $($arg:expr),* )) => {{
        // SAFETY: the file below is open as long as ours is, and gets what we got.
        unsafe { (*(*real($file)).pMethods).$method.unwrap()(real($file), $($arg),*) }
    }};
    ($file:ident, $call:expr, $method:ident ( $($arg:expr),* )) => {{
        // SAFETY: SQLite only calls the methods of an open file.
        match unsafe { handle($file) }.disk.asked($call) {
            Verdict::GoesOn => go_on!($file, $method($($arg),*)),
            Verdict::Fails(code) | Verdict::Half(code) => code,
        }
    }};
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let code = go_on!(file, xClose());
    // SAFETY: made by `open`, and SQLite closes a file once.
    drop(unsafe { Box::from_raw((*file.cast::<Layered>()).handle) });
    code
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, into: *mut c_void, amount: c_int, at: i64) -> c_int {
    go_on!(file, Call::Read, xRead(into, amount, at))
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, amount: c_int, at: i64) -> c_int {
    // SAFETY: SQLite hands over that many bytes, and the file is open.
    let (data, handle) = unsafe { (std::slice::from_raw_parts(from.cast::<u8>(), amount as usize), handle(file)) };
    let grows = handle.disk.grows(handle.file, at as u64 + data.len() as u64);
    let (written, answer) = match handle.disk.asked(Call::Write { grows }) {
        Verdict::GoesOn => (data.len(), ffi::SQLITE_OK),
        Verdict::Half(code) => (data.len() / 2, code),
        Verdict::Fails(code) => return code,
    };
    let code = go_on!(file, xWrite(from, written as c_int, at));
    if code != ffi::SQLITE_OK {
        return code;
    }
    handle.disk.wrote(handle.file, at as u64, &data[..written]);
    answer
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    let code = go_on!(file, Call::Truncate, xTruncate(length));
    if code == ffi::SQLITE_OK {
        // SAFETY: the file is open.
        let handle = unsafe { handle(file) };
        handle.disk.cut(handle.file, length as u64);
    }
    code
}

/// Nothing is synced really: the power stays on for as long as a test runs.
unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let handle = unsafe { handle(file) };
    match handle.disk.asked(Call::Sync) {
        Verdict::GoesOn => {
            handle.disk.synced(handle.file, std::mem::take(&mut handle.syncs_folder));
            ffi::SQLITE_OK
        }
        Verdict::Fails(code) | Verdict::Half(code) => {
            handle.disk.lost(handle.file);
            code
        }
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    go_on!(file, Call::Size, xFileSize(out))
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    go_on!(file, Call::Lock, xLock(level))
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    go_on!(file, xUnlock(level))
}

unsafe extern "C" fn check_reserved(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    go_on!(file, Call::Lock, xCheckReservedLock(out))
}

unsafe extern "C" fn control(file: *mut ffi::sqlite3_file, what: c_int, arg: *mut c_void) -> c_int {
    go_on!(file, xFileControl(what, arg))
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    go_on!(file, xSectorSize())
}

unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    go_on!(file, xDeviceCharacteristics())
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    go_on!(file, Call::ShmMap, xShmMap(page, size, extend, out))
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, offset: c_int, n: c_int, flags: c_int) -> c_int {
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        return go_on!(file, xShmLock(offset, n, flags));
    }
    go_on!(file, Call::ShmLock, xShmLock(offset, n, flags))
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    go_on!(file, xShmBarrier());
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    go_on!(file, xShmUnmap(delete))
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
