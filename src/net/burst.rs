//! The replies of one turn, sent together.
//!
//! On a busy server, half of what a request costs is the system call that sends its reply.
//! Where the kernel offers `io_uring`, connections do not send by themselves: they join the
//! worker's burst, which goes, in one system call, when all tasks that were ready have had
//! their turn. What does not go at once, whatever the reason, is left to the connection,
//! which sends in the ordinary way. Without `io_uring` nobody joins.

use super::connection::Connection;
use super::ring::SendRing;
use super::worker::WorkerHandle;
use crate::server::Server;
use smallvec::SmallVec;
use std::cell::{RefCell, RefMut};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

/// A worker's burst.
pub(super) struct Bursts {
    server: &'static Server,
    handle: Arc<WorkerHandle>,
    ring: RefCell<Option<SendRing>>,
    joined: RefCell<Vec<Weak<RefCell<Connection>>>>,
    /// The task that sends the burst.
    sender: RefCell<Option<Waker>>,
    taken: RefCell<Vec<Option<usize>>>,
}

impl Bursts {
    /// With a ring, if it is `wanted` and there is one for us.
    pub fn new(server: &'static Server, wanted: bool, handle: Arc<WorkerHandle>) -> Self {
        let ring = match wanted.then(SendRing::new) {
            Some(Ok(ring)) => Some(ring),
            Some(Err(error)) => {
                tracing::info!(%error, "io_uring is not available: replies are sent one by one");
                None
            }
            None => None,
        };
        handle.has_ring.store(ring.is_some(), Ordering::Relaxed);
        Bursts {
            server,
            handle,
            ring: RefCell::new(ring),
            joined: RefCell::default(),
            sender: RefCell::default(),
            taken: RefCell::default(),
        }
    }

    /// Whether connections may join. A few alone would wait for each other in vain.
    #[inline]
    pub fn work(&self) -> bool {
        let connections = self.handle.connections.load(Ordering::Relaxed);
        connections > FEW && self.handle.has_ring.load(Ordering::Relaxed)
    }

    /// Takes a connection that has something to send. It must not be borrowed.
    pub fn join(&self, connection: &Rc<RefCell<Connection>>) {
        let mut joined = self.joined.borrow_mut();
        joined.push(Rc::downgrade(connection));
        if joined.len() == 1 {
            // Behind all tasks that are ready now.
            self.wake();
        } else if joined.len() >= MOST {
            drop(joined);
            self.send();
        }
    }

    fn wake(&self) {
        if let Some(sender) = &*self.sender.borrow() {
            sender.wake_by_ref();
        }
    }

    /// The sending task: never ends.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.sender.borrow().is_none() {
            *self.sender.borrow_mut() = Some(cx.waker().clone());
        }
        self.send();
        Poll::Pending
    }

    /// Sends what the connections that have joined may send. None of them may be borrowed,
    /// but one whose script is running.
    pub fn send(&self) {
        if self.joined.borrow().is_empty() {
            return;
        }
        let joined = std::mem::take(&mut *self.joined.borrow_mut());
        let connections: SmallVec<[Rc<RefCell<Connection>>; MOST]> =
            joined.iter().filter_map(Weak::upgrade).collect();
        // The room that it has already.
        let mut spare = joined;
        spare.clear();
        *self.joined.borrow_mut() = spare;
        let mut open: SmallVec<[RefMut<'_, Connection>; MOST]> = SmallVec::new();
        for connection in &connections {
            match connection.try_borrow_mut() {
                Ok(mut own) => {
                    if own.is_ready_for_burst() {
                        open.push(own);
                    }
                }
                Err(_) => {
                    self.joined.borrow_mut().push(Rc::downgrade(connection));
                    self.wake();
                }
            }
        }
        if open.is_empty() {
            return;
        }
        self.server.aof.write_through(self.server);
        if let [only] = &mut *open {
            return only.send_alone();
        }
        let mut ring = self.ring.borrow_mut();
        let mut taken = self.taken.borrow_mut();
        match &mut *ring {
            Some(ring) => {
                ring.send_all(open.iter().map(|own| own.burst_part()), &mut taken);
                self.handle.has_ring.store(ring.works(), Ordering::Relaxed);
            }
            None => {
                taken.clear();
                taken.resize(open.len(), None);
            }
        }
        for (own, taken) in open.iter_mut().zip(taken.drain(..)) {
            own.note_burst(taken);
        }
        if ring.as_ref().is_some_and(|ring| !ring.works()) {
            *ring = None;
        }
    }
}

/// How many connections do not share bursts.
const FEW: usize = 3;
/// How many connections one burst serves: more would make the first wait for long.
const MOST: usize = 64;
