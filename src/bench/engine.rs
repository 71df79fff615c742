//! The loop: level-triggered polling over non-blocking sockets.
//!
//! Closed loop (the default): a connection sends its next operations when its last ones are
//! answered. Open loop (`--rate`): operations have due times, whatever the server does, and
//! latency counts from the due time, so that a stall is seen by all who would have met it.

use super::connection::Connection;
use super::options::{BenchError, Options};
use super::report::Report;
use super::scan::Kind;
use super::workload::Requests;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeSpec, TimeVal, TimeValLike};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Runs the load.
///
/// # Errors
/// When connections fail, or the server sends what is no reply, or nothing for a long time.
pub fn run(options: &Options) -> Result<Report, BenchError> {
    let mut connections = (0..options.connections)
        .map(|_| Connection::open(options))
        .collect::<Result<Vec<_>, _>>()?;
    let poll = Poll::over(&connections)?;
    let mut load = Load::new(options);
    let cpu = own_cpu();
    for (i, connection) in connections.iter_mut().enumerate() {
        load.feed(connection, load.begun);
        poll.send(connection, i)?;
    }
    let mut events = vec![EpollEvent::empty(); options.connections.min(1024)];
    let mut heard = load.begun;
    loop {
        let now = Instant::now();
        load.feed_schedule(&mut connections, &poll, now)?;
        if load.in_flight() == 0 && load.is_done(now) {
            break;
        }
        if load.in_flight() == 0 {
            heard = now;
        } else if now - heard > options.patience() {
            return Err(BenchError::Silent(load.in_flight(), load.completed));
        }
        let n = poll.wait(&mut events, load.next_due(now))?;
        for event in &events[..n] {
            let i = event.data() as usize;
            let connection = &mut connections[i];
            if event.events() != EpollFlags::EPOLLOUT {
                heard = load.receive(connection)?;
                load.feed(connection, heard);
            }
            poll.send(connection, i)?;
        }
    }
    load.report.elapsed = load.begun.elapsed();
    load.report.own_cpu = own_cpu().saturating_sub(cpu);
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
    /// At a fixed rate: whose turn it is.
    turn: usize,
    begun: Instant,
    started: u64,
    completed: u64,
    report: Report,
    space: Vec<u8>,
}

impl Load {
    fn new(options: &Options) -> Self {
        let until = options.seconds.map(Duration::from_secs_f64);
        let most = match (options.requests, until) {
            (Some(n), _) => n,
            (None, Some(_)) => u64::MAX,
            (None, None) if options.sequential => options.key_count(),
            (None, None) => DEFAULT_REQUESTS,
        };
        Load {
            requests: Requests::new(options),
            pipeline: options.pipeline,
            most,
            until,
            interval: options.rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            turn: 0,
            begun: Instant::now(),
            started: 0,
            completed: 0,
            report: Report::default(),
            space: vec![0; 64 * 1024],
        }
    }

    fn in_flight(&self) -> u64 {
        self.started - self.completed
    }

    fn is_done(&self, now: Instant) -> bool {
        self.started >= self.most || self.until.is_some_and(|until| now - self.begun >= until)
    }

    /// How long the poll may sleep: until the next operation is due.
    fn next_due(&self, now: Instant) -> Option<Duration> {
        let interval = self.interval.filter(|_| !self.is_done(now))?;
        Some(self.due(interval).saturating_duration_since(now))
    }

    fn due(&self, interval: Duration) -> Instant {
        self.begun + interval.mul_f64(self.started as f64)
    }

    /// Closed loop: fills a connection that has nothing in flight, as a client's batch would.
    #[inline]
    fn feed(&mut self, connection: &mut Connection, now: Instant) {
        if self.interval.is_some() || !connection.begun.is_empty() {
            return;
        }
        while connection.begun.len() < self.pipeline && !self.is_done(now) {
            self.begin(connection, now);
        }
    }

    /// Open loop: starts what is due by now, on each connection in turn.
    fn feed_schedule(
        &mut self,
        connections: &mut [Connection],
        poll: &Poll,
        now: Instant,
    ) -> io::Result<()> {
        let Some(interval) = self.interval else {
            return Ok(());
        };
        while !self.is_done(now) {
            let due = self.due(interval);
            let has_room = |i: &usize| connections[*i].begun.len() < self.pipeline;
            let all = connections.len();
            let next = (0..all).map(|i| (self.turn + i) % all).find(has_room);
            let Some(i) = next.filter(|_| due <= now) else {
                // Not yet, or all are busy: then it is late, and its latency will say so.
                return Ok(());
            };
            self.turn = i + 1;
            self.begin(&mut connections[i], due);
            poll.send(&mut connections[i], i)?;
        }
        Ok(())
    }

    #[inline]
    fn begin(&mut self, connection: &mut Connection, at: Instant) {
        self.requests.write(&mut connection.out);
        connection.begun.push_back(at);
        self.started += 1;
    }

    /// Takes the replies that have come; returns when that was.
    #[inline]
    fn receive(&mut self, connection: &mut Connection) -> Result<Instant, BenchError> {
        let (report, per_operation) = (&mut self.report, self.requests.replies());
        let mut replies = 0;
        let received = connection.receive(&mut self.space, |reply, kind| {
            replies += 1;
            match kind {
                Kind::Value => {}
                Kind::Null => report.nulls += 1,
                Kind::Error => report.count_error(reply),
            }
        });
        let now = Instant::now();
        if let Err(BenchError::Closed) = received {
            return Err(BenchError::ClosedAfter(self.completed));
        }
        received?;
        connection.replies += replies;
        while connection.replies >= per_operation {
            connection.replies -= per_operation;
            let begun = connection.begun.pop_front().ok_or(BenchError::Protocol)?;
            report.latency.add(now.saturating_duration_since(begun));
            self.completed += 1;
        }
        Ok(now)
    }
}

/// The kernel's list of who is ready.
struct Poll(Epoll);

impl Poll {
    fn over(connections: &[Connection]) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        for (i, connection) in connections.iter().enumerate() {
            epoll.add(connection, EpollEvent::new(EpollFlags::EPOLLIN, i as u64))?;
        }
        Ok(Poll(epoll))
    }

    /// Sends what a connection has, and asks for writability only while something is left.
    #[inline]
    fn send(&self, connection: &mut Connection, i: usize) -> io::Result<()> {
        connection.flush()?;
        let blocked = connection.is_blocked();
        if blocked != connection.polls_writable {
            connection.polls_writable = blocked;
            let mut flags = EpollFlags::EPOLLIN;
            flags.set(EpollFlags::EPOLLOUT, blocked);
            self.0
                .modify(&*connection, &mut EpollEvent::new(flags, i as u64))?;
        }
        Ok(())
    }

    /// Waits for events, or until `due` has passed.
    fn wait(&self, events: &mut [EpollEvent], due: Option<Duration>) -> io::Result<usize> {
        let mut timeout = EpollTimeout::from(LOOK_AROUND_MS);
        if let Some(due) = due {
            // epoll's own timeout knows only milliseconds.
            let due = due.min(Duration::from_millis(LOOK_AROUND_MS.into()));
            let mut fds = [PollFd::new(self.0.0.as_fd(), PollFlags::POLLIN)];
            match ppoll(&mut fds, Some(TimeSpec::from_duration(due)), None) {
                Ok(_) | Err(Errno::EINTR) => timeout = EpollTimeout::ZERO,
                Err(error) => return Err(error.into()),
            }
        }
        match self.0.wait(events, timeout) {
            Err(Errno::EINTR) => Ok(0),
            n => Ok(n?),
        }
    }
}

/// The CPU time this process has used.
fn own_cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return Duration::ZERO;
    };
    let micros = |time: TimeVal| time.num_microseconds().max(0) as u64;
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

/// How often the loop wakes though nothing happens.
const LOOK_AROUND_MS: u16 = 100;

/// Operations of a run that says neither how many nor how long.
const DEFAULT_REQUESTS: u64 = 100_000;
