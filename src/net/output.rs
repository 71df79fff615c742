//! What a connection has to send: bytes, and marks that hold some of them back.

use super::stream::Stream;
use crate::commit::{Held, Verdict, Watermarks};
use crate::protocol::OutBuf;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;

/// A connection's output.
#[derive(Default)]
pub struct Output {
    /// Where replies are written.
    pub out: OutBuf,
    /// The replies that wait.
    pub held: Held,
    /// Bytes of `out.buf` that have been sent.
    sent: usize,
    /// How much of the first shared value has been sent.
    sent_of_shared: usize,
    /// Bytes sent since this was last set to 0.
    pub newly_sent: usize,
}

/// How far sending got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Everything has been sent.
    All,
    /// What is left waits for commitment.
    Held(Verdict),
    /// The socket takes no more for now.
    Blocked,
}

impl Output {
    /// Whether there is nothing to send.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.out.buf.len() == self.sent && self.out.shared.is_empty()
    }

    /// Bytes yet to be sent.
    pub fn pending(&self) -> usize {
        let shared: usize = self.out.shared.iter().map(|(_, b)| b.len()).sum();
        self.out.buf.len() - self.sent + shared - self.sent_of_shared
    }

    /// Whether all of it may go now and is one piece of at most `most` bytes.
    pub fn is_one_piece(&mut self, marks: &Watermarks, most: usize) -> bool {
        if !self.held.is_empty() && self.held.release(marks, &mut self.out) != Verdict::All {
            return false;
        }
        let left = self.out.buf.len() - self.sent;
        self.out.shared.is_empty() && (1..=most).contains(&left)
    }

    /// The bytes of the one piece.
    #[inline]
    pub fn rest(&self) -> &[u8] {
        &self.out.buf[self.sent..]
    }

    /// Notes that so many bytes of the one piece have been sent; whether that was all.
    pub fn note_taken(&mut self, n: usize) -> bool {
        self.sent += n;
        self.newly_sent += n;
        let all = self.sent == self.out.buf.len();
        if all {
            self.reset();
        }
        all
    }

    /// Sends what may go.
    ///
    /// # Errors
    /// The socket's.
    #[inline]
    pub fn poll_send(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        marks: &Watermarks,
    ) -> Poll<io::Result<Sent>> {
        loop {
            let verdict = if self.held.is_empty() {
                Verdict::All
            } else {
                self.held.release(marks, &mut self.out)
            };
            let limit = match verdict {
                Verdict::All => self.out.buf.len(),
                Verdict::Until(at, ..) => at,
            };
            if self.sent >= limit && self.next_shared(limit).is_none() {
                if verdict != Verdict::All {
                    self.compact();
                    return Poll::Ready(Ok(Sent::Held(verdict)));
                }
                self.reset();
                return Poll::Ready(Ok(Sent::All));
            }
            let written = if self.out.shared.is_empty() {
                Pin::new(&mut *stream).poll_write(cx, &self.out.buf[self.sent..limit])
            } else {
                self.poll_write_parts(stream, cx, limit)
            };
            match written {
                Poll::Pending => {
                    self.compact();
                    return Poll::Ready(Ok(Sent::Blocked));
                }
                Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                Poll::Ready(Ok(n)) => self.advance(n),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// The position of the first shared value, if it may go.
    fn next_shared(&self, limit: usize) -> Option<usize> {
        let (at, _) = self.out.shared.front()?;
        (*at < limit).then_some(*at)
    }

    fn poll_write_parts(
        &self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        let mut parts = [IoSlice::new(&[]); 16];
        let (mut count, mut from, mut skip) = (0, self.sent, self.sent_of_shared);
        let mut full = false;
        for (at, value) in self.out.shared.iter().take_while(|(at, _)| *at < limit) {
            full = count + 3 > parts.len();
            if full {
                break;
            }
            if from < *at {
                parts[count] = IoSlice::new(&self.out.buf[from..*at]);
                count += 1;
            }
            parts[count] = IoSlice::new(&value[skip..]);
            count += 1;
            (from, skip) = (*at, 0);
        }
        if !full && from < limit {
            parts[count] = IoSlice::new(&self.out.buf[from..limit]);
            count += 1;
        }
        Pin::new(stream).poll_write_vectored(cx, &parts[..count])
    }

    fn advance(&mut self, mut n: usize) {
        self.newly_sent += n;
        while n > 0 {
            let next = self
                .out
                .shared
                .front()
                .map_or(self.out.buf.len(), |(at, _)| *at);
            let plain = n.min(next - self.sent);
            self.sent += plain;
            n -= plain;
            if n > 0 {
                let left = self.out.shared[0].1.len() - self.sent_of_shared;
                let taken = n.min(left);
                self.sent_of_shared += taken;
                n -= taken;
                if taken == left {
                    self.out.shared.pop_front();
                    self.sent_of_shared = 0;
                }
            }
        }
    }

    /// Forgets what has been sent, once that is much.
    fn compact(&mut self) {
        if self.sent < 64 * 1024 || self.sent < self.out.buf.len() / 2 {
            return;
        }
        self.out.buf.drain(..self.sent);
        for (at, _) in &mut self.out.shared {
            *at -= self.sent;
        }
        self.held.shift(self.sent);
        self.sent = 0;
    }

    fn reset(&mut self) {
        self.out.buf.clear();
        self.out.shared.clear();
        self.sent = 0;
        self.sent_of_shared = 0;
    }
}
