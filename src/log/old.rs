//! Old days: compressed when they are over, deleted when their time is.
//!
//! A day `rowmill-D.log` is packed piece by piece into `.rowmill-D.log.gz.part`, each piece synced before the next. When
//! all of the day is in it, the part is renamed to `rowmill-D.log.gz`, and then the day's file is removed. Whoever dies at
//! any point leaves either the day's file whole, or the `.gz` whole, or both; and the next one sees by the first bytes that
//! both hold the same day.
//!
//! *Invariant:* a file that a process may still write to stays as it is. Every process that has a day's file open has a
//! shared lock on it (the kernel's, which goes with the process); packing and removing want it alone.

use super::day::{self, Kind};
use super::pack::{self, Contents, MEMBER, Packed};
use chrono::NaiveDate;
use rustix::fs::{FlockOperation, OFlags, flock};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// So much of two files decides whether one is the other, packed.
const BEGINNING: usize = 64 * 1024;

/// Removes the day files of `dir` from before `date`, packed or not, and nothing else that lies there; with `dry` only
/// counts them. Answers how many. A folder that cannot be read has none; a file that cannot be removed, or that a process
/// still has open, is left to the next time.
pub fn remove_old(dir: &Path, date: NaiveDate, dry: bool) -> usize {
    let may_go = |kind: &Kind, path: &Path| *kind != Kind::Plain || open(path).is_ok_and(|file| alone(&file));
    let goes = |(_, kind, path): &&(NaiveDate, Kind, PathBuf)| {
        let gone = dry || (may_go(kind, path) && std::fs::remove_file(path).is_ok());
        gone && *kind != Kind::Part
    };
    files(dir).iter().filter(|(day, _, _)| *day < date).filter(goes).count()
}

/// Compresses the days of `dir` from before `date`, the earliest first. After each piece of a megabyte it asks `goes_on`
/// whether there is time for more; what is left is gone on with by the next call. Answers the days that are finished. A
/// day that a process still has open is passed over. Any number of processes may call it at once.
///
/// The packed file has the mode, the owner and the time of the day's.
pub fn compress_old(dir: &Path, date: NaiveDate, goes_on: &mut dyn FnMut() -> bool) -> io::Result<Vec<NaiveDate>> {
    let all = files(dir);
    let mut finished = Vec::new();
    let mut time_is_left = true;
    let mut result = Ok(());
    for (day, kind, path) in all.iter().filter(|(day, _, _)| *day < date) {
        let has = |other: Kind| all.iter().any(|(d, k, _)| d == day && *k == other);
        match kind {
            Kind::Plain if time_is_left => match compress(dir, *day, goes_on) {
                Ok(End::Finished) => finished.push(*day),
                Ok(End::NoTime) => time_is_left = false,
                Ok(End::LeftAlone) => {}
                // One that cannot be packed keeps no other from it.
                Err(e) => result = Err(io::Error::new(e.kind(), format!("{}: {e}", path.display()))),
            },
            // Somebody has deleted the day.
            Kind::Part if !has(Kind::Plain) => std::fs::remove_file(path)?,
            _ => {}
        }
    }
    result.map(|()| finished)
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Finished,
    NoTime,
    LeftAlone,
}

/// Opens a day's file so that it can be locked: on network file systems, only what could be written can. Never through a
/// link: root does this in folders of others too.
fn open(path: &Path) -> io::Result<File> {
    let options = |write| no_link(OpenOptions::new().read(true).write(write));
    options(true).open(path).or_else(|_| options(false).open(path))
}

fn no_link(options: &mut OpenOptions) -> OpenOptions {
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).clone()
}

/// Opens the part, or makes it; from the beginning it is the same user's as the day.
fn open_part(path: &Path, plain: &File) -> io::Result<Arc<File>> {
    let part = no_link(OpenOptions::new().read(true).append(true).create(true).mode(0o600)).open(path)?;
    let (ours, theirs) = (part.metadata()?, plain.metadata()?);
    if !ours.is_file() || ours.nlink() != 1 {
        return Err(io::Error::other(format!("{} is no file of ours", path.display())));
    }
    // Only root can; whoever else makes it is who goes on with it.
    let _ = fchown(&part, Some(theirs.uid()), Some(theirs.gid()));
    Ok(Arc::new(part))
}

/// Whether nobody else has this file open for writing; the lock stays until it is closed.
fn alone(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

fn files(dir: &Path) -> Vec<(NaiveDate, Kind, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let kinds = entries.flatten().filter_map(|entry| {
        let (date, kind) = day::kind_of(entry.file_name().to_str()?)?;
        entry.file_type().is_ok_and(|t| t.is_file()).then(|| (date, kind, entry.path()))
    });
    let mut files: Vec<_> = kinds.collect();
    files.sort();
    files
}

fn compress(dir: &Path, date: NaiveDate, goes_on: &mut dyn FnMut() -> bool) -> io::Result<End> {
    let [plain_path, packed_path, part_path] = Kind::ALL.map(|kind| dir.join(day::name_of_kind(date, kind)));
    let plain = match open(&plain_path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(End::LeftAlone),
        plain => plain?,
    };
    // Whoever was here before us may have finished it.
    if !alone(&plain) || plain.metadata()?.nlink() == 0 {
        return Ok(End::LeftAlone);
    }
    if let Some(end) = settle_double(&plain, &plain_path, &packed_path)? {
        return Ok(end);
    }
    let part = open_part(&part_path, &plain)?;
    let mut done = usable(&plain, &part)?;
    part.set_len(done.packed_len)?;
    let mut room = vec![0; MEMBER];
    loop {
        let len = plain.metadata()?.len();
        if done.len == len && done.packed_len > 0 {
            break;
        }
        let bytes = piece(&plain, done.len, &mut room)?;
        if bytes.is_empty() && len > 0 {
            // Somebody has cut it short: it is another file from now on.
            part.set_len(0)?;
            return Ok(End::LeftAlone);
        }
        let packed = pack::member(bytes)?;
        (&*part).write_all(&packed)?;
        // So that of the whole members after a power cut only the last can be unsound.
        part.sync_data()?;
        done.len += bytes.len() as u64;
        done.packed_len += packed.len() as u64;
        if done.len < len && !goes_on() {
            return Ok(End::NoTime);
        }
    }
    inherit(&plain, &part)?;
    part.sync_all()?;
    std::fs::rename(&part_path, &packed_path)?;
    File::open(dir)?.sync_all()?;
    std::fs::remove_file(&plain_path)?;
    put_back(&plain, &plain_path, done.len)?;
    Ok(End::Finished)
}

/// Decides what to do with a day that stands there packed and plain. `None` when it is (now) only plain.
fn settle_double(plain: &File, plain_path: &Path, packed_path: &Path) -> io::Result<Option<End>> {
    let packed = match File::open(packed_path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        packed => packed?,
    };
    let contents = pack::contents(&packed)?;
    let is_ours = contents.packed_len > 0 && contents.packed_len == packed.metadata()?.len();
    if !is_ours || !begins_alike(plain, &mut Packed::of(packed)?)? {
        // Lines that a process wrote whose clock was set back, or a file of somebody else's: both are left, both are read.
        return Ok(Some(End::LeftAlone));
    }
    let len = plain.metadata()?.len();
    if contents.len < len {
        // Written to after all: what is packed is only a part of it.
        std::fs::remove_file(packed_path)?;
        return Ok(None);
    }
    if contents.len > len {
        return Ok(Some(End::LeftAlone));
    }
    std::fs::remove_file(plain_path)?;
    put_back(plain, plain_path, contents.len)?;
    Ok(Some(End::Finished))
}

/// What of a part can be gone on with: whole members, and of this very file.
fn usable(plain: &File, part: &Arc<File>) -> io::Result<Contents> {
    let found = pack::contents(part)?.sound(part)?;
    part.set_len(found.packed_len)?;
    let is_of_it = found.len <= plain.metadata()?.len() && begins_alike(plain, &mut Packed::of(part.try_clone()?)?)?;
    Ok(if is_of_it { found } else { Contents::default() })
}

/// Whether the first bytes of the two are the same, as far as both have them.
pub(super) fn begins_alike(plain: &File, packed: &mut Packed) -> io::Result<bool> {
    let (mut ours, mut theirs) = ([0; 4096], [0; 4096]);
    let mut at = 0;
    while at < BEGINNING as u64 {
        let read = packed.read_at(&mut theirs, at)?;
        let there = plain.read_at(&mut ours[..read], at)?;
        if ours[..there] != theirs[..there] {
            return Ok(false);
        }
        if there == 0 {
            break;
        }
        at += there as u64;
    }
    Ok(true)
}

/// The next bytes of a day: a megabyte, cut behind the last line that ends in it, and short only at the day's end.
fn piece<'a>(plain: &File, from: u64, room: &'a mut [u8]) -> io::Result<&'a [u8]> {
    let mut len = 0;
    while len < room.len() {
        match plain.read_at(&mut room[len..], from + len as u64) {
            Ok(0) => return Ok(&room[..len]),
            Ok(read) => len += read,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let cut = room.iter().rposition(|byte| *byte == b'\n').map_or(len, |end| end + 1);
    Ok(&room[..cut])
}

/// Gives a packed file the owner, the mode and the time of the day's. Whoever may not give it to the same group does not
/// give it to another one either.
fn inherit(plain: &File, part: &File) -> io::Result<()> {
    let ours = plain.metadata()?;
    let is_same = fchown(part, Some(ours.uid()), Some(ours.gid())).is_ok();
    let mode = ours.permissions().mode() & if is_same { 0o777 } else { 0o707 };
    part.set_permissions(Permissions::from_mode(mode))?;
    part.set_modified(ours.modified()?)
}

/// What was written to the file between the last look and its removal: only a process can do so whose clock was set back
/// by more than an hour at this very instant, but then its lines are still there.
fn put_back(plain: &File, path: &Path, known: u64) -> io::Result<()> {
    let mut room = vec![0; MEMBER];
    let mut at = known;
    while plain.metadata()?.len() > at {
        let late = piece(plain, at, &mut room)?;
        no_link(OpenOptions::new().append(true).create(true).mode(0o640)).open(path)?.write_all(late)?;
        at += late.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
