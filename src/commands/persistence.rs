//! Commands about the files: BGREWRITEAOF.

use super::handler::Handler;
use super::spec::{Acl, CommandSpec, Flags, Group};
use crate::execute::SessionContext;
use crate::protocol::{Args, Reply, WireError};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "bgrewriteaof",
    since: "1.0.0",
    arity: 1,
    flags: Flags::of("admin no_async_loading noscript"),
    group: Group::Server,
    acl: Acl::and("admin slow dangerous"),
    summary: "Makes the append-only file anew from memory, in the background.",
    complexity: "O(1)",
    handler: Handler::Session(bgrewriteaof),
    ..CommandSpec::DEFAULT
}];

fn bgrewriteaof(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if !context.server.aof.start_rewrite(context.server) {
        return Err(WireError::fixed(
            "ERR Background append only file rewriting already in progress",
        ));
    }
    reply.simple("Background append only file rewriting started");
    Ok(())
}
