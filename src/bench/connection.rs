//! One connection of the load: a non-blocking socket, what is still to send, and what has
//! come but is not yet a whole reply.

use super::options::{BenchError, Options};
use super::scan::{Kind, Scan, scan};
use crate::protocol::OwnedArgs;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A connection and the operations in flight on it.
pub struct Connection {
    socket: Socket,
    /// Requests not yet sent; the engine appends here.
    pub out: Vec<u8>,
    sent: usize,
    /// The beginning of a reply whose end has not come.
    partial: Vec<u8>,
    /// When each operation in flight began, oldest first.
    pub begun: VecDeque<Instant>,
    /// Replies of the oldest operation that have come.
    pub replies: u32,
    /// Whether the poll now also asks for writability.
    pub polls_writable: bool,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(tcp) => tcp.as_fd(),
            Socket::Unix(unix) => unix.as_fd(),
        }
    }
}

impl Connection {
    /// Connects, authenticates, chooses the acknowledgement level, and becomes non-blocking.
    pub fn open(options: &Options) -> Result<Self, BenchError> {
        let socket = match &options.unix {
            Some(path) => Socket::Unix(UnixStream::connect(path)?),
            None => {
                let tcp = TcpStream::connect((options.host.as_str(), options.port))?;
                tcp.set_nodelay(true)?;
                Socket::Tcp(tcp)
            }
        };
        let mut connection = Connection {
            socket,
            out: Vec::new(),
            sent: 0,
            partial: Vec::new(),
            begun: VecDeque::new(),
            replies: 0,
            polls_writable: false,
        };
        connection.set_read_timeout(Some(PREPARATION_TIMEOUT))?;
        if let Some(password) = &options.auth {
            connection.prepare(&["AUTH", password])?;
        }
        if let Some(level) = &options.sync {
            connection.prepare(&["CLIENT", "SYNC", level])?;
        }
        // What does not speak the protocol shall say so now, not after fifty connections.
        connection.prepare(&["PING"])?;
        match &connection.socket {
            Socket::Tcp(tcp) => tcp.set_nonblocking(true)?,
            Socket::Unix(unix) => unix.set_nonblocking(true)?,
        }
        Ok(connection)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(tcp) => tcp.set_read_timeout(timeout),
            Socket::Unix(unix) => unix.set_read_timeout(timeout),
        }
    }

    /// Sends a command and waits for its reply, before the run.
    fn prepare(&mut self, args: &[&str]) -> Result<(), BenchError> {
        OwnedArgs::of(args).view().encode_into(&mut self.out);
        self.flush()?;
        let mut space = [0u8; 4096];
        let mut answer = None;
        let deadline = Instant::now() + PREPARATION_TIMEOUT;
        while answer.is_none() {
            if Instant::now() >= deadline {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            self.receive(&mut space, |reply, kind| {
                answer = Some((String::from_utf8_lossy(reply).trim().to_owned(), kind));
            })?;
        }
        match answer {
            Some((text, Kind::Error)) => Err(BenchError::Preparation(args[0].to_owned(), text)),
            _ => Ok(()),
        }
    }

    /// Reads once and hands over each whole reply.
    ///
    /// # Errors
    /// When the socket fails or is closed, or the bytes are no reply.
    #[inline]
    pub fn receive(
        &mut self,
        space: &mut [u8],
        mut each: impl FnMut(&[u8], Kind),
    ) -> Result<(), BenchError> {
        let read = match &mut self.socket {
            Socket::Tcp(tcp) => tcp.read(space),
            Socket::Unix(unix) => unix.read(space),
        };
        let n = match read {
            Ok(0) => return Err(BenchError::Closed),
            Ok(n) => n,
            Err(error) if is_transient(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // Replies mostly come whole: they are looked at where the kernel put them.
        if self.partial.is_empty() {
            let used = take_replies(&space[..n], &mut each)?;
            self.partial.extend_from_slice(&space[used..n]);
        } else {
            self.partial.extend_from_slice(&space[..n]);
            let used = take_replies(&self.partial, &mut each)?;
            self.partial.drain(..used);
        }
        Ok(())
    }

    /// Sends as much as the socket takes.
    #[inline]
    pub fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            let bytes = &self.out[self.sent..];
            let written = match &mut self.socket {
                Socket::Tcp(tcp) => tcp.write(bytes),
                Socket::Unix(unix) => unix.write(bytes),
            };
            match written {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    /// Whether something is left that the socket did not take.
    pub fn is_blocked(&self) -> bool {
        self.sent < self.out.len()
    }
}

fn take_replies(buf: &[u8], each: &mut impl FnMut(&[u8], Kind)) -> Result<usize, BenchError> {
    let mut at = 0;
    while at < buf.len() {
        match scan(&buf[at..]) {
            Scan::Incomplete => break,
            Scan::Invalid => return Err(BenchError::Protocol),
            Scan::Reply(n, kind) => {
                each(&buf[at..at + n], kind);
                at += n;
            }
        }
    }
    Ok(at)
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// How long a server may take to answer what is sent before the run.
const PREPARATION_TIMEOUT: Duration = Duration::from_secs(10);
