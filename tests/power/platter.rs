//! What a power cut can leave of a history: the model of a disk.
//!
//! What was synced is there. Of what was not, each write, each change of a length and each name may be there or not, in
//! whatever order it was done; a write may be there in some of its sectors, up to some byte of one, or with rubbish in
//! one. Bytes that a write does not change stay as they were: SQLite relies on that (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`).

use super::chance::Chance;
use super::disk::{Event, File};
use std::collections::BTreeMap;

/// Files by name.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// A change to a file that is not synced.
#[derive(Debug, Clone)]
enum Change {
    Wrote(u64, Vec<u8>),
    Cut(u64),
}

/// A change to the names that is not synced.
#[derive(Debug, Clone)]
enum Naming {
    Made(String, File),
    Removed(String),
}

#[derive(Debug, Default)]
struct Content {
    /// What is on the disk for certain.
    synced: Vec<u8>,
    /// What is read while the machine is up.
    seen: Vec<u8>,
    pending: Vec<Change>,
}

/// What becomes of one change that is not synced.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    Kept,
    Lost,
    /// Some of its sectors are there.
    Torn {
        sector: usize,
        seed: u64,
    },
    /// Only its first bytes are there.
    Begun {
        seed: u64,
    },
    /// It is there, with rubbish in some of its bytes.
    Rubbish {
        seed: u64,
    },
    /// The file is as long as after it, with zeros where it wrote beyond the end.
    LengthOnly,
}

/// A way in which the power goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// Everything that was written is there.
    NothingLost,
    /// Nothing is there that was not synced.
    AllLost,
    /// Of all changes that are not synced, only the n-th is there.
    Alone(usize),
    /// All but the n-th are there.
    Without(usize),
    /// The last change meets this fate, everything before it is there.
    Last(Fate),
    /// Each change meets a fate by chance, and so does each name.
    Mixed { seed: u64 },
    /// Everything that was written is there, and no name that is not synced.
    NamesLost,
}

/// The disk at one point of a history.
#[derive(Debug, Default)]
pub(crate) struct Platter {
    files: Vec<Content>,
    names: BTreeMap<String, File>,
    naming: Vec<Naming>,
    log: Option<File>,
    /// Where the page of a commit is to be written, when its header was.
    commit_at: Option<u64>,
    commits: usize,
}

impl Platter {
    /// Goes on by one event; whether it completed a commit in the log.
    pub(crate) fn follow(&mut self, event: &Event) -> bool {
        match event {
            Event::Made { name, file } => {
                self.files.resize_with(self.files.len().max(file + 1), Content::default);
                self.naming.push(Naming::Made(name.clone(), *file));
                if name.ends_with("-wal") {
                    self.log = Some(*file);
                }
            }
            Event::Wrote { file, at, data } => {
                apply(&mut self.files[*file].seen, &Change::Wrote(*at, data.clone()), Fate::Kept);
                self.files[*file].pending.push(Change::Wrote(*at, data.clone()));
                return self.log == Some(*file) && self.commits_with(*at, data);
            }
            Event::Cut { file, length } => {
                apply(&mut self.files[*file].seen, &Change::Cut(*length), Fate::Kept);
                self.files[*file].pending.push(Change::Cut(*length));
            }
            Event::Synced { file, folder } => {
                let content = &mut self.files[*file];
                for change in std::mem::take(&mut content.pending) {
                    apply(&mut content.synced, &change, Fate::Kept);
                }
                if *folder {
                    self.sync_names();
                }
            }
            Event::Lost { file } => self.files[*file].pending.clear(),
            Event::Removed { name, folder } => {
                self.naming.push(Naming::Removed(name.clone()));
                if *folder {
                    self.sync_names();
                }
            }
            Event::Told(_) => {}
        }
        false
    }

    /// How many commits the log has seen.
    pub(crate) fn commits(&self) -> usize {
        self.commits
    }

    /// How many changes are not synced.
    pub(crate) fn pending(&self) -> usize {
        self.files.iter().map(|content| content.pending.len()).sum()
    }

    /// The files as they are read while the machine is up.
    pub(crate) fn seen(&self) -> Image {
        let mut names = self.names.clone();
        self.naming.iter().for_each(|naming| naming.apply(&mut names));
        names.into_iter().map(|(name, file)| (name, self.files[file].seen.clone())).collect()
    }

    /// The files after a power cut.
    pub(crate) fn image(&self, cut: Cut) -> Image {
        let mut chance = Chance::of(if let Cut::Mixed { seed } = cut { seed } else { 0 });
        let mut names = self.names.clone();
        for naming in &self.naming {
            let kept = match cut {
                Cut::AllLost | Cut::NamesLost => false,
                Cut::Mixed { .. } => chance.one_in(2),
                _ => true,
            };
            if kept {
                naming.apply(&mut names);
            }
        }
        let total = self.pending();
        let mut n = 0;
        let mut contents = Vec::new();
        for content in &self.files {
            let mut bytes = content.synced.clone();
            for change in &content.pending {
                apply(&mut bytes, change, fate(cut, n, total, &mut chance));
                n += 1;
            }
            contents.push(bytes);
        }
        names.into_iter().map(|(name, file)| (name, contents[file].clone())).collect()
    }

    /// A commit is a frame whose header says how long the database is by it, and the page behind the header.
    fn commits_with(&mut self, at: u64, data: &[u8]) -> bool {
        const HEADER: u64 = 32;
        const FRAME: u64 = 24 + 4096;
        if self.commit_at.take() == Some(at) {
            self.commits += 1;
            return true;
        }
        let is_frame = data.len() == 24 && at >= HEADER && (at - HEADER).is_multiple_of(FRAME);
        if is_frame && data[4..8] != [0; 4] {
            self.commit_at = Some(at + 24);
        }
        false
    }

    fn sync_names(&mut self) {
        for naming in std::mem::take(&mut self.naming) {
            naming.apply(&mut self.names);
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, File>) {
        match self {
            Naming::Made(name, file) => names.insert(name.clone(), *file),
            Naming::Removed(name) => names.remove(name),
        };
    }
}

/// What becomes of change `n` of `total`.
fn fate(cut: Cut, n: usize, total: usize, chance: &mut Chance) -> Fate {
    let kept = match cut {
        Cut::NothingLost | Cut::NamesLost => true,
        Cut::AllLost => false,
        Cut::Alone(one) => n == one,
        Cut::Without(one) => n != one,
        Cut::Last(last) if n + 1 == total => return last,
        Cut::Last(_) => true,
        Cut::Mixed { seed } => {
            // Few losses and many are as likely as half of them.
            let density = 1 + seed as usize % 9;
            let seed = chance.next();
            return match chance.below(12) {
                0 => Fate::Torn { sector: 512, seed },
                1 => Fate::Torn { sector: 4096, seed },
                2 => Fate::Begun { seed },
                3 if chance.one_in(2) => Fate::Rubbish { seed },
                3 => Fate::LengthOnly,
                _ if chance.below(10) < density => Fate::Kept,
                _ => Fate::Lost,
            };
        }
    };
    if kept { Fate::Kept } else { Fate::Lost }
}

fn apply(bytes: &mut Vec<u8>, change: &Change, fate: Fate) {
    let (at, data) = match change {
        Change::Cut(length) => {
            if !matches!(fate, Fate::Lost) {
                bytes.resize(*length as usize, 0);
            }
            return;
        }
        Change::Wrote(at, data) => (*at as usize, data),
    };
    let end = at + data.len();
    let before = bytes.len();
    if !matches!(fate, Fate::Lost) {
        bytes.resize(before.max(end), 0);
    }
    match fate {
        Fate::Kept => bytes[at..end].copy_from_slice(data),
        Fate::Lost | Fate::LengthOnly => {}
        Fate::Torn { sector, seed } => {
            let mut chance = Chance::of(seed);
            let mut from = at;
            while from < end {
                let to = end.min((from / sector + 1) * sector);
                if chance.one_in(2) {
                    bytes[from..to].copy_from_slice(&data[from - at..to - at]);
                }
                from = to;
            }
        }
        Fate::Begun { seed } => {
            let length = Chance::of(seed).below(data.len());
            bytes[at..at + length].copy_from_slice(&data[..length]);
        }
        Fate::Rubbish { seed } => {
            let mut chance = Chance::of(seed);
            let from = at + chance.below(data.len());
            let to = end.min(from + 1 + chance.below(512));
            for n in at..end {
                let rubbish = chance.next() as u8;
                // What a write leaves as it was is not touched by it.
                if bytes[n] != data[n - at] {
                    bytes[n] = if (from..to).contains(&n) { rubbish } else { data[n - at] };
                }
            }
        }
    }
}
