//! What a client of a cluster sends to a node that may not own a slot. There is no cluster
//! here, and the commands say so, as Redis does without one.

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
        ..SLOT
    },
    CommandSpec {
        name: "readwrite",
        flags: Flags::of("loading stale fast"),
        summary: "Ends what READONLY began.",
        ..SLOT
    },
];

fn disabled(_: &mut SessionContext<'_>, _: Args<'_>, _: &mut Reply<'_>) -> Result<(), WireError> {
    Err(WireError::fixed(
        "ERR This instance has cluster support disabled",
    ))
}
