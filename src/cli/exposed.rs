//! What everybody on the machine may change of what the workers run, for `check`. Nothing is changed here.

use super::check::Finding;
use super::site::Site;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A note for each file or folder that everybody may write, and by which everybody may run anything as whoever runs the
/// workers: the configuration, the scripts, the programs of jobs, the files that these are given by name, and the folders
/// above them. A folder in which everybody can only take away what is his own (`/tmp`) is fine.
pub(super) fn exposed(site: &Site) -> Vec<Finding> {
    let config = &site.config;
    let mut files: BTreeSet<PathBuf> = config.file.iter().chain([&config.scripts_dir]).cloned().collect();
    // A folder of scripts that cannot be read is said by others.
    let scripts = config.scripts().unwrap_or_default();
    for command in config.jobs.iter().chain(&scripts).map(|job| &job.command) {
        // A program without a slash is looked for in the PATH, where the system's are.
        let words = command.argv.iter().enumerate().filter(|(at, word)| *at > 0 || Path::new(word).is_absolute());
        files.extend(words.map(|(_, word)| command.cwd.join(word)).filter(|file| file.is_file()));
    }
    // A link leads elsewhere, and both ways matter.
    let targets: Vec<PathBuf> = files.iter().filter_map(|file| file.canonicalize().ok()).collect();
    files.extend(targets);
    let ways: BTreeSet<&Path> = files.iter().flat_map(|file| file.ancestors()).collect();
    ways.into_iter().filter(|path| everybody_may_write(path)).map(note).collect()
}

fn everybody_may_write(path: &Path) -> bool {
    let Ok(meta) = path.metadata() else { return false };
    let keeps_others_files = meta.is_dir() && meta.mode() & 0o1000 != 0;
    meta.mode() & 0o002 != 0 && !keeps_others_files && (meta.is_dir() || meta.is_file())
}

fn note(path: &Path) -> Finding {
    let path = path.display();
    let what = format!("everybody may write {path}, and so run anything as whoever runs the workers");
    Finding::note(what, format!("chmod o-w {path}"))
}
