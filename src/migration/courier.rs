//! The thread that carries parcels to another server and brings the answers back.

use super::sockets::{READING, Socket, Target, WRITING};
use super::{Order, Parcel};
use crate::keyspace::DbIndex;
use crate::protocol::{encode_bulk, encode_header};
use crate::server::Server;
use crate::time::Duration;
use parking_lot::Mutex;
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// One journey.
#[derive(Default)]
pub struct Courier {
    report: Mutex<Option<Report>>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// For each parcel, whether the other server has done what it was asked.
    pub done: Vec<bool>,
    /// The first thing that went wrong, as the client is told of it.
    pub error: Option<String>,
}

impl Courier {
    /// Sends parcels from a database here to one of another server, on a thread of its own.
    pub fn send(
        server: &'static Server,
        target: Target,
        (away_from, db): (DbIndex, i64),
        timeout: Duration,
        parcels: Vec<Parcel>,
    ) -> Arc<Courier> {
        let courier = Arc::new(Courier {
            report: Mutex::new(None),
        });
        let (mine, count) = (Arc::clone(&courier), parcels.len());
        let spawned = std::thread::Builder::new()
            .name("migrate".into())
            .spawn(move || {
                let report = carry(
                    server,
                    target,
                    (i64::from(away_from.0), db),
                    timeout,
                    &parcels,
                );
                *mine.report.lock() = Some(report);
                server.wake_ack_waiters();
            });
        if let Err(error) = spawned {
            *courier.report.lock() = Some(Report {
                done: vec![false; count],
                error: Some(format!("ERR no thread for MIGRATE: {error}")),
            });
        }
        courier
    }

    /// Whether the answers are there.
    pub fn is_done(&self) -> bool {
        self.report.lock().is_some()
    }

    /// The answers, once.
    pub fn take_report(&self) -> Option<Report> {
        self.report.lock().take()
    }
}

fn carry(
    server: &'static Server,
    target: Target,
    (away_from, db): (i64, i64),
    timeout: Duration,
    parcels: &[Parcel],
) -> Report {
    let mut old = server.migration_sockets.take(&target);
    loop {
        let socket = match old.take() {
            Some(socket) => Ok(socket),
            None => Socket::connect(&target, timeout),
        };
        let mut report = Report {
            done: vec![false; parcels.len()],
            error: None,
        };
        let mut socket = match socket {
            Ok(socket) => socket,
            Err(error) => {
                report.error = Some(error.into());
                return report;
            }
        };
        let was_old = socket.is_old;
        match exchange(&mut socket, &target, db, timeout, parcels, &mut report) {
            Ok(()) => {
                if away_from == db && leads_back(server, &socket) {
                    // What was made over there is what would be deleted here.
                    report.done.fill(false);
                    report.error = Some(LEADS_BACK.into());
                }
                server.migration_sockets.put(target, socket);
                return report;
            }
            // An old connection may have been closed while nobody looked.
            Err(fault) if was_old && fault.before_any_answer => {}
            Err(fault) => {
                report.error.get_or_insert_with(|| fault.text.into());
                return report;
            }
        }
    }
}

/// Whether the other server is this one: its clients are ours.
fn leads_back(server: &Server, socket: &Socket) -> bool {
    let address = socket.local_address();
    address.is_some_and(|address| server.clients.all().iter().any(|c| *c.addr == address))
}

/// The connection is of no more use.
struct Fault {
    text: &'static str,
    /// Nothing came back, and not because it was late.
    before_any_answer: bool,
}

fn exchange(
    socket: &mut Socket,
    target: &Target,
    db: i64,
    timeout: Duration,
    parcels: &[Parcel],
    report: &mut Report,
) -> Result<(), Fault> {
    let writing = |error: io::Error| fault(WRITING, &error, true);
    socket.set_timeout(timeout).map_err(writing)?;
    let logs_in = target.login.is_some() && !socket.logged_in;
    let selects = socket.db != Some(db);
    let mut out = Vec::new();
    if logs_in {
        put_login(&mut out, target);
    }
    if selects {
        encode_header(&mut out, b'*', 2);
        encode_bulk(&mut out, b"SELECT");
        encode_bulk(&mut out, itoa::Buffer::new().format(db).as_bytes());
    }
    for parcel in parcels {
        put_parcel(&mut out, parcel);
        if out.len() >= WRITE_AT_ONCE {
            socket.write(&out).map_err(writing)?;
            out.clear();
        }
    }
    socket.write(&out).map_err(writing)?;
    let mut first = true;
    let mut answer = |socket: &mut Socket| {
        let line = socket
            .answer()
            .map_err(|error| fault(READING, &error, first))?;
        first = false;
        Ok::<_, Fault>(line)
    };
    for asked in [logs_in, selects] {
        if !asked {
            continue;
        }
        if let Some(error) = error_of(&answer(socket)?) {
            // What follows was done as somebody else, or elsewhere: the other answers are of
            // no use, and neither is the connection.
            report.error = Some(error);
            return Err(Fault {
                text: READING,
                before_any_answer: false,
            });
        }
    }
    socket.logged_in |= logs_in;
    socket.db = Some(db);
    for done in &mut report.done {
        match error_of(&answer(socket)?) {
            None => *done = true,
            Some(error) => {
                report.error.get_or_insert(error);
            }
        }
    }
    Ok(())
}

fn fault(text: &'static str, error: &io::Error, before_any_answer: bool) -> Fault {
    let late = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock);
    Fault {
        text,
        before_any_answer: before_any_answer && !late,
    }
}

/// The text for an answer that is an error.
fn error_of(line: &[u8]) -> Option<String> {
    let text = line.strip_prefix(b"-")?;
    let text = String::from_utf8_lossy(text);
    Some(format!("ERR Target instance replied with error: {text}"))
}

fn put_login(out: &mut Vec<u8>, target: &Target) {
    let Some(login) = &target.login else {
        return;
    };
    encode_header(out, b'*', if login.user.is_some() { 3 } else { 2 });
    encode_bulk(out, b"AUTH");
    if let Some(user) = &login.user {
        encode_bulk(out, user);
    }
    encode_bulk(out, &login.password);
}

fn put_parcel(out: &mut Vec<u8>, parcel: &Parcel) {
    match &parcel.order {
        Order::Restore {
            payload,
            ttl_ms,
            replace,
        } => {
            encode_header(out, b'*', if *replace { 5 } else { 4 });
            encode_bulk(out, b"RESTORE");
            encode_bulk(out, &parcel.key);
            encode_bulk(out, itoa::Buffer::new().format(*ttl_ms).as_bytes());
            encode_bulk(out, payload);
            if *replace {
                encode_bulk(out, b"REPLACE");
            }
        }
        Order::Delete => {
            encode_header(out, b'*', 2);
            encode_bulk(out, b"DEL");
            encode_bulk(out, &parcel.key);
        }
    }
}

const LEADS_BACK: &str = "ERR the target of MIGRATE is this database";
const WRITE_AT_ONCE: usize = 256 * 1024;
