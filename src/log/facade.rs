//! The `log` macros as a way into the journal: `log::info!` in a handler becomes a line of the day's file.
//!
//! env_logger filters the records and hands each over as one piece, which is one write. It reads no environment here.

use super::Journal;
use ::log::LevelFilter;
use env_logger::{Builder, Logger, Target};
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
