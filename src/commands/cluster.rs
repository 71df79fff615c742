//! What a client of a cluster sends to a node that may not own a slot. There is no cluster
//! here, and the commands say so, as Redis does without one. A client that a replica sends to
//! its primary (`CLIENT CAPA REDIRECT`) may still ask to read from the replica.

use super::handler::Handler;
use super::spec::{Acl, CommandSpec, Flags, Group};
use crate::execute::SessionContext;
use crate::protocol::{Args, Reply, WireError};

const SLOT: CommandSpec = CommandSpec {
    since: "3.0.0",
    arity: 1,
    group: Group::Cluster,
    acl: Acl::and("connection"),
    complexity: "O(1)",
    handler: Handler::Session(disabled),
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "asking",
        flags: Flags::of("fast"),
        summary: "Lets the next command use a slot that is being imported.",
        ..SLOT
    },
    CommandSpec {
        name: "readonly",
        flags: Flags::of("loading stale fast"),
        summary: "Lets the connection read from a replica of a cluster.",
        handler: Handler::Session(readonly),
        ..SLOT
    },
    CommandSpec {
        name: "readwrite",
        flags: Flags::of("loading stale fast"),
        summary: "Ends what READONLY began.",
        handler: Handler::Session(readwrite),
        ..SLOT
    },
];

fn readonly(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    set_reads_here(context, true, args, reply)
}

fn readwrite(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    set_reads_here(context, false, args, reply)
}

fn set_reads_here(
    context: &mut SessionContext<'_>,
    on: bool,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if !context.client.redirects {
        return disabled(context, args, reply);
    }
    context.client.reads_here = on;
    reply.ok();
    Ok(())
}

fn disabled(_: &mut SessionContext<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Result<(), WireError> {
    Err(WireError::fixed(
        "ERR This instance has cluster support disabled",
    ))
}
