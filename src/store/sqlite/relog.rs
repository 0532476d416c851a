//! What a failed sync asks for: the bytes of the log are written once more.
//!
//! When a sync fails, the kernel may forget what was to be written. It is read as before while the machine is up, and the
//! next sync says that all is well; but it is not on the disk. What every transaction has synced for itself is safe then,
//! because the one whose sync failed is called again and written again. Those that were not synced one by one
//! (durability `normal`) would be a hole in the log, which ends it for whoever reads it after a power cut: what came later
//! is lost whether it was synced or not, and a checkpoint that the cut has broken off cannot be made good. Once they are
//! written again, the next sync that succeeds means what it says.
#![allow(unsafe_code)]

use rusqlite::{Connection, Error, Result, ffi};
use std::ffi::c_int;
use std::ptr::null_mut;

/// Lengths of the log's header and of the header of each frame, in bytes ("WAL-mode File Format", sqlite.org).
const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Where their salts are: a frame with other ones is of an earlier round, and so is everything behind it.
const SALTS: std::ops::Range<usize> = 16..24;
const FRAME_SALTS: std::ops::Range<usize> = 8..16;

/// Whether an answer says that a sync has failed.
pub(super) fn sync_failed<T>(answer: &Result<T>) -> bool {
    let of = |e: &Error| e.sqlite_error().map(|e| e.extended_code);
    answer.as_ref().err().and_then(of) == Some(ffi::SQLITE_IOERR_FSYNC)
}

/// Writes the log again as it is read, by the handle that SQLite has on it: opening the file by hand is not needed. Only
/// within a write transaction, which keeps everybody else from writing to the log or cutting it.
pub(super) fn write_again(conn: &Connection) -> Result<()> {
    let mut file: *mut ffi::sqlite3_file = null_mut();
    // SAFETY: the connection is open, and this call puts a pointer to its open log where it is told.
    let code = unsafe {
        let place = (&raw mut file).cast();
        ffi::sqlite3_file_control(conn.handle(), c"main".as_ptr(), ffi::SQLITE_FCNTL_JOURNAL_POINTER, place)
    };
    well(code)?;
    // SAFETY: SQLite keeps the log open as long as the connection is in this transaction; a file without methods is closed.
    let Some(methods) = (unsafe { file.as_ref().and_then(|file| file.pMethods.as_ref()) }) else { return Ok(()) };
    let (Some(size_of), Some(read), Some(write)) = (methods.xFileSize, methods.xRead, methods.xWrite) else {
        return Ok(());
    };
    let mut length = 0;
    // SAFETY: the file is open.
    well(unsafe { size_of(file, &mut length) })?;
    // SAFETY: the file is open, and what is read and written is as long as it says.
    let load = |bytes: &mut [u8], at| well(unsafe { read(file, bytes.as_mut_ptr().cast(), bytes.len() as c_int, at) });
    // SAFETY: as above.
    let store = |bytes: &[u8], at| well(unsafe { write(file, bytes.as_ptr().cast(), bytes.len() as c_int, at) });
    if length < HEADER as i64 {
        return Ok(());
    }
    let mut header = [0; HEADER];
    load(&mut header, 0)?;
    store(&header, 0)?;
    let page = u32::from_be_bytes([header[8], header[9], header[10], header[11]]) as usize;
    let mut frame = vec![0; FRAME_HEADER + page];
    let mut at = HEADER as i64;
    while at + frame.len() as i64 <= length {
        load(&mut frame, at)?;
        if frame[FRAME_SALTS] != header[SALTS] {
            break;
        }
        store(&frame, at)?;
        at += frame.len() as i64;
    }
    Ok(())
}

fn well(code: c_int) -> Result<()> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(Error::SqliteFailure(ffi::Error::new(code), None)) }
}
