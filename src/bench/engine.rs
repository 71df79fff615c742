//! The loop: level-triggered polling over non-blocking sockets.

use super::options::{BenchError, Options};
use super::report::Report;
use super::scan::{Scan, scan};
use super::workload::Requests;
use crate::protocol::OwnedArgs;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(tcp) => tcp.as_fd(),
            Socket::Unix(unix) => unix.as_fd(),
        }
    }
}

struct Connection {
    socket: Socket,
    out: Vec<u8>,
    sent: usize,
    input: Vec<u8>,
    /// When each operation in flight began.
    begun: VecDeque<Instant>,
    /// Replies of the oldest operation that have come.
    replies: u32,
    wants_write: bool,
}

/// Runs the load.
pub fn run(options: &Options) -> Result<Report, BenchError> {
    let mut connections = (0..options.connections)
        .map(|_| connect(options))
        .collect::<Result<Vec<_>, _>>()?;
    let epoll = Epoll::new(EpollCreateFlags::empty()).map_err(io::Error::from)?;
    for (i, connection) in connections.iter().enumerate() {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, i as u64);
        epoll
            .add(connection.socket.as_fd(), event)
            .map_err(io::Error::from)?;
    }
    let mut load = Load::new(options);
    let begun = Instant::now();
    load.begun = begun;
    for connection in &mut connections {
        load.feed(connection, begun);
        connection.flush()?;
    }
    let mut events = vec![EpollEvent::empty(); options.connections.min(1024)];
    while load.completed < load.started || !load.is_done(Instant::now()) {
        let timeout = load.next_due(Instant::now());
        let n = epoll.wait(&mut events, timeout).map_err(io::Error::from)?;
        let now = Instant::now();
        for event in &events[..n] {
            let connection = &mut connections[event.data() as usize];
            if event
                .events()
                .intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP)
            {
                load.receive(connection)?;
            }
            load.feed(connection, now);
            connection.flush()?;
            connection.register(&epoll, event.data())?;
        }
        if load.interval.is_some() {
            for (i, connection) in connections.iter_mut().enumerate() {
                load.feed(connection, now);
                connection.flush()?;
                connection.register(&epoll, i as u64)?;
            }
        }
    }
    load.report.elapsed = begun.elapsed();
    load.report.operations = load.completed;
    Ok(load.report)
}

struct Load {
    requests: Requests,
    pipeline: usize,
    most: u64,
    until: Option<Duration>,
    /// The time between two operations at a fixed rate.
    interval: Option<Duration>,
    begun: Instant,
    started: u64,
    completed: u64,
    report: Report,
}

impl Load {
    fn new(options: &Options) -> Self {
        let until = options.seconds.map(Duration::from_secs_f64);
        let most = match (options.requests, until) {
            (Some(n), _) => n,
            (None, Some(_)) => u64::MAX,
            (None, None) if options.sequential => options.keys,
            (None, None) => 100_000,
        };
        Load {
            requests: Requests::new(options),
            pipeline: options.pipeline,
            most,
            until,
            interval: options.rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            begun: Instant::now(),
            started: 0,
            completed: 0,
            report: Report::default(),
        }
    }

    fn is_done(&self, now: Instant) -> bool {
        self.started >= self.most || self.until.is_some_and(|until| now - self.begun >= until)
    }

    /// When the next operation is due, as a timeout.
    fn next_due(&self, now: Instant) -> EpollTimeout {
        let Some(interval) = self.interval else {
            return EpollTimeout::from(100u16);
        };
        let due = self.begun + interval.mul_f64(self.started as f64);
        let wait = due.saturating_duration_since(now);
        // The kernel's timeout is in milliseconds; below one, look again at once.
        EpollTimeout::from(wait.as_millis().min(100) as u16)
    }

    /// Puts as many operations on a connection as are due.
    fn feed(&mut self, connection: &mut Connection, now: Instant) {
        // A pipeline is filled when it has run empty, as a batch of a client's would be.
        if self.pipeline > 1 && self.interval.is_none() && !connection.begun.is_empty() {
            return;
        }
        while connection.begun.len() < self.pipeline && !self.is_done(now) {
            let begun = match self.interval {
                None => now,
                Some(interval) => {
                    let due = self.begun + interval.mul_f64(self.started as f64);
                    if due > now {
                        return;
                    }
                    due
                }
            };
            self.requests.write(&mut connection.out);
            connection.begun.push_back(begun);
            self.started += 1;
        }
    }

    fn receive(&mut self, connection: &mut Connection) -> Result<(), BenchError> {
        connection.fill()?;
        let now = Instant::now();
        let mut at = 0;
        loop {
            match scan(&connection.input[at..]) {
                Scan::Incomplete => break,
                Scan::Invalid => return Err(BenchError::Protocol),
                Scan::Reply(n, error) => {
                    if error {
                        self.count_error(&connection.input[at..at + n]);
                    }
                    at += n;
                }
            }
            connection.replies += 1;
            if connection.replies == self.requests.replies() {
                connection.replies = 0;
                if let Some(begun) = connection.begun.pop_front() {
                    self.report
                        .latency
                        .add(now.saturating_duration_since(begun));
                }
                self.completed += 1;
            }
        }
        connection.input.drain(..at);
        Ok(())
    }

    #[cold]
    fn count_error(&mut self, reply: &[u8]) {
        let from = memchr::memchr(b'-', reply).unwrap_or(0);
        let end = memchr::memchr(b'\r', &reply[from..]).map_or(reply.len(), |i| from + i);
        let text = String::from_utf8_lossy(&reply[from..end]).into_owned();
        // Texts that quote their arguments must not fill the memory.
        if self.report.errors.len() < 20 || self.report.errors.contains_key(&text) {
            *self.report.errors.entry(text).or_default() += 1;
        }
    }
}

impl Connection {
    fn fill(&mut self) -> io::Result<()> {
        let mut space = [0u8; 64 * 1024];
        let read = match &mut self.socket {
            Socket::Tcp(tcp) => tcp.read(&mut space),
            Socket::Unix(unix) => unix.read(&mut space),
        };
        match read {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.input.extend_from_slice(&space[..n]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            let bytes = &self.out[self.sent..];
            let written = match &mut self.socket {
                Socket::Tcp(tcp) => tcp.write(bytes),
                Socket::Unix(unix) => unix.write(bytes),
            };
            match written {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    /// Asks for writability only while there is something left to write.
    fn register(&mut self, epoll: &Epoll, data: u64) -> io::Result<()> {
        let wants_write = self.sent < self.out.len();
        if wants_write == self.wants_write {
            return Ok(());
        }
        self.wants_write = wants_write;
        let mut flags = EpollFlags::EPOLLIN;
        flags.set(EpollFlags::EPOLLOUT, wants_write);
        let mut event = EpollEvent::new(flags, data);
        epoll.modify(self.socket.as_fd(), &mut event)?;
        Ok(())
    }
}

fn connect(options: &Options) -> Result<Connection, BenchError> {
    let socket = match &options.unix {
        Some(path) => {
            let unix = UnixStream::connect(path)?;
            Socket::Unix(unix)
        }
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
        input: Vec::new(),
        begun: VecDeque::new(),
        replies: 0,
        wants_write: false,
    };
    if let Some(password) = &options.auth {
        connection.prepare(&["AUTH", password])?;
    }
    if let Some(level) = &options.sync {
        connection.prepare(&["CLIENT", "SYNC", level])?;
    }
    match &connection.socket {
        Socket::Tcp(tcp) => tcp.set_nonblocking(true)?,
        Socket::Unix(unix) => unix.set_nonblocking(true)?,
    }
    Ok(connection)
}

impl Connection {
    /// Sends a command and waits for its reply, before the run.
    fn prepare(&mut self, args: &[&str]) -> Result<(), BenchError> {
        OwnedArgs::of(args).view().encode_into(&mut self.out);
        self.flush()?;
        loop {
            match scan(&self.input) {
                Scan::Incomplete => self.fill()?,
                Scan::Invalid => return Err(BenchError::Protocol),
                Scan::Reply(_, true) => {
                    let text = String::from_utf8_lossy(&self.input).trim().to_owned();
                    return Err(BenchError::Options(format!("{}: {text}", args.join(" "))));
                }
                Scan::Reply(n, false) => {
                    self.input.drain(..n);
                    return Ok(());
                }
            }
        }
    }
}
