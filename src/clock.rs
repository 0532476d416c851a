//! Time. Everything that asks what time it is asks here, so that a test can answer.
//!
//! Instants are UTC milliseconds since 1970 (`i64`), the same in Rust, in SQL and in JSON; zones only appear where
//! text for people is written or read. Spans are measured with the monotonic clock, which no admin can set back.

pub(crate) mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// An instant: milliseconds since 1970-01-01 00:00 UTC.
pub type Millis = i64;

/// Where the time comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// A clock that stands still until it is set; for tests.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `now_ms` until [`Clock::set`].
    pub fn manual(now_ms: Millis) -> Clock {
        Clock::Manual(Arc::new(AtomicI64::new(now_ms)))
    }

    /// The present instant, in UTC milliseconds. It can go back when an admin sets the machine's clock.
    pub fn now_ms(&self) -> Millis {
        match self {
            Clock::System => system_now_ms(),
            Clock::Manual(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Sets a manual clock; a system clock stays as it is.
    pub fn set(&self, now_ms: Millis) {
        if let Clock::Manual(now) = self {
            now.store(now_ms, Ordering::Relaxed);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn system_now_ms() -> Millis {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Millis::try_from(since_epoch.as_millis()).unwrap_or(Millis::MAX)
}

/// Some instant of the machine's monotonic clock, for a world to begin at.
#[cfg(test)]
pub(crate) fn some_instant() -> Instant {
    monotonic_now()
}

#[allow(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
fn monotonic_now() -> Instant {
    world::now().unwrap_or_else(Instant::now)
}

/// A stopwatch on the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Watch(Instant);

impl Watch {
    /// Starts at zero.
    pub fn start() -> Watch {
        Watch(monotonic_now())
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        monotonic_now().saturating_duration_since(self.0)
    }

    /// What is left of `span` since the start; zero when it is over.
    pub fn left_of(&self, span: Duration) -> Duration {
        span.saturating_sub(self.elapsed())
    }
}
