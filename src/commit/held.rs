//! A connection's replies that wait for the committed offset.
//!
//! The output is bytes plus marks: a mark covers one reply and says which offset must be
//! committed before its first byte may go. Replies go out in order, so nothing past the
//! first uncommitted mark is sent. A message that tells of a write is marked like a reply; if
//! the write's fate stays unknown, the message is dropped.

use super::watermarks::{AckLevel, Standing, Watermarks};
use crate::protocol::{OutBuf, Reply, errors};
use std::collections::VecDeque;

/// One reply that waits.
#[derive(Clone, Copy, Debug)]
struct Mark {
    start: usize,
    end: usize,
    term: u64,
    offset: u64,
    level: AckLevel,
    shows: Shows,
    resp3: bool,
}

/// The marks of one connection's output; positions are positions in its buffer.
#[derive(Default, Debug)]
pub struct Held {
    marks: VecDeque<Mark>,
}

/// What a reply waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The term in which it was executed.
    pub term: u64,
    /// At which level.
    pub level: AckLevel,
    /// What must be committed.
    pub offset: u64,
    /// What is held.
    pub shows: Shows,
}

/// What is held, as far as it matters when the wait has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// The reply of a write.
    Write,
    /// The reply of a read.
    Read,
    /// A message that nobody waits for.
    Message,
}

impl Shows {
    /// The reply of a write, or of a read.
    pub fn of(wrote: bool) -> Shows {
        if wrote { Shows::Write } else { Shows::Read }
    }
}

/// What may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything.
    All,
    /// Bytes before this position; the rest waits for the offset at the level.
    Until(usize, AckLevel, u64),
}

impl Held {
    /// Whether no reply waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Holds the reply in `start..end` until what it waits for is committed.
    pub fn hold(&mut self, start: usize, end: usize, wait: Wait, resp3: bool) {
        self.marks.push_back(Mark {
            start,
            end,
            term: wait.term,
            offset: wait.offset,
            level: wait.level,
            shows: wait.shows,
            resp3,
        });
    }

    /// What of `out` may go now. Replies whose wait has failed are replaced by the error.
    pub fn release(&mut self, marks: &Watermarks, out: &mut OutBuf) -> Verdict {
        while let Some(first) = self.marks.front().copied() {
            match marks.standing(first.term, first.level, first.offset) {
                Standing::Committed => {
                    self.marks.pop_front();
                }
                Standing::Waits => {
                    return Verdict::Until(first.start, first.level, first.offset);
                }
                Standing::Failed => self.replace_failed(marks, out),
            }
        }
        Verdict::All
    }

    /// Shifts positions after the first `sent` bytes of the buffer were dropped.
    pub fn shift(&mut self, sent: usize) {
        for mark in &mut self.marks {
            mark.start -= sent;
            mark.end -= sent;
        }
    }

    /// Rewrites the output so that every failed wait is answered with its error.
    fn replace_failed(&mut self, watermarks: &Watermarks, out: &mut OutBuf) {
        let old = std::mem::take(out);
        let mut from = 0;
        let mut shared = old.shared.into_iter().peekable();
        for mark in std::mem::take(&mut self.marks) {
            copy(&old.buf, from..mark.start, &mut shared, out);
            let start = out.buf.len();
            let standing = watermarks.standing(mark.term, mark.level, mark.offset);
            if standing == Standing::Failed {
                let mut dropped = OutBuf::default();
                copy(&old.buf, mark.start..mark.end, &mut shared, &mut dropped);
                let error = match mark.shows {
                    Shows::Write => Some(errors::UNCERTAIN),
                    Shows::Read => Some(errors::UNCERTAIN_READ),
                    Shows::Message => None,
                };
                if let Some(error) = error {
                    Reply::new(out, mark.resp3).error(&error);
                }
            } else {
                copy(&old.buf, mark.start..mark.end, &mut shared, out);
                self.marks.push_back(Mark {
                    start,
                    end: out.buf.len(),
                    ..mark
                });
            }
            from = mark.end;
        }
        copy(&old.buf, from..old.buf.len(), &mut shared, out);
    }
}

/// Copies a range of `buf`, with the shared values in it, to the end of `out`.
fn copy(
    buf: &[u8],
    range: std::ops::Range<usize>,
    shared: &mut std::iter::Peekable<std::collections::vec_deque::IntoIter<(usize, bytes::Bytes)>>,
    out: &mut OutBuf,
) {
    let base = out.buf.len();
    out.buf.extend_from_slice(&buf[range.clone()]);
    // A shared value is followed by its CRLF, so it never lies at the end of a reply.
    while let Some((at, _)) = shared.peek()
        && *at < range.end
    {
        if let Some((at, value)) = shared.next() {
            out.shared.push_back((base + at - range.start, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn marks(committed: u64) -> Watermarks {
        let marks = Watermarks::default();
        marks.publish(AckLevel::Applied, committed);
        marks
    }

    fn wait(level: AckLevel, offset: u64, write: bool) -> Wait {
        Wait {
            term: 0,
            level,
            offset,
            shows: Shows::of(write),
        }
    }

    #[test]
    fn a_node_that_is_no_primary_any_more_confirms_nothing() {
        // REPLICAOF used to publish "nothing to wait for", and what waited was told OK.
        let (mut out, at) = output(&["+a\r\n", "+b\r\n"]);
        let mut held = Held::default();
        held.hold(at[0].0, at[0].1, wait(AckLevel::Applied, 10, true), false);
        held.hold(at[1].0, at[1].1, wait(AckLevel::Applied, 11, true), false);
        let watermarks = marks(10);
        watermarks.end_term();
        watermarks.publish(AckLevel::Applied, u64::MAX);
        assert_eq!(held.release(&watermarks, &mut out), Verdict::All);
        let text = String::from_utf8(out.flatten()).expect("text");
        assert!(text.starts_with("+a\r\n-UNCERTAIN The write"), "{text}");
    }

    fn output(parts: &[&str]) -> (OutBuf, Vec<(usize, usize)>) {
        let mut out = OutBuf::default();
        let mut at = Vec::new();
        for part in parts {
            let start = out.buf.len();
            out.buf.extend_from_slice(part.as_bytes());
            at.push((start, out.buf.len()));
        }
        (out, at)
    }

    #[test]
    fn nothing_past_the_first_uncommitted_mark_goes() {
        let (mut out, at) = output(&["+a\r\n", "+b\r\n", "+c\r\n"]);
        let mut held = Held::default();
        held.hold(at[1].0, at[1].1, wait(AckLevel::Applied, 10, true), false);
        held.hold(at[2].0, at[2].1, wait(AckLevel::Applied, 20, true), false);
        let verdict = held.release(&marks(9), &mut out);
        assert_eq!(verdict, Verdict::Until(at[1].0, AckLevel::Applied, 10));
        let verdict = held.release(&marks(10), &mut out);
        assert_eq!(verdict, Verdict::Until(at[2].0, AckLevel::Applied, 20));
        assert_eq!(held.release(&marks(25), &mut out), Verdict::All);
        assert!(held.is_empty());
    }

    #[test]
    fn another_level_waits_for_its_own_mark() {
        let (mut out, at) = output(&["+a\r\n"]);
        let mut held = Held::default();
        held.hold(at[0].0, at[0].1, wait(AckLevel::Fsynced, 10, true), false);
        let watermarks = marks(100);
        watermarks.publish(AckLevel::Fsynced, 3);
        assert_eq!(
            held.release(&watermarks, &mut out),
            Verdict::Until(0, AckLevel::Fsynced, 10)
        );
    }

    #[test]
    fn a_message_of_a_write_that_failed_is_dropped() {
        let (mut out, at) = output(&["+a\r\n", "*1\r\n$1\r\nx\r\n", "+c\r\n"]);
        let mut held = Held::default();
        let shown = Wait {
            shows: Shows::Message,
            ..wait(AckLevel::Applied, 10, false)
        };
        held.hold(at[1].0, at[1].1, shown, false);
        let watermarks = marks(5);
        watermarks.publish_uncertain(12);
        assert_eq!(held.release(&watermarks, &mut out), Verdict::All);
        assert_eq!(out.flatten(), b"+a\r\n+c\r\n");
    }

    #[test]
    fn a_failed_wait_becomes_the_error_and_the_rest_stays() {
        let (mut out, at) = output(&["+a\r\n", "$3\r\n\r\n", "+c\r\n", "+d\r\n"]);
        out.shared = [(at[1].0 + 4, Bytes::from_static(b"big"))].into();
        let mut held = Held::default();
        held.hold(at[0].0, at[0].1, wait(AckLevel::Applied, 10, true), false);
        held.hold(at[1].0, at[1].1, wait(AckLevel::Applied, 11, false), false);
        held.hold(at[3].0, at[3].1, wait(AckLevel::Applied, 30, true), false);
        let watermarks = marks(5);
        watermarks.publish_uncertain(12);
        let verdict = held.release(&watermarks, &mut out);
        let text = String::from_utf8(out.flatten()).expect("text");
        let lines: Vec<_> = text.split("\r\n").collect();
        assert!(lines[0].starts_with("-UNCERTAIN The write"), "{text}");
        assert!(lines[1].starts_with("-UNCERTAIN The value"), "{text}");
        assert_eq!(&lines[2..], ["+c", "+d", ""]);
        let until = text.len() - 4;
        assert_eq!(verdict, Verdict::Until(until, AckLevel::Applied, 30));
    }
}
