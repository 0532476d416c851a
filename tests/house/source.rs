//! The files of this repository that the rules are held against.
//!
//! They are read from the folder of the package, not asked of git, so that the rules also hold in an unpacked archive
//! and see a file before it is added.

use std::fs;
use std::path::Path;

/// A file: its path from the root of the repository, with `/`, and its text.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// A file as a test plants it.
    pub(crate) fn new(path: &str, text: &str) -> File {
        File { path: path.to_string(), text: text.to_string() }
    }

    /// The same for a file of a room: its path is the one below `src`.
    pub(crate) fn of_room(path: &str, text: &str) -> File {
        File::new(&format!("src/{path}"), text)
    }

    /// The path of a file of a room, below `src`.
    pub(crate) fn in_room(&self) -> Option<&str> {
        self.path.strip_prefix("src/")
    }

    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// One finding about a line of it.
    pub(crate) fn finding(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// What a person wrote and others read: sources, the contract, pages and scripts. Left out are what programs wrote
/// (`target`, lock files, databases, logs) and the licence texts.
pub(crate) fn repository() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "jobs", "tests", "benches", "examples", "docs", ".ci", ".github"] {
        walk(root, folder, &mut files);
    }
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let written = [".md", ".toml", ".sql", ".example", ".rs"].iter().any(|end| name.ends_with(end));
        if written && entry.file_type().unwrap().is_file() {
            read(root, name, &mut files);
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.iter().any(|file| file.path == "src/lib.rs"), "the walk misses src/lib.rs");
    files
}

fn walk(root: &Path, folder: &str, files: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    for entry in entries.map(Result::unwrap) {
        let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            walk(root, &path, files);
        } else {
            read(root, path, files);
        }
    }
}

/// Bytes that are not text (a picture in the pages, a recorded database) are nobody's house, nor are lock files.
fn read(root: &Path, path: String, files: &mut Vec<File>) {
    if path.ends_with(".lock") {
        return;
    }
    if let Ok(text) = String::from_utf8(fs::read(root.join(&path)).unwrap()) {
        files.push(File { path, text });
    }
}
