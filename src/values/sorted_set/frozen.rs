//! What a snapshot has still to be given of a sorted set that changes meanwhile.
//!
//! The snapshot goes through the set piece by piece, in the set's order. A member that it has
//! not reached is put aside, with the score that it had, before it is moved or removed; what
//! comes to lie where the snapshot will still come by is fresh, and passed over. So every
//! member of the instant at which the set was frozen is given out exactly once.
//!
//! What must stay true: `fresh` holds members of the set only, so that an address that is
//! given to another member means that one.

use super::member::Member;
use super::order;
use hashbrown::HashSet;
use std::cmp::Ordering;

/// See the module's documentation.
pub(super) struct Frozen {
    pub ticket: u64,
    pub place: Place,
    /// Members that did not lie where they lie now when the set was frozen.
    pub fresh: HashSet<Member>,
    /// Members as they were.
    pub saved: Vec<(Box<[u8]>, f64)>,
}

/// How far the set has been walked.
pub(super) enum Place {
    /// Not at all.
    Start,
    /// Up to this member, it included.
    Behind(f64, Box<[u8]>),
    /// To its end.
    End,
}

impl Place {
    /// Whether what lies there comes later.
    pub fn is_before(&self, score: f64, text: &[u8]) -> bool {
        match self {
            Place::Start => true,
            Place::Behind(last, member) => {
                order((score, text), (*last, member)) == Ordering::Greater
            }
            Place::End => false,
        }
    }
}

impl Frozen {
    pub fn new(ticket: u64) -> Self {
        Frozen {
            ticket,
            place: Place::Start,
            fresh: HashSet::new(),
            saved: Vec::new(),
        }
    }

    /// The member is about to leave its place.
    pub fn leaves(&mut self, member: Member) {
        let (text, score) = (member.text(), member.score());
        if !self.fresh.remove(&member) && self.place.is_before(score, text) {
            self.saved.push((text.into(), score));
        }
    }

    /// The member has come to its place.
    pub fn comes(&mut self, member: Member) {
        if self.place.is_before(member.score(), member.text()) {
            self.fresh.insert(member);
        }
    }
}
