//! What a group has read, counted from the first entry ever: exactly, or not at all.
//!
//! A counter of what was read is right as long as no entry was deleted behind the group's
//! position. Where it is not known, the position tells it in a few cases: before the first
//! entry, at the last, or in a stream of which nothing but a beginning was deleted.

use super::Stream;
use super::group::Group;
use super::id::StreamId;

impl Stream {
    /// Whether an entry was deleted by name at or after `from` that may lie between entries.
    fn has_gap_from(&self, from: StreamId) -> bool {
        if self.len == 0 || self.max_deleted_id == StreamId::MIN {
            return false;
        }
        self.max_deleted_id >= self.first_id() && from <= self.max_deleted_id
    }

    /// How many entries were ever added up to `id`, if that can be told.
    pub fn entries_until(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(self.entries_added);
        }
        if id != StreamId::MIN && id < self.max_deleted_id {
            return None;
        }
        if id >= self.last_id {
            return (id == self.last_id).then_some(self.entries_added);
        }
        let first = self.first_id();
        if self.max_deleted_id != StreamId::MIN && self.max_deleted_id >= first {
            return None;
        }
        let before = self.entries_added.saturating_sub(self.len);
        match id.cmp(&first) {
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before + 1),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// How many entries a group has yet to read, if that can be told. Less than none if
    /// somebody said that it had read more than there were.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        if self.entries_added == 0 || self.len == 0 {
            return Some(0);
        }
        let first = self.first_id();
        if group.last_id < first && self.max_deleted_id < first {
            return Some(self.len as i64);
        }
        let read = match group.entries_read {
            Some(read) if !self.has_gap_from(group.last_id) => Some(read),
            _ => self.entries_until(group.last_id),
        };
        read.map(|read| (self.entries_added as i64).wrapping_sub(read as i64))
    }

    /// Notes that a group has read the entry `id`, beyond where it was.
    pub fn note_read(&mut self, group: &[u8], id: StreamId) {
        let Some((last, read)) = self.group(group).map(|g| (g.last_id, g.entries_read)) else {
            return;
        };
        let counts = last >= self.first_id() && !self.has_gap_from(last);
        let read = match read {
            Some(read) if counts => Some(read + 1),
            _ if self.entries_added > 0 => self.entries_until(id),
            read => read,
        };
        if let Some(group) = self.group_mut(group) {
            group.last_id = id;
            group.entries_read = read;
        }
    }
}
