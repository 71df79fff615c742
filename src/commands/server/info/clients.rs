//! The section `clients`.

use super::Text;
use crate::execute::SessionContext;
use crate::net::{ClientInfo, ClientKind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

pub(super) fn clients(context: &SessionContext<'_>, text: &mut Text) {
    context.client.publish();
    let server = context.server;
    let clients = server.clients.all();
    let count = |is: &dyn Fn(&ClientInfo) -> bool| clients.iter().filter(|c| is(c)).count();
    let most = |of: &dyn Fn(&Arc<ClientInfo>) -> usize| clients.iter().map(of).max().unwrap_or(0);
    let connected = count(&|c| c.kind() != ClientKind::Replica);
    text.field("connected_clients", connected);
    text.field("cluster_connections", 0);
    text.field("maxclients", server.max_clients());
    let input = most(&|c| c.query_bytes.load(Relaxed));
    text.field("client_recent_max_input_buffer", input);
    let output = most(&|c| c.output_bytes.load(Relaxed));
    text.field("client_recent_max_output_buffer", output);
    let blocked = count(&|c| c.blocked.load(Relaxed) || c.paused.load(Relaxed));
    text.field("blocked_clients", blocked);
    text.field("tracking_clients", server.tracking.clients());
    text.field("pubsub_clients", count(&|c| c.kind() == ClientKind::PubSub));
    text.field("watching_clients", count(&|c| c.watch.load(Relaxed) > 0));
    let timed = count(&|c| c.timed.load(Relaxed));
    text.field("clients_in_timeout_table", timed);
    let (mut watched, mut waited_for, mut minding) = (0, 0, 0);
    context.each_shard(|_, shard| {
        watched += shard.watched_keys();
        let (keys, of_them) = shard.waiters().count();
        waited_for += keys;
        minding += of_them;
    });
    text.field("total_watched_keys", watched);
    let (why, what, left) = server.pause.shown();
    text.field("paused_reason", why);
    text.field("paused_actions", what);
    text.field("paused_timeout_milliseconds", left.as_millis());
    text.field("total_blocking_keys", waited_for);
    text.field("total_blocking_keys_on_nokey", minding);
}
