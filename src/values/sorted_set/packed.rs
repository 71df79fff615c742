//! The packed sorted set, over bytes that somebody else owns:
//! `count:u16 LE │ member score │ member score │ …`, in order.
//!
//! Members and scores are elements of [`crate::values::packed`]. A whole score is an
//! integer; any other is a string of nine bytes, a letter and the double, so that it can
//! never be taken for the text of an integer.

use super::order;
use crate::values::packed::{EditBuf, Element, Encoded, SpliceBuf, read, skip};
use std::cmp::Ordering;

/// A packed sorted set without members.
pub const EMPTY: [u8; HEADER] = [0; HEADER];
/// The most members of a packed sorted set.
pub const MOST: usize = u16::MAX as usize;
const HEADER: usize = 2;

/// How many members there are.
pub fn count(bytes: &[u8]) -> usize {
    match bytes {
        [low, high, ..] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    }
}

/// The members with their scores, in order.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = (Element<'_>, f64)> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        let (member, score_at) = read(bytes, at)?;
        let (score, next) = read(bytes, score_at)?;
        at = next;
        Some((member, read_score(score)))
    })
}

/// Where a member stands, and its score.
pub fn find(bytes: &[u8], member: &[u8]) -> Option<(usize, f64)> {
    let wanted = Encoded::new(member);
    let (mut at, mut rank) = (HEADER, 0);
    while at < bytes.len() {
        let score_at = skip(bytes, at)?;
        if wanted.is_at(bytes, at) {
            let (score, _) = read(bytes, score_at)?;
            return Some((rank, read_score(score)));
        }
        at = skip(bytes, score_at)?;
        rank += 1;
    }
    None
}

fn read_score(element: Element<'_>) -> f64 {
    match element {
        Element::Int(n) => n as f64,
        Element::Str(bytes) => bytes
            .last_chunk::<8>()
            .map_or(0.0, |chunk| f64::from_le_bytes(*chunk)),
    }
}

fn write_score(score: f64, out: &mut EditBuf) {
    let whole = score as i64;
    let is_whole = whole as f64 == score && whole.unsigned_abs() < 1 << 53;
    // A zero loses its sign here, as in Redis.
    if is_whole {
        Encoded::int(whole).write_to(out);
        return;
    }
    let mut text = [b'd'; 9];
    text[1..].copy_from_slice(&score.to_le_bytes());
    Encoded::new(&text).write_to(out);
}

fn pair(member: &[u8], score: f64) -> EditBuf {
    let mut edit = EditBuf::new();
    Encoded::new(member).write_to(&mut edit);
    write_score(score, &mut edit);
    edit
}

/// Adds a member that is not there.
pub fn insert(buf: &mut dyn SpliceBuf, member: &[u8], score: f64) {
    let bytes = buf.bytes();
    let after = count(bytes) + 1;
    let mut at = HEADER;
    while let Some((other, score_at)) = read(bytes, at) {
        let Some((other_score, next)) = read(bytes, score_at) else {
            break;
        };
        let mut digits = itoa::Buffer::new();
        let other = (read_score(other_score), other.text(&mut digits));
        if order((score, member), other) == Ordering::Less {
            break;
        }
        at = next;
    }
    buf.splice(at..at, &pair(member, score));
    buf.overwrite(0, &(after as u16).to_le_bytes());
}

/// Adds a member behind all others.
pub fn push(buf: &mut dyn SpliceBuf, member: &[u8], score: f64) {
    let (end, after) = (buf.bytes().len(), count(buf.bytes()) + 1);
    buf.splice(end..end, &pair(member, score));
    buf.overwrite(0, &(after as u16).to_le_bytes());
}

/// Gives a member that is there another score.
pub fn set_score(buf: &mut dyn SpliceBuf, member: &[u8], score: f64) {
    remove(buf, member);
    insert(buf, member, score);
}

/// Removes a member, if it is there.
pub fn remove(buf: &mut dyn SpliceBuf, member: &[u8]) {
    if let Some((rank, _)) = find(buf.bytes(), member) {
        remove_range(buf, rank, 1);
    }
}

/// Removes `n` members from rank `start` on.
pub fn remove_range(buf: &mut dyn SpliceBuf, start: usize, n: usize) {
    let bytes = buf.bytes();
    let all = count(bytes);
    let n = n.min(all.saturating_sub(start));
    let place = |at: usize, members: usize| (0..2 * members).try_fold(at, |at, _| skip(bytes, at));
    let from = place(HEADER, start).unwrap_or(bytes.len());
    let to = place(from, n).unwrap_or(bytes.len());
    buf.splice(from..to, &[]);
    buf.overwrite(0, &((all - n) as u16).to_le_bytes());
}
