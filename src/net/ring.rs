//! Many sends in one system call, through `io_uring`.
//!
//! Nothing is ever left with the kernel: every send is told not to wait for its socket, so
//! that it is over when the call that submits it returns, and [`SendRing::send_all`] returns
//! only when it has the result of each. That is why borrowed bytes may be sent, and why the
//! ring's other abilities (receiving, registered buffers) are left alone: measured, they
//! save little more than this.

use io_uring::{IoUring, Probe, opcode, types};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A queue of sends shared with the kernel.
pub struct SendRing {
    ring: IoUring,
    /// The kernel has refused a call: what it did not take must never be submitted.
    broken: bool,
}

impl SendRing {
    /// A ring.
    ///
    /// # Errors
    /// The operating system's: it knows no `io_uring`, or may not let this process use it,
    /// as in most containers.
    pub fn new() -> io::Result<Self> {
        let ring = IoUring::new(AT_ONCE as u32)?;
        let mut probe = Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        if !probe.is_supported(opcode::Send::CODE) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut ring = SendRing {
            ring,
            broken: false,
        };
        ring.try_out()?;
        Ok(ring)
    }

    /// Whether the kernel takes sends.
    pub fn works(&self) -> bool {
        !self.broken
    }

    /// Sends to each socket what it takes at once. `taken` says of each how many bytes that
    /// were; `None` if none, whatever the reason: the socket tells it when it is asked again.
    pub fn send_all<'a>(
        &mut self,
        sends: impl ExactSizeIterator<Item = (BorrowedFd<'a>, &'a [u8])>,
        taken: &mut Vec<Option<usize>>,
    ) {
        taken.clear();
        taken.resize(sends.len(), None);
        let mut sends = sends.enumerate().peekable();
        while sends.peek().is_some() && self.works() {
            let mut queued = 0;
            for (i, (socket, bytes)) in sends.by_ref().take(AT_ONCE) {
                let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let send = opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), len)
                    .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                    .build()
                    .user_data(i as u64);
                // SAFETY: the bytes and the socket are borrowed for longer than this
                // function, and `finish` does not return while the kernel has the entry:
                // it has its result then, or the kernel never took it and never will.
                let pushed = unsafe { self.ring.submission().push(&send) };
                queued += usize::from(pushed.is_ok());
            }
            self.finish(queued, taken);
        }
    }

    /// Submits what is queued and takes the results.
    fn finish(&mut self, queued: usize, taken: &mut [Option<usize>]) {
        let mut left = queued;
        while left > 0 {
            if let Err(error) = self.ring.submit_and_wait(left)
                && error.kind() != io::ErrorKind::Interrupted
                && !self.broken
            {
                tracing::warn!(%error, "io_uring is given up: replies are sent one by one");
                self.broken = true;
            }
            for done in self.ring.completion() {
                left -= 1;
                if let Some(place) = taken.get_mut(done.user_data() as usize) {
                    *place = usize::try_from(done.result()).ok();
                }
            }
            // What the kernel has not taken stays in a queue that is not submitted again;
            // for what it has taken, the results come.
            if self.broken {
                if left <= self.ring.submission().len() {
                    return;
                }
                std::thread::yield_now();
            }
        }
    }

    /// Makes the kernel do something: a filter of system calls may allow a ring to be made
    /// and not to be used.
    fn try_out(&mut self) -> io::Result<()> {
        let nothing = opcode::Nop::new().build();
        // SAFETY: it refers to no memory and no file.
        let pushed = unsafe { self.ring.submission().push(&nothing) };
        pushed.map_err(io::Error::other)?;
        self.ring.submit_and_wait(1)?;
        self.ring.completion().for_each(drop);
        Ok(())
    }
}

/// How many sends one system call makes at most.
const AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    /// `None` where the machine has no `io_uring` for us.
    fn ring() -> Option<SendRing> {
        SendRing::new().ok()
    }

    #[test]
    fn each_socket_gets_its_bytes_also_when_there_are_more_than_fit_the_ring() {
        let Some(mut ring) = ring() else { return };
        let pairs: Vec<_> = (0..3 * AT_ONCE + 1)
            .map(|_| UnixStream::pair().unwrap())
            .collect();
        let texts: Vec<_> = (0..pairs.len()).map(|i| format!("reply {i}")).collect();
        let mut taken = Vec::new();
        let sends = pairs.iter().zip(&texts);
        ring.send_all(
            sends.map(|((ours, _), text)| (ours.as_fd(), text.as_bytes())),
            &mut taken,
        );
        for (((ours, theirs), text), taken) in pairs.into_iter().zip(&texts).zip(&taken) {
            assert_eq!(*taken, Some(text.len()));
            drop(ours);
            let mut got = String::new();
            { theirs }.read_to_string(&mut got).unwrap();
            assert_eq!(got, *text);
        }
    }

    #[test]
    fn a_full_or_broken_socket_takes_nothing_and_holds_nobody_up() {
        let Some(mut ring) = ring() else { return };
        let (full, _unread) = UnixStream::pair().unwrap();
        let (broken, gone) = UnixStream::pair().unwrap();
        let (good, _peer) = UnixStream::pair().unwrap();
        drop(gone);
        let much = vec![7u8; 1 << 20];
        let mut taken = Vec::new();
        // A blocking socket: only the flag of the send keeps it from waiting.
        loop {
            ring.send_all([(full.as_fd(), &*much)].into_iter(), &mut taken);
            if taken[0].is_none() {
                break;
            }
        }
        let sends = [&full, &broken, &good].map(|socket| (socket.as_fd(), &b"+OK\r\n"[..]));
        ring.send_all(sends.into_iter(), &mut taken);
        assert_eq!(taken, [None, None, Some(5)]);
        assert!(ring.works());
    }
}
