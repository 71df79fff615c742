//! How entries and identities look in replies.

use crate::protocol::Reply;
use crate::values::packed::Element;
use crate::values::stream::{Entry, StreamId};

/// An identity as a bulk string.
pub(super) fn id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(&id.text());
}

/// An entry: its identity, then fields and values in turn.
pub(super) fn entry(reply: &mut Reply<'_>, entry: Entry<'_>) {
    reply.array(2);
    id(reply, entry.id);
    reply.array(entry.fields * 2);
    for (field, value) in entry.pairs() {
        element(reply, field);
        element(reply, value);
    }
}

/// An entry that was delivered and has been deleted since.
pub(super) fn deleted(reply: &mut Reply<'_>, deleted: StreamId) {
    reply.array(2);
    id(reply, deleted);
    reply.null_array();
}

/// An array of entries.
pub(super) fn entries<'a>(reply: &mut Reply<'_>, entries: impl Iterator<Item = Entry<'a>>) {
    let all: Vec<_> = entries.collect();
    reply.array(all.len());
    all.into_iter().for_each(|one| entry(reply, one));
}

fn element(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Int(n) => reply.int_bulk(n),
        Element::Str(bytes) => reply.bulk(bytes),
    }
}
