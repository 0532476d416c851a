//! An installation that a group shares: whose the files are, who can work with them, and what is said to who cannot.
//!
//! Most of it needs root, which calls the program as several users: `daemon` owns the installation, `bin` is a member of
//! the group `www-data` by its further groups, `nobody` is not. All are on every Debian machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends at the first thing that cannot be"
)]

mod installation;
mod needs;

mod sharing {
    mod later;
    mod members;
    mod modes;
    mod place;
    mod readers;
    mod root;
    mod strangers;
}
