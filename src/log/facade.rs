//! The `log` macros as a way into the journal: `log::info!` in a handler becomes a line of the day's file.
//!
//! env_logger filters the records and hands each over as one piece, which is one write. It reads no environment here.

use super::Journal;
use ::log::LevelFilter;
use env_logger::{Builder, Logger, Target};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::sync::Arc;

/// Libraries underneath, by the beginning of their targets: how they go about their work is of no interest to who
/// reads what became of the tasks.
const UNDERNEATH: [&str; 6] = ["tokio", "mio", "hyper", "h2", "rustls", "lapin"];

pub(super) fn logger(journal: &Arc<Journal>) -> Logger {
    let level = journal.settings.level;
    let mut builder = Builder::new();
    builder.filter_level(level);
    for target in UNDERNEATH {
        builder.filter_module(target, level.min(LevelFilter::Warn));
    }
    let from = Arc::clone(journal);
    builder.format(move |formatter, record| {
        let mut lines = from.lines();
        lines.add(from.clock.now_ms(), record.level(), &[], *record.args());
        formatter.write_all(lines.bytes())
    });
    builder.target(Target::Pipe(Box::new(Inlet(Arc::clone(journal))))).build()
}

/// Makes a panic of any thread one line of the journal, with where it was, and the backtrace if one is asked for by
/// `RUST_BACKTRACE`. Values that panic while they are written do so before a lock of the journal is taken.
pub(super) fn take_panics(journal: &Arc<Journal>) {
    let to = Arc::clone(journal);
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        let payload = panic.payload();
        let said = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let at = panic.location().map(|at| format!(" at {at}")).unwrap_or_default();
        let trace = Backtrace::capture();
        let trace = if trace.status() == BacktraceStatus::Captured { format!("\n{trace}") } else { String::new() };
        let mut lines = to.lines();
        let text = format_args!("thread {name} panicked{at}: {}{trace}", said.unwrap_or("(no words)"));
        lines.add(to.clock.now_ms(), ::log::Level::Error, &[], text);
        to.append(&lines);
    }));
}

/// Takes formatted lines; always all of them.
struct Inlet(Arc<Journal>);

impl Write for Inlet {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let count = lines.iter().filter(|byte| **byte == b'\n').count();
        self.0.put(lines, count as u64);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
