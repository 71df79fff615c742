//! `MONITOR`: clients that are shown every command.

use super::mailbox::{Mail, Outbox};
use crate::commands::spec::Flags;
use crate::commands::table::Command;
use crate::execute::Gates;
use crate::keyspace::DbIndex;
use crate::net::ClientInfo;
use crate::observe;
use crate::protocol::Args;
use crate::server::Server;
use crate::time;
use bytes::Bytes;
use parking_lot::Mutex;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Whether a command is shown when it has been executed. Those that run others show
/// themselves before.
pub fn is_shown(command: &Command) -> bool {
    !command.flags.intersects(Flags::SKIP_MONITOR | Flags::ADMIN)
}

/// Clients that are shown every command. [`Gates::MONITORED`] says whether there are any.
#[derive(Default)]
pub struct Monitors {
    clients: Mutex<Vec<Arc<ClientInfo>>>,
}

impl Monitors {
    /// Adds a client; false if it is one already.
    pub fn add(&self, server: &Server, client: &Arc<ClientInfo>) -> bool {
        if client.monitors.swap(true, Ordering::Relaxed) {
            return false;
        }
        let mut clients = self.clients.lock();
        clients.push(Arc::clone(client));
        server.gates.set(Gates::MONITORED, true);
        true
    }

    /// Takes a client away if it is one.
    pub fn remove(&self, server: &Server, client: &ClientInfo) {
        if client.monitors.swap(false, Ordering::Relaxed) {
            let mut clients = self.clients.lock();
            clients.retain(|other| other.id != client.id);
            server.gates.set(Gates::MONITORED, !clients.is_empty());
        }
    }

    /// Shows a command that was executed in `db` for whoever is at `address`.
    pub fn show(
        &self,
        server: &Server,
        (db, address): (DbIndex, &str),
        command: &Command,
        args: Args<'_>,
        outbox: &mut Outbox,
    ) {
        let line = Bytes::from(line(db, address, command, args));
        for client in self.clients.lock().iter() {
            outbox.post(server, client, Mail::Raw(line.clone()));
        }
    }
}

fn line(db: DbIndex, address: &str, command: &Command, args: Args<'_>) -> Vec<u8> {
    let now = time::unix_micros();
    let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
    let mut line = Vec::with_capacity(64 + args.len() * 16);
    // Writing to a vector does not fail.
    let _ = write!(line, "+{seconds}.{micros:06} [{} {address}]", db.0);
    for (i, arg) in args.iter().enumerate() {
        let arg = match observe::is_secret(command, args, i) {
            true => b"(redacted)",
            false => arg,
        };
        line.extend_from_slice(b" \"");
        arg.iter().for_each(|byte| push_quoted(&mut line, *byte));
        line.push(b'"');
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// One byte as Redis quotes it.
fn push_quoted(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0x07 => out.extend_from_slice(b"\\a"),
        0x08 => out.extend_from_slice(b"\\b"),
        b' '..=b'~' => out.push(byte),
        _ => {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}
