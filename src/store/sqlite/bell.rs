//! Waking sleepers: a datagram from our own doors, or any process's commit.
//!
//! Each worker that listens has a datagram socket in the run folder. Of those that sleep, one is the *lookout*: it alone
//! watches the write-ahead log by inotify, so that a commit wakes one process and not all; the worker loop then rings
//! for whoever is at home in the partition. inotify speaks before the commit can be seen, so the lookout looks again
//! with doubling pauses. It also waits for the ends of the other workers, and they for its own, so that what a dead one
//! had in hand is seen to at once. All look once a second besides, so a lost byte costs a second.
//! What is looked at is `PRAGMA data_version`: it changes exactly when another connection has committed.

use super::lock::Inode;
use super::presence::Presence;
use super::{badge, identity, lock, pulse};
use crate::clock::Watch;
use crate::error::{Error, Result};
use crate::share;
use crate::store::Woken;
use crate::task::Partition;
use rusqlite::Connection;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, inotify};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Sleepers look by themselves this often.
const LOOK: Duration = Duration::from_secs(1);
/// The first look after inotify spoke and nothing was to be seen yet; the next ones come after twice as long.
const FIRST_LOOK: Duration = Duration::from_micros(200);
/// While looks follow events at this distance, further events need not be waited for.
const LOOKS_DENSE: Duration = Duration::from_millis(4);
/// Wakes that follow each other closely (others are busy) are kept apart by up to this.
const SPREAD: Duration = Duration::from_millis(8);

/// The lock of the lookout, with its process id in it.
const LOOKOUT: &str = "lookout";

/// This process's ears.
#[derive(Debug, Default)]
pub(super) struct Bell {
    socket: Option<UnixDatagram>,
    /// The socket's file.
    place: Option<Inode>,
    wal: PathBuf,
    index: u32,
    lookout: Option<Lookout>,
    /// The process that is the lookout, while another one is: readable when it ends.
    other_lookout: Option<OwnedFd>,
    /// `data_version` when the last sleep ended.
    seen: i64,
    /// How long the next wake is put off because the last ones came close together.
    spread: Duration,
}

#[derive(Debug)]
struct Lookout {
    _lock: File,
    events: OwnedFd,
    /// The workers, by incarnation: readable when they end, so that what they had in hand is seen to at once.
    peers: BTreeMap<i64, OwnedFd>,
    peers_since: Option<Watch>,
    /// The dead of the last look, about whom the worker loop knows.
    gone: Vec<i64>,
    /// Living workers of other pid namespaces, which only their locks tell of.
    unseen: Vec<u32>,
}

impl Bell {
    pub(super) fn listen(&mut self, run: &Path, wal: &Path, index: u32) -> Result<()> {
        let path = run.join(socket_name(index));
        // The caller has this worker's liveness lock, so a socket that is there belongs to a dead one.
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let socket = at_short_path(run, &socket_name(index), |path| UnixDatagram::bind(path))?;
        // Where the folder was lost again meanwhile, the next look finds that.
        if let Ok(Some(want)) = share::inherited(run, share::FILE, 0o600) {
            // Who rings before this is not heard, and who is not rung looks by himself within a second.
            at_short_path(run, &socket_name(index), |path| Ok(share::give(path, want)?))?;
        }
        socket.set_nonblocking(true)?;
        self.socket = Some(socket);
        self.place = Inode::at(&path);
        self.wal = wal.to_path_buf();
        self.index = index;
        Ok(())
    }

    /// Whether this process's socket is not where others ring any more.
    pub(super) fn is_lost(&self, run: &Path) -> bool {
        self.socket.is_some() && Inode::at(&run.join(socket_name(self.index))) != self.place
    }

    /// Listens again where the run folder was deleted or replaced. Who is the lookout is found anew.
    pub(super) fn listen_again(&mut self, run: &Path) -> Result<()> {
        if !self.is_lost(run) {
            return Ok(());
        }
        (self.lookout, self.other_lookout) = (None, None);
        let (wal, index) = (std::mem::take(&mut self.wal), self.index);
        self.listen(run, &wal, index)
    }

    pub(super) fn is_lookout(&self) -> bool {
        self.lookout.is_some()
    }

    /// Rings for the home workers of `partitions`; where one does not listen, for the next one that does. Never for
    /// itself: whoever rings is awake.
    pub(super) fn ring(&self, run: &Path, partitions: &[Partition], workers: u32) {
        let workers = workers.max(1);
        let own = self.socket.as_ref().map(|_| self.index);
        let mut rung: Vec<u32> = Vec::new();
        for partition in partitions {
            let home = partition.index % workers;
            if rung.contains(&home) || own == Some(home) {
                continue;
            }
            let around = (0..workers).map(|step| (home + step) % workers).filter(|index| own != Some(*index));
            rung.extend(around.into_iter().find(|index| rung.contains(index) || ring_one(run, *index)));
        }
    }

    pub(super) fn pass_lookout(&mut self, run: &Path, workers: u32) {
        if self.lookout.take().is_some() {
            for index in (0..workers).filter(|i| *i != self.index) {
                ring_one(run, index);
            }
        }
    }

    pub(super) fn sleep(
        &mut self,
        conn: &Connection,
        run: &Path,
        presence: &Presence,
        span: Duration,
        stop: BorrowedFd<'_>,
    ) -> Result<Woken> {
        let watch = Watch::start();
        if !self.spread.is_zero() {
            match self.wait(self.spread.min(span), stop, false)? {
                Ear::Stop => return Ok(Woken::Stopped),
                // Heard once is heard: the wait has emptied the socket.
                Ear::Socket | Ear::Peer => {
                    self.spread = Duration::ZERO;
                    return Ok(Woken::Rung);
                }
                Ear::OtherLookout => self.other_lookout = None,
                Ear::Log | Ear::Nothing => {}
            }
        }
        let mut look_again = LOOK;
        loop {
            pulse::beat();
            if self.look_for_peers(conn, run)? {
                return Ok(Woken::Rung);
            }
            let version = conn.prepare_cached("PRAGMA data_version")?.query_row([], |r| r.get(0))?;
            if std::mem::replace(&mut self.seen, version) != version {
                let close_together = watch.elapsed() < SPREAD * 4;
                let wider = (self.spread * 2).clamp(FIRST_LOOK, SPREAD);
                self.spread = if close_together { wider } else { Duration::ZERO };
                return Ok(Woken::Rung);
            }
            let left = watch.left_of(span);
            if left.is_zero() {
                return Ok(Woken::TimeOut);
            }
            presence.check()?;
            if self.is_lost(run) {
                // The caller comes back to its place.
                return Ok(Woken::Rung);
            }
            if self.become_lookout(run) {
                // What the lookout sees to (commits since the last look, the timer) has to be looked at once.
                return Ok(Woken::Rung);
            }
            match self.wait(left.min(look_again), stop, look_again >= LOOKS_DENSE)? {
                Ear::Stop => return Ok(Woken::Stopped),
                Ear::Socket | Ear::Peer => {
                    self.spread = Duration::ZERO;
                    return Ok(Woken::Rung);
                }
                Ear::OtherLookout => self.other_lookout = None,
                Ear::Log => look_again = FIRST_LOOK,
                Ear::Nothing => look_again = (look_again * 2).min(LOOK),
            }
        }
    }

    /// Whether this sleeper has become the lookout just now.
    fn become_lookout(&mut self, run: &Path) -> bool {
        if self.lookout.is_some() || self.socket.is_none() {
            return false;
        }
        let Ok(Some(mut lock)) = lock::try_lock(run, LOOKOUT) else {
            self.watch_other_lookout(run);
            return false;
        };
        let events = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK);
        let Ok(events) = events else { return false };
        if inotify::add_watch(&events, &self.wal, inotify::WatchFlags::MODIFY).is_err() {
            return false;
        }
        // Read by the others, who would only look a second later if it could not be written.
        let _ = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
        self.other_lookout = None;
        let (peers, gone, unseen) = (BTreeMap::new(), Vec::new(), Vec::new());
        self.lookout = Some(Lookout { _lock: lock, events, peers, peers_since: None, gone, unseen });
        true
    }

    fn watch_other_lookout(&mut self, run: &Path) {
        if self.other_lookout.is_none() {
            let pid = std::fs::read_to_string(run.join(LOOKOUT)).ok().and_then(|text| text.trim().parse().ok());
            self.other_lookout = pid.and_then(|pid: i64| identity::watch(pid, None));
        }
    }

    /// The lookout looks once a second who the other workers are. Whether one has ended whom nobody watched: it may have
    /// come and gone between two looks, or live in another pid namespace.
    fn look_for_peers(&mut self, conn: &Connection, run: &Path) -> Result<bool> {
        let Some(lookout) = &mut self.lookout else { return Ok(false) };
        if lookout.peers_since.is_some_and(|since| !since.left_of(LOOK).is_zero()) {
            return Ok(false);
        }
        let gone = badge::watch_all(conn, &mut lookout.peers)?;
        let news = gone.iter().any(|incarnation| !lookout.gone.contains(incarnation));
        let unseen = badge::unseen(conn, run)?;
        let before = std::mem::replace(&mut lookout.unseen, unseen);
        let left = before.iter().any(|index| !lookout.unseen.contains(index));
        lookout.gone = gone;
        lookout.peers_since = Some(Watch::start());
        Ok(news || left)
    }

    fn wait(&mut self, span: Duration, stop: BorrowedFd<'_>, with_log: bool) -> Result<Ear> {
        let log = self.lookout.as_ref().filter(|_| with_log);
        let mut ears = Vec::with_capacity(3);
        ears.push((Ear::Stop, PollFd::from_borrowed_fd(stop, PollFlags::IN)));
        if let Some(socket) = &self.socket {
            ears.push((Ear::Socket, PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)));
        }
        if let Some(other) = &self.other_lookout {
            ears.push((Ear::OtherLookout, PollFd::from_borrowed_fd(other.as_fd(), PollFlags::IN)));
        }
        for peer in self.lookout.iter().flat_map(|lookout| lookout.peers.values()) {
            ears.push((Ear::Peer, PollFd::from_borrowed_fd(peer.as_fd(), PollFlags::IN)));
        }
        if let Some(log) = log {
            ears.push((Ear::Log, PollFd::from_borrowed_fd(log.events.as_fd(), PollFlags::IN)));
        }
        let (names, mut fds): (Vec<Ear>, Vec<PollFd<'_>>) = ears.into_iter().unzip();
        let timeout = Timespec::try_from(span).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut fds, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Ok(Ear::Nothing),
            Ok(_) => {}
            Err(e) => return Err(e.into()),
        }
        let heard = names.into_iter().zip(&fds).find(|(_, fd)| !fd.revents().is_empty());
        let heard = heard.map_or(Ear::Nothing, |(name, _)| name);
        match (heard, &self.socket, log) {
            (Ear::Socket, Some(socket), _) => while socket.recv(&mut [0; 8]).is_ok() {},
            (Ear::Log, _, Some(log)) => {
                let mut buffer = [0; 4096];
                while rustix::io::read(&log.events, &mut buffer).is_ok_and(|n| n > 0) {}
            }
            _ => {}
        }
        if heard == Ear::Peer
            && let Some(lookout) = &mut self.lookout
        {
            // Who has ended would be heard for ever.
            lookout.peers_since = None;
            lookout.peers.clear();
        }
        Ok(heard)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ear {
    Stop,
    Socket,
    Log,
    Peer,
    OtherLookout,
    Nothing,
}

/// Rings for the workers whose bit (index mod 64) is set.
pub(super) fn ring_wanted(run: &Path, wanted: u64, workers: u32) {
    for index in (0..workers).filter(|index| wanted & (1 << (index % 64)) != 0) {
        ring_one(run, index);
    }
}

/// Rings for one worker; whether it listens. A full socket belongs to one that has been rung enough.
fn ring_one(run: &Path, index: u32) -> bool {
    let send = |path: &Path| {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match socket.send_to(b"!", path) {
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
            other => other.map(|_| ()),
        }
    };
    at_short_path(run, &socket_name(index), send).is_ok()
}

fn socket_name(index: u32) -> String {
    format!("bell-{index}")
}

/// Socket addresses hold 107 bytes: a longer path is reached through an open descriptor of its folder.
fn at_short_path<T>(run: &Path, name: &str, act: impl Fn(&Path) -> std::io::Result<T>) -> Result<T> {
    let path = run.join(name);
    if path.as_os_str().len() <= 107 {
        return act(&path).map_err(lost);
    }
    let folder = rustix::fs::open(run, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let folder = folder.map_err(|e| lost(e.into()))?;
    let short = format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
    act(Path::new(&short)).map_err(lost)
}

/// A folder that is deleted while it is used is made anew by the next step.
fn lost(e: std::io::Error) -> Error {
    if e.kind() == std::io::ErrorKind::NotFound { Error::try_again(e.to_string()) } else { e.into() }
}
