//! Connections to other servers, kept for a while: keys are seldom migrated alone.

use crate::time::{Duration, Instant};
use parking_lot::Mutex;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

/// Another server, and as whom to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// As whom, if that has to be said.
    pub login: Option<Login>,
}

/// A user's name, unless it is the default user, and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: Option<Vec<u8>>,
    /// The password.
    pub password: Vec<u8>,
}

/// A connection.
pub(super) struct Socket {
    stream: BufReader<TcpStream>,
    /// The database that it has selected, by the client's words.
    pub db: Option<i64>,
    pub logged_in: bool,
    /// Whether it was used before.
    pub is_old: bool,
}

impl Socket {
    /// Connects; errors are told as Redis does, which connects without waiting.
    pub fn connect(target: &Target, timeout: Duration) -> Result<Socket, &'static str> {
        let address = (target.host.as_str(), target.port).to_socket_addrs();
        let address = address.ok().and_then(|mut all| all.next());
        let address = address.ok_or(CONNECTING)?;
        let stream =
            TcpStream::connect_timeout(&address, timeout).map_err(|error| match error.kind() {
                ErrorKind::TimedOut | ErrorKind::WouldBlock => CONNECTING,
                _ => WRITING,
            })?;
        stream.set_nodelay(true).map_err(|_| CONNECTING)?;
        Ok(Socket {
            stream: BufReader::new(stream),
            db: None,
            logged_in: false,
            is_old: false,
        })
    }

    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(timeout))?;
        self.stream.get_ref().set_write_timeout(Some(timeout))
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// This end's address, as the other server shows it.
    pub fn local_address(&self) -> Option<String> {
        let address = self.stream.get_ref().local_addr().ok()?;
        Some(address.to_string())
    }

    /// The next answer: a line, without its end.
    pub fn answer(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            if line.len() > LONGEST_ANSWER {
                return Err(io::Error::other("an answer that does not end"));
            }
            self.stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        line.truncate(line.len() - 2);
        Ok(line)
    }
}

/// Connections that are not in use.
#[derive(Default)]
pub struct Sockets {
    idle: Mutex<Vec<(Target, Socket, Instant)>>,
}

impl Sockets {
    /// One to this server, if there is one.
    pub(super) fn take(&self, target: &Target) -> Option<Socket> {
        let mut idle = self.idle.lock();
        let at = idle.iter().position(|(of, ..)| of == target)?;
        let (_, mut socket, _) = idle.swap_remove(at);
        socket.is_old = true;
        Some(socket)
    }

    /// Keeps one for the next time.
    pub(super) fn put(&self, target: Target, socket: Socket) {
        let mut idle = self.idle.lock();
        if idle.len() < MOST_IDLE {
            idle.push((target, socket, Instant::now()));
        }
    }

    /// Closes those that nobody has used for a while.
    pub fn close_idle(&self) {
        let mut idle = self.idle.lock();
        if !idle.is_empty() {
            idle.retain(|(_, _, since)| since.elapsed() < KEPT_FOR);
        }
    }
}

pub(super) const CONNECTING: &str = "IOERR error or timeout connecting to the client";
pub(super) const WRITING: &str = "IOERR error or timeout writing to target instance";
pub(super) const READING: &str = "IOERR error or timeout reading to target instance";
const KEPT_FOR: Duration = Duration::from_secs(10);
const MOST_IDLE: usize = 64;
const LONGEST_ANSWER: usize = 64 * 1024;
