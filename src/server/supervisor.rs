//! The service supervisor that started this process, if one did: it is told when the server
//! is ready and when it stops.
//!
//! systemd gives the address of a datagram socket (`sd_notify(3)`); a unit of `Type=notify`
//! counts as failed until it hears `READY=1`. Upstart waits for the process to stop itself.

use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Who supervises the process.
#[derive(Debug)]
pub enum Supervisor {
    /// Nobody that wants to be told.
    None,
    /// systemd, at this socket.
    Systemd(OsString),
    /// Upstart.
    Upstart,
}

impl Supervisor {
    /// The one that `supervised` names, where it left what it must leave in the environment.
    pub fn find(supervised: &str) -> Supervisor {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty());
        let upstart = std::env::var_os("UPSTART_JOB").is_some();
        match (supervised, socket) {
            ("upstart" | "auto", _) if upstart => Supervisor::Upstart,
            ("systemd" | "auto", Some(socket)) => Supervisor::Systemd(socket),
            ("systemd", None) => {
                tracing::warn!("systemd supervision requested, but NOTIFY_SOCKET is not set");
                Supervisor::None
            }
            ("upstart", _) => {
                tracing::warn!("upstart supervision requested, but UPSTART_JOB is not set");
                Supervisor::None
            }
            _ => Supervisor::None,
        }
    }

    /// As `INFO` shows it.
    pub fn name(&self) -> &'static str {
        match self {
            Supervisor::None => "no",
            Supervisor::Systemd(_) => "systemd",
            Supervisor::Upstart => "upstart",
        }
    }

    /// The files are being loaded.
    pub fn loading(&self) {
        self.tell("STATUS=Loading the data\n");
    }

    /// Clients are served.
    pub fn ready(&self) {
        self.tell("STATUS=Ready to accept connections\nREADY=1\n");
        if let Supervisor::Upstart = self {
            // Upstart sees the process stop and lets it go on.
            let _ = nix::sys::signal::raise(Signal::SIGSTOP);
        }
    }

    /// The process ends soon.
    pub fn stopping(&self) {
        self.tell("STATUS=Stopping\nSTOPPING=1\n");
    }

    fn tell(&self, state: &str) {
        if let Supervisor::Systemd(socket) = self
            && let Err(error) = send(socket, state)
        {
            tracing::warn!(%error, "systemd cannot be told of the server's state");
        }
    }
}

fn send(socket: &OsString, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}
