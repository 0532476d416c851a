//! Spans of time, sizes and databases as people write them: read or refused, and what was read is written so that it reads
//! back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowmill::config::database_path;
use rowmill::task::{parse_size, parse_span, size_text, span_text};
use std::path::Path;

fuzz_target!(|text: &str| {
    if let Ok(bytes) = parse_size(text) {
        assert!(bytes <= 1 << 40);
        assert_eq!(parse_size(&size_text(bytes)), Ok(bytes));
    }
    if let Ok(ms) = parse_span(text) {
        // The text has two units, the rest is left out; once that is done nothing more is lost.
        let shown = parse_span(&span_text(ms)).expect("what is written is a span");
        assert!(shown <= ms);
        assert_eq!(span_text(shown), span_text(ms));
    }
    if let Ok(path) = database_path(text, Path::new("/srv")) {
        assert!(path.is_absolute() && !path.as_os_str().is_empty());
    }
});
