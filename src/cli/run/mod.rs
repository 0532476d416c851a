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
use crate::schedule::{Duty, Ended, Launch, Machine, Watchkeeping, recover};
use crate::store::Store;
use crate::work::Level;
use crate::work::exec::signal_name;
use notify::Notify;
use signals::Signals;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;
use ticker::Ticker;

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
    let notify = Notify::find();
    let mut resident = Resident {
        site,
        journal,
        store: Some(store),
        workers,
        launch,
        keeping: Watchkeeping::default(),
        notify,
        said: String::new(),
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
    keeping: Watchkeeping,
    notify: Notify,
    /// The last error, which is said once.
    said: String,
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
            for ended in self.keeping.bury() {
                tell(&ended, self.keeping.is_stopped());
            }
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
            self.keeping.wait(&signals.descriptors())?;
        }
        Ok(())
    }

    fn status(&self) -> String {
        let workers = match self.keeping.count() {
            1 => "1 worker".to_string(),
            n => format!("{n} workers"),
        };
        if self.keeping.is_stopped() {
            format!("stopped by a person; {workers} left")
        } else {
            format!("{workers} alive")
        }
    }

    fn look(&mut self) -> Result<()> {
        if self.store.is_none() {
            self.store = Some(self.site.existing_store()?);
        }
        let Some(store) = self.store.as_deref_mut() else { return Ok(()) };
        let site = &self.site;
        let settle = |store: &mut dyn Store| {
            let (registry, now_ms) = (site.registry()?, site.clock.now_ms());
            recover(store, now_ms, &|lost| judge(&registry, lost, now_ms))
        };
        let stall = Duration::from_millis(site.config.stall_ms);
        let reach = Machine { launch: &self.launch, journal: &self.journal };
        self.keeping.look(store, &Duty { workers: self.workers, stall, recover: &settle, reach: &reach })
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
            self.keeping.replace_all();
        }
        Ok(())
    }

    /// Tells all workers of this host to end, and waits for it. Asked a second time, they break off.
    fn end(&mut self, signals: &Signals) -> Result<()> {
        self.notify.stopping();
        log::info!("run is told to stop, and ends its workers");
        let watch = Watch::start();
        loop {
            for ended in self.keeping.bury() {
                tell(&ended, true);
            }
            let reach = Machine { launch: &self.launch, journal: &self.journal };
            let now = signals.stop.level() == Level::BreakOff;
            let left = match self.store.as_deref_mut() {
                Some(store) => self.keeping.dismiss(Some(store), now, &reach),
                None => self.keeping.dismiss(None, now, &reach),
            };
            let Some((index, pid)) = left.first() else { return Ok(()) };
            if watch.left_of(PATIENCE).is_zero() {
                let text = format!("worker {index} (pid {pid}) does not end");
                return Err(Error::try_again(text).hint("`rowmill workers` shows what it does"));
            }
            self.keeping.wait_for_the_last()?;
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
