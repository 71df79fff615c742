//! PLACEHOLDER: the thinnest slice.
use super::handler::*;
use super::spec::*;
use crate::execute::*;
use crate::protocol::*;

const S: CommandSpec = CommandSpec {
    group: Group::String,
    ..CommandSpec::DEFAULT
};
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "info",
    since: "1.0.0",
    arity: -1,
    flags: Flags::of("fast"),
    syntax: "[message]",
    summary: "Pings.",
    handler: Handler::Session(info),
    ..S
}];
fn info(c: &mut SessionContext<'_>, _: Args<'_>, r: &mut Reply<'_>) -> Result<(), WireError> {
    let m = c.server.authority().members();
    r.bulk_str(&format!(
        "end {} members {m:?} role {:?} up {:?}",
        c.server.log.end(),
        c.server.replication.role(),
        c.server.replication.upstream_state()
    ));
    Ok(())
}
pub fn expire_one(_c: &mut WriteContext<'_>, _key: &[u8]) {}
