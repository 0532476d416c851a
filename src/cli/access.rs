//! Who can get at the files of an installation, for `check`: what a user, or the group that shares it, cannot read or
//! write, and the command that mends it. Nothing is changed here.

use super::check::Finding;
use super::site::Site;
use crate::error::Kind;
use crate::log;
use crate::share::{Group, Want, group_name, user_name};
use crate::store::sqlite;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is to be said, in the order of the way in: the folders above, the database's, its files, the log.
pub(super) fn access(site: &Site) -> Vec<Finding> {
    match site.group() {
        // One that is not there is a mistake of the configuration, and said with the others.
        Err(e) if e.kind() == Kind::Usage => Vec::new(),
        Err(e) => vec![Finding::wrong(&e)],
        Ok(None) => alone(site),
        Ok(Some(group)) => {
            let mut found = way_in(site, &group);
            found.extend(workers_of_root(site));
            found.extend(database(site, &group));
            found.extend(journal(site, &group));
            found.extend(configuration(site, &group));
            found
        }
    }
}

/// What the user who asks cannot write, where the files are their owner's alone.
fn alone(site: &Site) -> Vec<Finding> {
    let mut run = site.database.clone().into_os_string();
    run.push("-run");
    let run = PathBuf::from(run);
    let folder = site.database.parent().map(Path::to_path_buf);
    let locks = std::fs::read_dir(&run).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = std::fs::read_dir(&site.config.log_dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = logs.filter(|path| path.file_name().is_some_and(|name| name == "rowmill.log"));
    let files =
        folder.into_iter().chain([site.database.clone(), run]).chain(locks).chain([site.config.log_dir.clone()]);
    let closed = |path: &PathBuf| path.symlink_metadata().is_ok() && !may_write(path);
    let closed: Vec<PathBuf> = files.chain(logs).filter(closed).collect();
    let mut found = Vec::new();
    if let Some(first) = closed.first() {
        let own = user_name(rustix::process::geteuid().as_raw());
        let owner = site.database.metadata().map_or(own.clone(), |found| user_name(found.uid()));
        let what = format!("`{own}` cannot write {}{}", first.display(), and_more(closed.len()));
        let hint = format!("call this as {owner}; or have a group share them, see `group` in rowmill.toml");
        found.push(Finding::error(what, hint));
    }
    if let Some(database) = site.database.metadata().ok().filter(|found| found.mode() & 0o022 != 0) {
        let path = site.database.display();
        let who = if database.mode() & 0o002 != 0 {
            "everybody".into()
        } else {
            format!("the group `{}`", group_name(database.gid()))
        };
        let what = format!("{who} may write {path}, and no `group` is configured");
        found.push(Finding::note(what, format!("name it as `group`; or, if nobody else needs it: chmod 600 {path}")));
    }
    found
}

fn may_write(path: &Path) -> bool {
    accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// The folders above the database's and the log's that members cannot enter.
fn way_in(site: &Site, group: &Group) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut above: Vec<&Path> =
        site.database.parent().into_iter().flat_map(|folder| folder.ancestors().skip(1)).collect();
    above.extend(site.config.log_dir.ancestors().skip(1));
    above.sort();
    above.dedup();
    for folder in above {
        let Ok(meta) = folder.metadata() else { continue };
        if meta.mode() & 0o001 == 0 && !(meta.gid() == group.gid && meta.mode() & 0o010 != 0) {
            let what = format!("members of the group `{}` cannot enter {}", group.name, folder.display());
            found.push(Finding::error(what, format!("chmod o+x {}", folder.display())));
        }
    }
    found
}

/// Workers of root with files that others may write.
fn workers_of_root(site: &Site) -> Option<Finding> {
    let owner = site.database.metadata().ok()?.uid();
    let what =
        format!("{} is root's: members of the group can have root's workers end any process", site.database.display());
    let hint = "let a user of its own, who is a member, own the installation and run the workers";
    (owner == 0).then(|| Finding::note(what, hint))
}

fn database(site: &Site, group: &Group) -> Vec<Finding> {
    let files = match sqlite::files(&site.database, group) {
        Ok(files) => files,
        // A folder that is not there is said with the database.
        Err(_) => return Vec::new(),
    };
    let mut found = Vec::new();
    let (folder, want) = &files.folder;
    let path = folder.display();
    if let Ok(meta) = folder.metadata() {
        let shared = meta.gid() == group.gid && meta.mode() & 0o2070 == 0o2070;
        let beside = [site.config.file.as_ref(), Some(&site.config.scripts_dir)].into_iter().flatten();
        let exposed: Vec<&PathBuf> = beside.filter(|path| path.starts_with(folder) && path.exists()).collect();
        if files.folder_is_ours && (!shared || meta.mode() & 0o7777 != want.mode) {
            found.push(differs(folder, &meta, group, want, 1));
        } else if !shared {
            let what =
                format!("{path} is not a folder in which the group `{}` shares a database: {}", group.name, is(&meta));
            let hint = if exposed.is_empty() {
                format!("chgrp {} {path} && chmod 2770 {path}", group.name)
            } else {
                own_folder(&files.database, group)
            };
            found.push(Finding::error(what, hint));
        } else if let Some(first) = exposed.first() {
            let what = format!(
                "members of the group `{}` may replace {}, and so run anything as whoever runs the workers",
                group.name,
                first.display()
            );
            found.push(Finding::note(what, own_folder(&files.database, group)));
        }
    }
    found.extend(wrong_ones(&files.files, group));
    found
}

/// How a database gets a folder of its own.
fn own_folder(database: &Path, group: &Group) -> String {
    let name = database.file_name().unwrap_or_default().to_string_lossy();
    let folder = database.with_file_name("queue");
    let folder = folder.display();
    format!(
        "give the database a folder of its own: rowmill stop; mkdir {folder} && chgrp {} {folder} && chmod 2770 {folder} && \
         mv {database}* {folder}/; then `database = \"queue/{name}\"`, rowmill migrate, rowmill start",
        group.name,
        database = database.display(),
    )
}

fn journal(site: &Site, group: &Group) -> Vec<Finding> {
    let dir = &site.config.log_dir;
    let files = match log::files(dir, group) {
        Ok(Some(files)) => files,
        Ok(None) => return Vec::new(),
        Err(e) => {
            return vec![Finding::error(format!("{} cannot be read: {e}", dir.display()), owner_s(dir, group, 0o2750))];
        }
    };
    let mut found = Vec::new();
    let (folder, want) = &files.folder;
    if let Ok(meta) = folder.metadata() {
        let open = meta.mode() & 0o005 == 0o005 || meta.gid() == group.gid && meta.mode() & 0o050 == 0o050;
        if files.folder_is_ours && (meta.gid() != group.gid || meta.mode() & 0o7777 != want.mode) {
            found.push(differs(folder, &meta, group, want, 1));
        } else if !open {
            let what = format!("the group `{}` cannot read {}: {}", group.name, folder.display(), is(&meta));
            found.push(Finding::error(what, owner_s(folder, group, want.mode)));
        }
        if !may_write(folder) {
            let (own, owner) = (user_name(rustix::process::geteuid().as_raw()), user_name(meta.uid()));
            let what = format!("`{own}` reads the log and does not write it: it is {owner}'s");
            let hint = format!("tick, drain and work are for {owner} or root; work and drain also with --log stderr");
            found.push(Finding::note(what, hint));
        }
    }
    found.extend(wrong_ones(&files.files, group));
    found
}

fn owner_s(path: &Path, group: &Group, mode: u32) -> String {
    format!("chgrp {} {path} && chmod {mode:o} {path}", group.name, path = path.display())
}

/// The configuration, which members read when they call a command.
fn configuration(site: &Site, group: &Group) -> Option<Finding> {
    let file = site.config.file.as_ref()?;
    let meta = file.metadata().ok()?;
    let open = meta.mode() & 0o004 != 0 || meta.gid() == group.gid && meta.mode() & 0o040 != 0;
    let what = || format!("members of the group `{}` cannot read {}: {}", group.name, file.display(), is(&meta));
    (!open).then(|| Finding::note(what(), owner_s(file, group, 0o640)))
}

/// What is said of files that are not as they are to be: one finding for each owner and kind.
fn wrong_ones(files: &[(PathBuf, Want)], group: &Group) -> Vec<Finding> {
    let mut wrong: Vec<(&Path, Metadata, &Want)> = Vec::new();
    for (path, want) in files {
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.gid() != group.gid || meta.mode() & 0o7777 != want.mode || meta.is_symlink() {
            wrong.push((path, meta, want));
        }
    }
    let mut found = Vec::new();
    while let Some((first, meta, want)) = wrong.first() {
        let alike = |other: &Metadata| {
            let key =
                |meta: &Metadata| (meta.uid(), meta.gid(), meta.mode() & 0o7777, meta.is_symlink(), meta.nlink() > 1);
            key(other) == key(meta)
        };
        let count = wrong.iter().filter(|(_, other, at)| alike(other) && at.mode == want.mode).count();
        found.push(differs(first, meta, group, want, count));
        let (meta, mode) = (meta.clone(), want.mode);
        let key = |meta: &Metadata| (meta.uid(), meta.gid(), meta.mode() & 0o7777, meta.is_symlink(), meta.nlink() > 1);
        wrong.retain(|(_, other, at)| key(other) != key(&meta) || at.mode != mode);
    }
    found
}

/// What a file is, and what it is to be.
fn differs(path: &Path, meta: &Metadata, group: &Group, want: &Want, count: usize) -> Finding {
    let shown = format!("{}{}", path.display(), and_more(count));
    if meta.is_symlink() || (meta.is_file() && meta.nlink() > 1) {
        let what = format!("{shown} is a link, or has more than one name, and is not shared");
        return Finding::error(what, "stop the workers and take it away");
    }
    let what = format!("{shown}: {}, not group `{}` and mode {:04o}", is(meta), group.name, want.mode);
    Finding::error(what, format!("rowmill migrate, called by {} or root; so does the next tick", user_name(meta.uid())))
}

fn is(meta: &Metadata) -> String {
    let (owner, group) = (user_name(meta.uid()), group_name(meta.gid()));
    format!("it belongs to {owner}, group `{group}`, mode {:04o}", meta.mode() & 0o7777)
}

fn and_more(count: usize) -> String {
    if count > 1 { format!(" and {} more", count - 1) } else { String::new() }
}
