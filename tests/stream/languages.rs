//! The examples of `docs/stream.md`, taken from the page and run in their languages with the files of `jobs/stream/`.
