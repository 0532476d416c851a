//! What is printed from the flags and their help texts alone: completions of shells, and manual pages.

use super::args::Cli;
use super::{Verdict, print};
use crate::error::{Error, Result};
use clap::CommandFactory;
use clap_complete::Shell;

pub(super) fn completions(shell: Shell) -> Result<Verdict> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rowmill", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Well)
}

pub(super) fn man(command: Option<&str>) -> Result<Verdict> {
    let mut program = Cli::command();
    program.build();
    let page = match command {
        None => program,
        Some(name) => {
            let shown = program.find_subcommand(name).filter(|found| !found.is_hide_set());
            let unknown = || Error::usage(format!("there is no command `{name}`")).hint("`rowmill help` lists them");
            shown.ok_or_else(unknown)?.clone()
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    print(&String::from_utf8_lossy(&text))?;
    Ok(Verdict::Well)
}
