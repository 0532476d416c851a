//! A compressed day: a plain `.gz` to everybody, and to us a file that can be entered in the middle.
//!
//! It is a row of gzip members, as if many small files had been compressed and put behind each other; `zcat` shows them as
//! one. Each member says in its header (in the extra field `RM`, which others skip) how long it is, packed and unpacked. So
//! whoever looks for a time hops from header to header, and unpacks only where it lies; and who was killed while packing
//! goes on behind the last whole member. Files that others packed have no such field, and are read from their beginning.

use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// How much of a day one member holds, in bytes before packing: what is unpacked to see one line of it.
pub(super) const MEMBER: usize = 1024 * 1024;

/// The fixed head of gzip, the length of the extra field, and that field.
const HEADER: usize = 24;
/// Magic, deflate, with an extra field; no time, nothing on how it was packed, Unix.
const OURS: [u8; 4] = [0x1f, 0x8b, 8, 4];
/// The length of the extra field, the name of ours, and the length of what is in it.
const FIELD: [u8; 6] = [12, 0, b'R', b'M', 8, 0];

/// A part of a packed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member {
    /// Where it begins in the file.
    packed_at: u64,
    /// Where its bytes begin among those of the day.
    at: u64,
}

/// What a packed file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Contents {
    members: Vec<Member>,
    /// The bytes of the day.
    pub(super) len: u64,
    /// Up to here the file is whole members.
    pub(super) packed_len: u64,
}

/// One member, ready to be appended.
pub(super) fn member(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut extra = FIELD[2..].to_vec();
    extra.extend_from_slice(&[0; 8]);
    let mut packer = GzBuilder::new().extra(extra).write(Vec::new(), Compression::default());
    packer.write_all(bytes)?;
    let mut packed = packer.finish()?;
    let lens = u32::try_from(packed.len()).ok().zip(u32::try_from(bytes.len()).ok());
    let (packed_len, len) = lens.ok_or(ErrorKind::FileTooLarge)?;
    packed[16..20].copy_from_slice(&packed_len.to_le_bytes());
    packed[20..24].copy_from_slice(&len.to_le_bytes());
    Ok(packed)
}

/// The packed and the unpacked length of the member whose header this is; `None` when it is not one of ours.
fn lens(header: &[u8]) -> Option<(u64, u64)> {
    let is_ours = header.starts_with(&OURS) && header.get(10..16) == Some(&FIELD);
    let number = |at: usize| Some(u64::from(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?)));
    let (packed, plain) = number(16).zip(number(20))?;
    (is_ours && packed > HEADER as u64).then_some((packed, plain))
}

/// Hops over the whole members of ours that a file begins with.
pub(super) fn contents(file: &File) -> io::Result<Contents> {
    let file_len = file.metadata()?.len();
    let mut found = Contents::default();
    let mut header = [0; HEADER];
    while found.packed_len + (HEADER as u64) < file_len {
        file.read_exact_at(&mut header, found.packed_len)?;
        let Some((packed, plain)) = lens(&header).filter(|(packed, _)| found.packed_len + packed <= file_len) else {
            break;
        };
        found.members.push(Member { packed_at: found.packed_len, at: found.len });
        found.packed_len += packed;
        found.len += plain;
    }
    Ok(found)
}

impl Contents {
    /// The same without its last member, when that cannot be unpacked: it may not have reached the disk.
    pub(super) fn sound(mut self, file: &Arc<File>) -> io::Result<Contents> {
        let Some(last) = self.members.last().copied() else { return Ok(self) };
        let from = Positioned { file: Arc::clone(file), at: last.packed_at, end: self.packed_len };
        match io::copy(&mut MultiGzDecoder::new(from), &mut io::sink()) {
            Ok(len) if len == self.len - last.at => return Ok(self),
            Err(e) if !is_damage(&e) => return Err(e),
            _ => {}
        }
        self.members.pop();
        (self.len, self.packed_len) = (last.at, last.packed_at);
        Ok(self)
    }
}

fn is_damage(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

/// A packed file that is read where one likes.
#[derive(Debug)]
pub(super) struct Packed {
    file: Arc<File>,
    contents: Contents,
    /// What is being unpacked, and where among the bytes of the day that is.
    open: Option<(MultiGzDecoder<Positioned>, u64)>,
}

impl Packed {
    /// Looks what is in the file. One that others packed is unpacked once, to see how long it is.
    pub(super) fn of(file: File) -> io::Result<Packed> {
        let file = Arc::new(file);
        let mut contents = contents(&file)?;
        let packed_len = file.metadata()?.len();
        if contents.packed_len < packed_len {
            let last = Member { packed_at: contents.packed_len, at: contents.len };
            let from = Positioned { file: Arc::clone(&file), at: last.packed_at, end: packed_len };
            contents.len += io::copy(&mut MultiGzDecoder::new(from), &mut io::sink())?;
            contents.members.push(last);
            contents.packed_len = packed_len;
        }
        Ok(Packed { file, contents, open: None })
    }

    /// The bytes of the day.
    pub(super) fn len(&self) -> u64 {
        self.contents.len
    }

    /// Reads some bytes of the day from `at` on; none at its end. Going on where the last one ended costs nothing; else it
    /// unpacks the member in which `at` lies.
    pub(super) fn read_at(&mut self, room: &mut [u8], at: u64) -> io::Result<usize> {
        if at >= self.contents.len {
            return Ok(0);
        }
        let (mut unpacker, mut stands_at) = match self.open.take() {
            Some(open) if open.1 <= at && at - open.1 < MEMBER as u64 => open,
            _ => {
                let behind = self.contents.members.partition_point(|member| member.at <= at);
                let Some(member) = behind.checked_sub(1).map(|i| self.contents.members[i]) else { return Ok(0) };
                let (file, end) = (Arc::clone(&self.file), self.contents.packed_len);
                (MultiGzDecoder::new(Positioned { file, at: member.packed_at, end }), member.at)
            }
        };
        stands_at += io::copy(&mut (&mut unpacker).take(at - stands_at), &mut io::sink())?;
        let read = unpacker.read(room)?;
        if stands_at + read as u64 >= self.contents.len {
            // Only who reads past the last byte is told that the sum is wrong.
            let _ = unpacker.read(&mut [0])?;
        }
        self.open = Some((unpacker, stands_at + read as u64));
        Ok(read)
    }
}

/// A part of a file, read at its own place whatever others do with the handle.
#[derive(Debug)]
struct Positioned {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Positioned {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).map_or(room.len(), |left| left.min(room.len()));
        let read = self.file.read_at(&mut room[..most], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn some_bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * i / 7 % 251) as u8).collect()
    }

    #[test]
    fn it_is_read_from_anywhere() {
        let plain = some_bytes(10_000);
        let packed: Vec<u8> = plain.chunks(999).flat_map(|chunk| member(chunk).unwrap()).collect();
        // As others pack: one member, without lengths; and both in one file.
        let mut foreign = GzBuilder::new().write(Vec::new(), Compression::fast());
        foreign.write_all(&plain).unwrap();
        let foreign = foreign.finish().unwrap();
        for (bytes, times) in [(packed.clone(), 1), (foreign.clone(), 1), ([packed, foreign].concat(), 2)] {
            let whole = plain.repeat(times);
            let mut unpacked = Packed::of(file_of(&bytes)).unwrap();
            assert_eq!(unpacked.len(), whole.len() as u64);
            for at in [0, 1, 998, 999, 1000, 5000, 4999, 9999, 10, 10_000, whole.len() - 1] {
                let mut room = [0; 100];
                let read = unpacked.read_at(&mut room, at as u64).unwrap();
                assert_eq!(read == 0, at >= whole.len(), "{at}");
                assert_eq!(room[..read], whole[at..at + read], "{at}");
            }
            assert_eq!(unpacked.read_at(&mut [0; 9], whole.len() as u64).unwrap(), 0);
        }
    }

    #[test]
    fn whatever_a_crash_left_is_cut_to_whole_members() {
        let plain = some_bytes(3_000);
        let parts: Vec<Vec<u8>> = plain.chunks(1_000).map(|chunk| member(chunk).unwrap()).collect();
        let ends: Vec<usize> =
            parts.iter().scan(0, |end, part| Some(*end + part.len()).inspect(|e| *end = *e)).collect();
        let packed = parts.concat();
        for cut in 0..=packed.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let file = Arc::new(file_of(&packed[..cut]));
            let found = contents(&file).unwrap().sound(&file).unwrap();
            assert_eq!(found.len, 1_000 * whole as u64, "{cut}");
            assert_eq!(found.packed_len, whole.checked_sub(1).map_or(0, |last| ends[last]) as u64, "{cut}");
        }
        // A last member whose header is there, and whose bytes did not reach the disk.
        let mut holed = packed.clone();
        holed[ends[1] + HEADER..].fill(0);
        let file = Arc::new(file_of(&holed));
        assert_eq!(contents(&file).unwrap().sound(&file).unwrap().packed_len, ends[1] as u64);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_no_end() {
        let mut packed = member(&some_bytes(50_000)).unwrap();
        let at = packed.len() / 2;
        packed[at] ^= 0x55;
        let mut unpacked = Packed::of(file_of(&packed)).unwrap();
        let mut room = vec![0; 60_000];
        let mut at = 0;
        let failed = loop {
            match unpacked.read_at(&mut room, at) {
                Ok(0) => break false,
                Ok(read) => at += read as u64,
                Err(_) => break true,
            }
        };
        assert!(failed);
    }
}
