//! What newer commands have done, said in commands that every replica knows.
//!
//! Redis before 8.2 and Valkey have no `XDELEX`, no `XACKDEL`, and no `KEEPREF`, `DELREF` and
//! `ACKED`. Each of these comes down to entries that went and references that went, which
//! `XDEL` (or `XTRIM`) and `XACK` can say exactly.

use crate::execute::{Effect, WriteContext};
use crate::values::stream::{Removed, Stream, StreamId};

/// Puts the removal of references into the effect, one command for each group.
pub(super) fn put_acknowledged(
    ctx: &mut WriteContext<'_>,
    key: &[u8],
    references: &mut [(Box<[u8]>, StreamId)],
) {
    references.sort();
    for group in references.chunk_by(|one, next| one.0 == next.0) {
        let Some((name, _)) = group.first() else {
            continue;
        };
        let effect = ctx.effect(3 + group.len()).arg(b"XACK").arg(key).arg(name);
        for (_, id) in group {
            effect.arg(&id.text());
        }
    }
}

/// The effect of a removal of single entries and references.
pub(super) fn removal(ctx: &mut WriteContext<'_>, key: &[u8], mut removed: Removed) -> Effect {
    if removed.ids.is_empty() && removed.references.is_empty() {
        return Effect::None;
    }
    put_acknowledged(ctx, key, &mut removed.references);
    put_deleted(ctx, key, &removed.ids);
    Effect::Rewritten
}

fn put_deleted(ctx: &mut WriteContext<'_>, key: &[u8], ids: &[StreamId]) {
    if ids.is_empty() {
        return;
    }
    let effect = ctx.effect(2 + ids.len()).arg(b"XDEL").arg(key);
    for id in ids {
        effect.arg(&id.text());
    }
}

/// What trimming has done, and what it has left.
#[derive(Default)]
pub(super) struct Trimmed {
    /// How many entries went.
    pub count: u64,
    /// How many stayed.
    pub left: u64,
    removed: Removed,
    /// Where younger entries went than some that stayed: the stream's last identity and the
    /// highest that was deleted by name.
    holes: Option<(StreamId, StreamId)>,
}

impl Trimmed {
    /// Notes what `stream` is after `count` of its entries were trimmed.
    pub fn note(stream: &Stream, count: u64, removed: Removed) -> Self {
        let left = stream.len() as u64;
        let youngest = removed.ids.iter().max();
        let holes = left > 0 && youngest.is_some_and(|id| *id > stream.first_id());
        Trimmed {
            count,
            left,
            removed,
            holes: holes.then_some((stream.last_id, stream.max_deleted_id)),
        }
    }

    /// Puts it into the effect. Trimming down to a number is exact for everybody.
    pub fn put(mut self, ctx: &mut WriteContext<'_>, key: &[u8]) {
        put_acknowledged(ctx, key, &mut self.removed.references);
        if let Some((last, max_deleted)) = self.holes {
            put_deleted(ctx, key, &self.removed.ids);
            // Deleting by name is remembered, trimming is not.
            // To say twice that there was no such deletion is an idiom of our own: others take
            // 0-0 for nothing said.
            let times = if max_deleted == StreamId::MIN { 2 } else { 1 };
            let effect = ctx.effect(3 + 2 * times).arg(b"XSETID").arg(key);
            effect.arg(&last.text());
            for _ in 0..times {
                effect.arg(b"MAXDELETEDID").arg(&max_deleted.text());
            }
        } else if self.count > 0 {
            let effect = ctx.effect(5).arg(b"XTRIM").arg(key);
            effect.arg(b"MAXLEN").arg(b"=").int(self.left as i64);
        }
    }
}
