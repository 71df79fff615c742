//! PLACEHOLDER: the thinnest slice.
use super::handler::*;
use super::spec::*;
use crate::execute::*;
use crate::protocol::*;

const S: CommandSpec = CommandSpec {
    group: Group::String,
    ..CommandSpec::DEFAULT
};
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "ping",
        since: "1.0.0",
        arity: -1,
        flags: Flags::of("fast"),
        syntax: "[message]",
        summary: "Pings.",
        handler: Handler::Session(ping),
        ..S
    },
    CommandSpec {
        name: "replconf",
        since: "1.0.0",
        arity: -1,
        flags: Flags::of("fast"),
        syntax: "[message]",
        summary: "Pings.",
        handler: Handler::Session(replconf),
        ..S
    },
    CommandSpec {
        name: "psync",
        since: "1.0.0",
        arity: -3,
        flags: Flags::of("fast"),
        syntax: "[message]",
        summary: "Pings.",
        handler: Handler::Session(psync),
        ..S
    },
    CommandSpec {
        name: "info",
        since: "1.0.0",
        arity: -1,
        flags: Flags::of("fast"),
        syntax: "[message]",
        summary: "Pings.",
        handler: Handler::Session(info),
        ..S
    },
];
fn ping(_: &mut SessionContext<'_>, _: Args<'_>, r: &mut Reply<'_>) -> Result<(), WireError> {
    r.simple("PONG");
    Ok(())
}
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
fn replconf(c: &mut SessionContext<'_>, a: Args<'_>, r: &mut Reply<'_>) -> Result<(), WireError> {
    let mut i = 1;
    while i + 1 < a.len() {
        let v = String::from_utf8_lossy(a.at(i + 1)).into_owned();
        if a.is(i, "listening-port") {
            c.client.replica.port = v.parse().unwrap_or(0);
        }
        if a.is(i, "capa") {
            c.client.replica.capabilities.push(v);
        }
        i += 2;
    }
    r.ok();
    Ok(())
}
fn psync(c: &mut SessionContext<'_>, a: Args<'_>, _: &mut Reply<'_>) -> Result<(), WireError> {
    c.after = After::Replicate {
        replid: String::from_utf8_lossy(a.at(1)).into_owned(),
        offset: crate::number::parse_i64(a.at(2)).unwrap_or(-1),
    };
    Ok(())
}
pub fn expire_one(_c: &mut WriteContext<'_>, _key: &[u8]) {}
