//! Telling systemd how it goes: datagrams to the socket that it names in `NOTIFY_SOCKET`. Without one, nothing is told.

use super::super::site::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Whoever wants to be told.
#[derive(Debug)]
pub(super) struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// It wants a sign of life.
    watchdog: bool,
    status: String,
}

impl Notify {
    /// Whom the environment names: a path, or `@` and the name of an abstract socket.
    pub(super) fn find() -> Notify {
        let named = env("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let to = named.and_then(|name| match (address(&name), UnixDatagram::unbound()) {
            (Ok(to), Ok(socket)) => Some((socket, to)),
            (Err(e), _) | (_, Err(e)) => {
                log::warn!("NOTIFY_SOCKET {name} cannot be used: {e}");
                None
            }
        });
        let meant = env("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        Notify { to, watchdog: meant && env("WATCHDOG_USEC").is_some(), status: String::new() }
    }

    /// It is up, with this status.
    pub(super) fn ready(&mut self, status: &str) {
        self.status = status.to_string();
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// It reads its configuration anew; [`ready`](Self::ready) ends that.
    pub(super) fn reloading(&self) {
        self.say("RELOADING=1\nSTATUS=reads the configuration anew");
    }

    /// It ends.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1\nSTATUS=ends its workers");
    }

    /// It gets on; and what its status is now.
    pub(super) fn alive(&mut self, status: &str) {
        if self.watchdog {
            self.say("WATCHDOG=1");
        }
        if self.status != status {
            self.status = status.to_string();
            self.say(&format!("STATUS={status}"));
        }
    }

    /// Who does not listen any more cannot be told, and nothing depends on it.
    fn say(&self, text: &str) {
        if let Some((socket, to)) = &self.to {
            let _ = socket.send_to_addr(text.as_bytes(), to);
        }
    }
}

fn address(name: &str) -> std::io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}
