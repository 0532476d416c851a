//! SQLite's own clock, which defaults and triggers ask: in a world it shows the world's time.

use super::world::Simulated;
use crate::clock::{Clock, world};
use rusqlite::ffi::{SQLITE_OK, sqlite3_vfs, sqlite3_vfs_find, sqlite3_vfs_register};
use std::ffi::c_int;
use std::sync::Once;

/// The Julian day of 1970-01-01, in milliseconds.
const EPOCH_MS: i64 = 210_866_760_000_000;

/// From here on every connection of this process asks here.
pub(super) fn follow_the_world() {
    static FIRST: Once = Once::new();
    FIRST.call_once(register);
}

/// A copy of the usual layer over the file system, with another clock.
#[allow(unsafe_code, reason = "there is no other way to set SQLite's clock")]
fn register() {
    // SAFETY: the default layer is static and never unregistered; its copy is leaked, and shares its functions and data,
    // none of which keep an address of the layer itself.
    let registered = unsafe {
        let mut layer = *sqlite3_vfs_find(std::ptr::null());
        layer.zName = c"of-the-world".as_ptr();
        layer.xCurrentTimeInt64 = Some(now);
        sqlite3_vfs_register(Box::leak(Box::new(layer)), 1)
    };
    assert_eq!(registered, SQLITE_OK);
}

#[allow(unsafe_code, reason = "called by SQLite")]
unsafe extern "C" fn now(_layer: *mut sqlite3_vfs, answer: *mut i64) -> c_int {
    let of_the_world = world::here().and_then(|(world, _)| {
        let simulated = world.as_any().downcast_ref::<Simulated>();
        simulated.map(|simulated| simulated.clock.now_ms())
    });
    let ms = of_the_world.unwrap_or_else(|| Clock::System.now_ms());
    // SAFETY: SQLite hands over a place for the answer.
    unsafe { *answer = EPOCH_MS + ms };
    SQLITE_OK
}
