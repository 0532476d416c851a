//! The seams by which a simulated world takes the place of the machine: what time it is, who goes on when, who dies where.
//!
//! Only unit tests compile a world; elsewhere each seam is empty and gone. A thread that has entered a world runs only
//! while the world lets it: at every seam it hands its turn back and waits until it is its turn again, so that any number
//! of threads make one run that a seed decides. Dying is unwinding: locks and transactions end as the kernel would end them.

#[cfg(not(test))]
pub(crate) use nowhere::*;
#[cfg(test)]
pub(crate) use simulated::*;

#[cfg(not(test))]
mod nowhere {
    use crate::error::Result;
    use std::time::{Duration, Instant};

    /// Hands the turn back; the process may end here.
    pub(crate) fn pass(_at: &'static str) {}

    /// The process may end here, while nobody else goes on; or what it is about to do fails.
    pub(crate) fn mortal(_at: &'static str) -> Result<()> {
        Ok(())
    }

    /// Waits in the world's time; `false` where there is no world, and the caller waits by itself.
    pub(crate) fn wait(_at: &'static str, _span: Duration) -> bool {
        false
    }

    /// Waits until another thread of this process calls [`rouse`].
    pub(crate) fn rest() {}

    /// Ends the waiting of the thread `name` of this process.
    pub(crate) fn rouse(_name: &'static str) {}

    /// The monotonic time, where a world says it.
    pub(crate) fn now() -> Option<Instant> {
        None
    }

    /// Whether this thread is in a world.
    pub(crate) fn is_there() -> bool {
        false
    }

    /// A place for the thread `name` of this process, which is about to be started.
    pub(crate) fn seat(_name: &'static str) -> Seat {
        Seat
    }

    /// See [`seat`].
    pub(crate) struct Seat;

    impl Seat {
        /// Takes the place, for as long as the answer lives.
        pub(crate) fn enter(self) -> Seat {
            self
        }
    }

    /// Whether a deliberate break of the engine is switched on.
    pub(crate) const fn broken(_what: &'static str) -> bool {
        false
    }

    /// The process that this thread belongs to, and whether a process lives.
    pub(crate) fn process() -> Option<i64> {
        None
    }

    /// Whether a process of the world lives; `None` where it is not one of a world.
    pub(crate) fn lives(_process: i64) -> Option<bool> {
        None
    }
}

#[cfg(test)]
mod simulated {
    use crate::error::Result;
    use std::any::Any;
    use std::cell::RefCell;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    /// What a thread waits for when it hands its turn back.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Until {
        /// Its next turn.
        Turn,
        /// So much later, or until it is roused.
        Later(Duration),
        /// Until it is roused.
        Roused,
    }

    /// What takes the place of the machine.
    pub(crate) trait World: Send + Sync {
        /// The monotonic time.
        fn now(&self) -> Instant;
        /// Takes the turn from `seat`, and comes back when it is its turn again. Unwinds when its process is dead by then.
        fn turn(&self, seat: usize, at: &'static str, until: Until);
        /// Whether the process of `seat` ends here (by unwinding), or fails at what it is about to do.
        fn mortal(&self, seat: usize, at: &'static str) -> Result<()>;
        /// A new place for a thread of the same process.
        fn seat(&self, beside: usize, name: &'static str) -> usize;
        /// The thread begins, at its first turn.
        fn enter(&self, seat: usize);
        /// The thread has ended; so has its process, if it was the first of it.
        fn leave(&self, seat: usize);
        /// Ends the waiting of a thread of the same process.
        fn rouse(&self, seat: usize, name: &'static str);
        /// Whether a deliberate break is switched on.
        fn broken(&self, what: &'static str) -> bool;
        /// The process of a seat.
        fn process(&self, seat: usize) -> i64;
        /// Whether a process lives.
        fn lives(&self, process: i64) -> bool;
        /// For the tests that made it.
        fn as_any(&self) -> &dyn Any;
    }

    type Here = (Arc<dyn World>, usize);

    thread_local! {
        static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
    }

    /// The world that this thread is in, and its seat; none while it dies.
    pub(crate) fn here() -> Option<Here> {
        if std::thread::panicking() {
            return None;
        }
        HERE.with(|here| here.borrow().clone())
    }

    pub(crate) fn pass(at: &'static str) {
        if let Some((world, seat)) = here() {
            world.turn(seat, at, Until::Turn);
        }
    }

    pub(crate) fn mortal(at: &'static str) -> Result<()> {
        here().map_or(Ok(()), |(world, seat)| world.mortal(seat, at))
    }

    pub(crate) fn wait(at: &'static str, span: Duration) -> bool {
        here().is_some_and(|(world, seat)| {
            world.turn(seat, at, Until::Later(span));
            true
        })
    }

    pub(crate) fn rest() {
        if let Some((world, seat)) = here() {
            world.turn(seat, "rest", Until::Roused);
        }
    }

    pub(crate) fn rouse(name: &'static str) {
        if let Some((world, seat)) = here() {
            world.rouse(seat, name);
        }
    }

    pub(crate) fn now() -> Option<Instant> {
        HERE.with(|here| here.borrow().as_ref().map(|(world, _)| world.now()))
    }

    pub(crate) fn is_there() -> bool {
        HERE.with(|here| here.borrow().is_some())
    }

    pub(crate) fn broken(what: &'static str) -> bool {
        here().is_some_and(|(world, _)| world.broken(what))
    }

    pub(crate) fn process() -> Option<i64> {
        HERE.with(|here| here.borrow().as_ref().map(|(world, seat)| world.process(*seat)))
    }

    pub(crate) fn lives(process: i64) -> Option<bool> {
        HERE.with(|here| here.borrow().as_ref().map(|(world, _)| world.lives(process)))
    }

    pub(crate) fn seat(name: &'static str) -> Seat {
        Seat(here().map(|(world, own)| {
            let seat = world.seat(own, name);
            (world, seat)
        }))
    }

    /// A place in a world, or in none.
    pub(crate) struct Seat(pub(crate) Option<Here>);

    impl Seat {
        pub(crate) fn enter(self) -> Entered {
            let entered = Entered(self.0);
            if let Some((world, seat)) = &entered.0 {
                HERE.with(|here| *here.borrow_mut() = Some((Arc::clone(world), *seat)));
                // It may unwind: then the thread has been there all the same.
                world.enter(*seat);
            }
            entered
        }
    }

    /// The thread is in the world until this is dropped.
    pub(crate) struct Entered(Option<Here>);

    impl Drop for Entered {
        fn drop(&mut self) {
            if let Some((world, seat)) = self.0.take() {
                HERE.with(|here| *here.borrow_mut() = None);
                world.leave(seat);
            }
        }
    }
}
