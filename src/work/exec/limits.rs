//! What a program may use, and as whom it runs: what the configuration says, turned into what the child is to do.
//!
//! All of it is worked out before the fork; the child only makes the system calls. A limit is never above what this
//! process itself may use, since only root could ask for more.

use super::launch::{Person, Terms};
use super::user;
use super::{Command, Limits};
use crate::task::Policy;
use rustix::process::{Gid, Resource, Rlimit, Uid, getegid, geteuid, getrlimit};

/// The longest output that is logged of one run if nothing else is said, in bytes.
const OUTPUT_BYTES: u64 = 1024 * 1024;

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory_bytes: None, cpu_ms: None, output_bytes: OUTPUT_BYTES, nice: None }
    }
}

impl Limits {
    /// The processor time that a program may use, in whole seconds as the kernel counts them: rounded up, at least one.
    fn cpu_s(&self) -> Option<u64> {
        self.cpu_ms.map(|ms| ms.div_ceil(1_000).max(1))
    }

    /// The processor time at which it gets SIGXCPU, and the one at which it is killed; in milliseconds.
    pub(super) fn cpu_bounds_ms(&self, policy: &Policy) -> Option<(u64, u64)> {
        let grace_s = policy.grace_ms.div_ceil(1_000).max(1);
        self.cpu_s().map(|s| (s.saturating_mul(1_000), s.saturating_add(grace_s).saturating_mul(1_000)))
    }
}

/// What the child does before it becomes the program; and the person that it becomes, if it is to be another.
pub(super) fn terms(command: &Command, policy: &Policy) -> Result<(Terms, Option<user::Account>), String> {
    let account = match &command.user {
        Some(user) => Some(user.find()?.needed(geteuid().as_raw(), getegid().as_raw())?),
        None => None,
    };
    let memory = command.limits.memory_bytes.map(|bytes| within(Resource::As, bytes, bytes));
    let cpu =
        command.limits.cpu_bounds_ms(policy).map(|(soft, hard)| within(Resource::Cpu, soft / 1_000, hard / 1_000));
    let person = account.as_ref().filter(|account| account.switch).map(|account| Person {
        uid: Uid::from_raw(account.uid),
        gid: Gid::from_raw(account.gid),
        groups: account.groups.iter().map(|gid| Gid::from_raw(*gid)).collect(),
    });
    Ok((Terms { nice: command.limits.nice, person, memory, cpu }, account))
}

/// A limit, lowered to what this process may use itself.
fn within(resource: Resource, soft: u64, hard: u64) -> Rlimit {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) }
}
