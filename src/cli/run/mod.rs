//! `run`: the resident scheduler. Ticks come from a thread of their own; here the workers are watched over.
//!
//! The loop waits in the kernel for the end of a worker, for a signal, and for a second at most: what a person orders (`stop`,
//! `start`, `scale`) stands in the database, and cron's ticks and other commands start workers too. Whoever started one, it
//! is watched, and replaced when it dies.

mod notify;
mod reload;
mod signals;
mod ticker;

use super::Verdict;
use super::args::PlaceArgs;
use super::crew::PATIENCE;
use super::site::{Register, Site};
use super::tick::{judge, launch};
use crate::clock::Watch;
use crate::error::{Error, Result};
use crate::log::Journal;
use crate::schedule::{Ended, Launch, Wards, recover};
use crate::store::{Store, Watchman};
use crate::work::Level;
use crate::work::exec::signal_name;
use notify::Notify;
use reload::Rolling;
use signals::Signals;
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use ticker::Ticker;

/// How often it is looked what others have done.
const LOOK: Duration = Duration::from_secs(1);
/// The same while a worker is awaited that was just started.
const SHORT_LOOK: Duration = Duration::from_millis(20);
/// The same while it ends.
const LAST_LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(place: &PlaceArgs, register: Register, workers: Option<u32>) -> Result<Verdict> {
    let signals = Signals::listen()?;
    let site = Arc::new(Site::find(place, register)?);
    let journal = site.journal()?;
    let mut store = site.store()?;
    let Some(_place) = store.reside(site.clock.now_ms())? else {
        let who = super::crew::resident_words(store.as_mut(), site.config.timezone)?;
        let text = format!("{} has this database already", who.unwrap_or_else(|| "another `run`".to_string()));
        return Err(Error::try_again(text).hint("one is enough; `rowmill status` shows it"));
    };
    log::info!("run begins pid={}", std::process::id());
    let launch = launch(&site, workers)?;
    let ticker = Ticker::start(Arc::clone(&site), workers)?;
    let wards = Wards::default();
    let notify = Notify::find();
    let mut resident = Resident {
        site,
        journal,
        store: Some(store),
        workers,
        launch,
        wards,
        rolling: Rolling::default(),
        deaths: false,
        stopped: false,
        notify,
        said: String::new(),
        failing: BTreeSet::new(),
        watchman: None,
    };
    let ended = resident.stay(place, register, &signals, ticker).and_then(|()| resident.end(&signals));
    if let Err(e) = &ended {
        log::error!("run ends: {e}");
    }
    ended?;
    log::info!("run ends");
    Ok(Verdict::Well)
}

struct Resident {
    site: Arc<Site>,
    journal: Arc<Journal>,
    /// `None` after an error: it is opened anew.
    store: Option<Box<dyn Store>>,
    workers: Option<u32>,
    launch: Launch,
    wards: Wards,
    rolling: Rolling,
    /// Claims of workers that died are still to be settled.
    deaths: bool,
    stopped: bool,
    notify: Notify,
    /// The last error, which is said once.
    said: String,
    /// Workers whose start failed the last time.
    failing: BTreeSet<u32>,
    /// Looks for the frozen among that many workers.
    watchman: Option<(u32, Box<dyn Watchman>)>,
}

impl Resident {
    /// The loop, until it is told to stop.
    fn stay(&mut self, place: &PlaceArgs, register: Register, signals: &Signals, ticker: Ticker) -> Result<()> {
        let mut ready = false;
        while signals.stop.level() == Level::GoOn {
            if signals.hung_up() {
                self.notify.reloading();
                match self.reload(place, register, &ticker) {
                    Ok(()) => log::info!("the configuration was read anew"),
                    Err(e) => log::error!("the configuration is wrong, and the one before stays in force: {e}"),
                }
                self.notify.ready(&self.status());
            }
            if !ticker.is_alive() {
                return Err(
                    Error::failed("the thread that ticks has ended").hint("the log says why; the workers go on")
                );
            }
            self.bury();
            match self.look() {
                Ok(()) => self.said.clear(),
                Err(e) => {
                    self.store = None;
                    if self.said != e.to_string() {
                        self.said = e.to_string();
                        log::error!("waiting: {e}");
                    }
                }
            }
            match std::mem::replace(&mut ready, true) {
                false => self.notify.ready(&self.status()),
                true => self.notify.alive(&self.status()),
            }
            self.wards.wait(&signals.descriptors(), self.span())?;
        }
        Ok(())
    }

    /// How long nothing is to be done unless something happens.
    fn span(&self) -> Duration {
        let span = if self.rolling.is_starting() { SHORT_LOOK } else { LOOK };
        let rest = self.wards.next_rest(u32::MAX).filter(|rest| !rest.is_zero());
        rest.map_or(span, |rest| rest.min(span))
    }

    fn status(&self) -> String {
        let workers = match self.wards.all().len() {
            1 => "1 worker".to_string(),
            n => format!("{n} workers"),
        };
        if self.stopped { format!("stopped by a person; {workers} left") } else { format!("{workers} alive") }
    }

    /// Takes note of workers that have ended.
    fn bury(&mut self) {
        for ended in self.wards.ended() {
            self.deaths |= !ended.status.is_some_and(|status| status.success());
            tell(&ended, self.stopped);
        }
    }

    /// Recovers what the dead have left, and starts who is missing.
    fn look(&mut self) -> Result<()> {
        if self.store.is_none() {
            self.store = Some(self.site.existing_store()?);
        }
        let Some(store) = self.store.as_deref_mut() else { return Ok(()) };
        let wanted = match self.workers {
            Some(workers) => workers,
            None => store.plan()?.current().partitions,
        };
        if self.deaths {
            let (registry, now_ms) = (self.site.registry()?, self.site.clock.now_ms());
            let touched = recover(store, now_ms, &|lost| judge(&registry, lost, now_ms))?;
            store.ring(&touched, wanted);
            self.deaths = false;
        }
        self.wards.adopt(store.crew()?);
        if self.watchman.as_ref().is_none_or(|(count, _)| *count != wanted) {
            self.watchman = Some((wanted, store.watchman(None, wanted)));
        }
        let stall = Duration::from_millis(self.site.config.stall_ms);
        for frozen in
            self.watchman.iter_mut().map(|(_, watchman)| watchman.look(stall)).collect::<Result<Vec<_>>>()?.concat()
        {
            let silent_s = frozen.silent.as_secs();
            log::error!(
                "worker {} (pid {}) made no progress for {silent_s} s and was killed",
                frozen.index,
                frozen.pid
            );
        }
        self.stopped = store.stopped()?.is_some();
        if self.stopped {
            return Ok(());
        }
        let most = store.curb()?.map_or(wanted, |curb| curb.workers.min(wanted));
        for index in 0..most {
            if self.wards.has(index) || store.is_alive(index)? || !self.wards.rest_of(index).is_zero() {
                continue;
            }
            match self.wards.start(index, &self.launch, &self.journal) {
                Ok(()) => drop(self.failing.remove(&index)),
                // One that cannot be started is said once, and tried again at the next look.
                Err(e) if self.failing.insert(index) => log::error!("{e}"),
                Err(_) => {}
            }
        }
        self.rolling.step(&mut self.wards, store, most)
    }

    /// Reads the configuration anew. After an error all is as it was.
    fn reload(&mut self, place: &PlaceArgs, register: Register, ticker: &Ticker) -> Result<()> {
        let new = Arc::new(Site::find(place, register)?);
        reload::may_follow(&self.site, &new)?;
        let differ = reload::workers_differ(&self.site, &new)?;
        ticker.follow(&new);
        self.site = new;
        if differ {
            log::info!("workers are replaced one by one, since they know other jobs or settings");
            self.rolling.all(&self.wards);
        }
        Ok(())
    }

    /// Tells all workers of this host to end, and waits for it. Asked a second time, they break off.
    fn end(&mut self, signals: &Signals) -> Result<()> {
        self.notify.stopping();
        log::info!("run is told to stop, and ends its workers");
        let (mut told, watch) = (BTreeSet::new(), Watch::start());
        loop {
            for ended in self.wards.ended() {
                tell(&ended, true);
            }
            // Ticks of cron's and other commands may start some meanwhile.
            if let Some(crew) = self.store.as_deref_mut().and_then(|store| store.crew().ok()) {
                self.wards.adopt(crew);
            }
            let now = signals.stop.level() == Level::BreakOff;
            let mut left = self.wards.all();
            // Two signals that come close together are taken for one: so at each look until it has ended. Who may not be
            // told is somebody else's.
            left.retain(
                |(_, pid)| if told.insert(*pid) || now { self.wards.tell(*pid) } else { self.wards.was_told(*pid) },
            );
            let Some((index, pid)) = left.first() else { return Ok(()) };
            if watch.left_of(PATIENCE).is_zero() {
                let text = format!("worker {index} (pid {pid}) does not end");
                return Err(Error::try_again(text).hint("`rowmill workers` shows what it does"));
            }
            self.wards.wait(&[], LAST_LOOK)?;
        }
    }
}

/// Says how a worker ended, and what comes now.
fn tell(ended: &Ended, over: bool) {
    let Ended { index, pid, lived, .. } = ended;
    let how = ended.status.map_or("has ended; somebody else had started it".to_string(), |status| how(&status));
    let what = format!("worker {index} (pid {pid}) {how}, after {:.1} s", lived.as_secs_f64());
    if over || ended.told || ended.status.is_some_and(|status| status.success()) {
        log::info!("{what}");
    } else if ended.pause.is_zero() {
        log::error!("{what}; another one is started at once");
    } else {
        let (times, pause_s) = (ended.early_deaths, ended.pause.as_secs());
        log::error!("{what}, soon after its start for the {times}. time; the next one comes in {pause_s} s");
    }
}

/// How a process ended, in words.
fn how(status: &ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by {}", signal_name(signal)),
        (None, None) => format!("ended: {status}"),
    }
}
