//! A resident scheduler that ends, with its workers, when the value goes.

use std::error::Error;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

use crate::rig::program::Program;

pub(crate) struct Resident(Child);

impl Resident {
    pub(crate) fn start(program: &Program) -> Result<Self, Box<dyn Error>> {
        Ok(Resident(program.command(&["run"]).spawn()?))
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}
