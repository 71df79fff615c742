//! Finding and making consumers.

use crate::config::NotifyClass;
use crate::execute::{Found, WriteContext};
use crate::protocol::WireError;
use crate::values::stream::{ConsumerIndex, Stream};

/// Where a consumer is, and whether it was made just now.
pub(super) struct Place {
    pub consumer: ConsumerIndex,
    pub created: bool,
}

/// The consumer of a group, made if it is not there, and noted as seen. `None` when there is
/// no such group.
pub(super) fn seen(
    ctx: &mut WriteContext<'_>,
    found: Found,
    key: &[u8],
    group: &[u8],
    name: &[u8],
) -> Result<Option<Place>, WireError> {
    let now = ctx.now();
    let Some(there) = ctx.stream_of(found)?.group(group) else {
        return Ok(None);
    };
    if let Some(consumer) = there.find_consumer(name) {
        if let Some(consumer) = there.consumer(consumer) {
            consumer.seen_at.set(now);
        }
        return Ok(Some(Place {
            consumer,
            created: false,
        }));
    }
    let stream = ctx.object_quietly::<Stream>(found);
    let group = stream.and_then(|stream| stream.group_mut(group));
    let Some(consumer) = group.map(|group| group.add_consumer(name, now)) else {
        return Ok(None);
    };
    ctx.notify(NotifyClass::STREAM, "xgroup-createconsumer", key);
    Ok(Some(Place {
        consumer,
        created: true,
    }))
}

/// Puts the making of a consumer into the effect.
pub(super) fn put_created(ctx: &mut WriteContext<'_>, key: &[u8], group: &[u8], name: &[u8]) {
    let effect = ctx.effect(5).arg(b"XGROUP").arg(b"CREATECONSUMER");
    effect.arg(key).arg(group).arg(name);
}
