//! Publish and subscribe, and `MONITOR`.
//!
//! Acknowledgements of subscriptions go through the client's own mailbox, not into the reply:
//! so they stand where they belong among the messages that others put there meanwhile, and
//! `CLIENT REPLY OFF` does not swallow them.

use super::handler::Handler;
use super::spec::{Acl, CommandSpec, Flags, Group, KeySpec};
use crate::execute::SessionContext;
use crate::protocol::{Args, OutBuf, Reply, WireError};
use crate::pubsub::{Kind, Mail};
use bytes::Bytes;

const PUBSUB: CommandSpec = CommandSpec {
    group: Group::PubSub,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "subscribe",
        since: "2.0.0",
        arity: -2,
        flags: Flags::of("pubsub noscript loading stale"),
        syntax: "channel [channel ...]",
        summary: "Listens to channels.",
        complexity: "O(N), N being the number of channels",
        handler: Handler::Session(subscribe),
        ..PUBSUB
    },
    CommandSpec {
        name: "unsubscribe",
        since: "2.0.0",
        arity: -1,
        flags: Flags::of("pubsub noscript loading stale"),
        syntax: "[channel [channel ...]]",
        summary: "Stops listening to channels.",
        complexity: "O(N), N being the number of channels",
        handler: Handler::Session(unsubscribe),
        ..PUBSUB
    },
    CommandSpec {
        name: "psubscribe",
        since: "2.0.0",
        arity: -2,
        flags: Flags::of("pubsub noscript loading stale"),
        syntax: "pattern{:pattern} [pattern ...]",
        summary: "Listens to the channels that match patterns.",
        complexity: "O(N), N being the number of patterns",
        handler: Handler::Session(psubscribe),
        ..PUBSUB
    },
    CommandSpec {
        name: "punsubscribe",
        since: "2.0.0",
        arity: -1,
        flags: Flags::of("pubsub noscript loading stale"),
        syntax: "[pattern{:pattern} [pattern ...]]",
        summary: "Stops listening to the channels that match patterns.",
        complexity: "O(N), N being the number of patterns",
        handler: Handler::Session(punsubscribe),
        ..PUBSUB
    },
    CommandSpec {
        name: "ssubscribe",
        since: "7.0.0",
        arity: -2,
        flags: Flags::of("pubsub noscript loading stale"),
        keys: &[KeySpec::range(1, -1, 1, "not_key")],
        syntax: "shardchannel [shardchannel ...]",
        summary: "Listens to shard channels.",
        complexity: "O(N), N being the number of channels",
        handler: Handler::Session(ssubscribe),
        ..PUBSUB
    },
    CommandSpec {
        name: "sunsubscribe",
        since: "7.0.0",
        arity: -1,
        flags: Flags::of("pubsub noscript loading stale"),
        keys: &[KeySpec::range(1, -1, 1, "not_key")],
        syntax: "[shardchannel [shardchannel ...]]",
        summary: "Stops listening to shard channels.",
        complexity: "O(N), N being the number of channels",
        handler: Handler::Session(sunsubscribe),
        ..PUBSUB
    },
    CommandSpec {
        name: "publish",
        since: "2.0.0",
        arity: 3,
        flags: Flags::of("pubsub loading stale fast may_replicate"),
        syntax: "channel message",
        summary: "Sends a message to those who listen to a channel.",
        complexity: "O(N+M), N being the listeners of the channel and M the patterns of all \
                     clients",
        handler: Handler::Session(publish),
        ..PUBSUB
    },
    CommandSpec {
        name: "spublish",
        since: "7.0.0",
        arity: 3,
        flags: Flags::of("pubsub loading stale fast may_replicate"),
        keys: &[KeySpec::at(1, "not_key")],
        syntax: "shardchannel message",
        summary: "Sends a message to those who listen to a shard channel.",
        complexity: "O(N), N being the listeners of the channel",
        handler: Handler::Session(spublish),
        ..PUBSUB
    },
    CommandSpec {
        name: "pubsub",
        since: "2.8.0",
        arity: -2,
        summary: "Groups the commands that tell who listens.",
        complexity: "By subcommand",
        subcommands: SUBCOMMANDS,
        ..PUBSUB
    },
    CommandSpec {
        name: "monitor",
        since: "1.0.0",
        arity: 1,
        flags: Flags::of("admin noscript loading stale"),
        summary: "Shows every command that the server executes.",
        handler: Handler::Session(monitor),
        group: Group::Server,
        ..CommandSpec::DEFAULT
    },
];

const SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "channels",
        since: "2.8.0",
        arity: -2,
        flags: Flags::of("pubsub loading stale"),
        syntax: "[pattern{:pattern}]",
        summary: "Lists the channels that somebody listens to.",
        complexity: "O(N), N being the number of such channels",
        handler: Handler::Session(channels),
        ..PUBSUB
    },
    CommandSpec {
        name: "numpat",
        since: "2.8.0",
        arity: 2,
        flags: Flags::of("pubsub loading stale"),
        summary: "Counts the patterns that somebody listens to.",
        complexity: "O(1)",
        handler: Handler::Session(numpat),
        ..PUBSUB
    },
    CommandSpec {
        name: "numsub",
        since: "2.8.0",
        arity: -2,
        flags: Flags::of("pubsub loading stale"),
        syntax: "[channel [channel ...]]",
        summary: "Counts the listeners of channels.",
        complexity: "O(N), N being the number of channels named",
        handler: Handler::Session(numsub),
        ..PUBSUB
    },
    CommandSpec {
        name: "shardchannels",
        since: "7.0.0",
        arity: -2,
        flags: Flags::of("pubsub loading stale"),
        syntax: "[pattern{:pattern}]",
        summary: "Lists the shard channels that somebody listens to.",
        complexity: "O(N), N being the number of such channels",
        handler: Handler::Session(shard_channels),
        ..PUBSUB
    },
    CommandSpec {
        name: "shardnumsub",
        since: "7.0.0",
        arity: -2,
        flags: Flags::of("pubsub loading stale"),
        syntax: "[shardchannel [shardchannel ...]]",
        summary: "Counts the listeners of shard channels.",
        complexity: "O(N), N being the number of channels named",
        handler: Handler::Session(shard_numsub),
        ..PUBSUB
    },
    CommandSpec {
        name: "help",
        since: "6.2.0",
        arity: 2,
        flags: Flags::of("loading stale"),
        acl: Acl::only(""),
        summary: "Describes the subcommands.",
        complexity: "O(1)",
        handler: Handler::Session(help),
        ..PUBSUB
    },
];

fn subscribe(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    add(context, Kind::Channel, args, reply)
}

fn psubscribe(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    add(context, Kind::Pattern, args, reply)
}

fn ssubscribe(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    add(context, Kind::Shard, args, reply)
}

fn unsubscribe(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    remove(context, Kind::Channel, args, reply)
}

fn punsubscribe(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    remove(context, Kind::Pattern, args, reply)
}

fn sunsubscribe(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    remove(context, Kind::Shard, args, reply)
}

/// Adds subscriptions. They are acknowledged first: a message must not come before.
fn add(
    context: &mut SessionContext<'_>,
    kind: Kind,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let mut new = Vec::new();
    let all = context.client.subscriptions.get_or_insert_default();
    let mut acks = Acks::new(reply.resp3());
    for topic in args.from(1) {
        if all.insert(kind, topic) {
            new.push(topic);
        }
        acks.add(ADDED[kind as usize], Some(topic), all.counted_with(kind));
    }
    context.client.subscriptions_changed();
    acks.send(context, reply);
    for topic in new {
        let info = &context.client.info;
        context.server.pubsub.subscribe(kind, topic, info);
    }
    Ok(())
}

/// Takes subscriptions away: the named ones, or all of a kind. They are acknowledged behind
/// the last message that came because of them.
fn remove(
    context: &mut SessionContext<'_>,
    kind: Kind,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let (server, client) = (context.server, &mut *context.client);
    let all = client.subscriptions.get_or_insert_default();
    let topics: Vec<Box<[u8]>> = match args.len() {
        1 => all.of(kind).map(Into::into).collect(),
        _ => args.from(1).map(Into::into).collect(),
    };
    let mut acks = Acks::new(reply.resp3());
    let word = REMOVED[kind as usize];
    for topic in &topics {
        if all.remove(kind, topic) {
            server.pubsub.unsubscribe(kind, topic, client.id);
        }
        acks.add(word, Some(topic), all.counted_with(kind));
    }
    if topics.is_empty() {
        acks.add(word, None, all.counted_with(kind));
    }
    client.subscriptions_changed();
    acks.send(context, reply);
    Ok(())
}

/// Acknowledgements of subscriptions, encoded one after the other.
struct Acks {
    out: OutBuf,
    resp3: bool,
}

impl Acks {
    fn new(resp3: bool) -> Self {
        let out = OutBuf::default();
        Acks { out, resp3 }
    }

    fn add(&mut self, word: &str, topic: Option<&[u8]>, count: usize) {
        let mut reply = Reply::new(&mut self.out, self.resp3);
        reply.push(3);
        reply.bulk_str(word);
        match topic {
            Some(topic) => reply.bulk(topic),
            None => reply.null(),
        }
        reply.int(count as i64);
    }

    /// Inside `EXEC` they are part of its reply.
    fn send(self, context: &mut SessionContext<'_>, reply: &mut Reply<'_>) {
        if context.in_transaction() {
            reply.raw(&self.out.buf);
        } else {
            context.post(Mail::Raw(Bytes::from(self.out.buf)));
        }
    }
}

fn publish(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let receivers = context.publish(false, args);
    reply.int(receivers as i64);
    Ok(())
}

fn spublish(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let receivers = context.publish(true, args);
    reply.int(receivers as i64);
    Ok(())
}

fn channels(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    list(context, Kind::Channel, args, reply)
}

fn shard_channels(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    list(context, Kind::Shard, args, reply)
}

fn list(
    context: &mut SessionContext<'_>,
    kind: Kind,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() > 3 {
        return Err(WireError::quoting(
            "ERR unknown subcommand or wrong number of arguments for '",
            args.at(1),
            "'. Try PUBSUB HELP.",
        ));
    }
    let channels = context.server.pubsub.channels(kind, args.get(2));
    reply.array(channels.len());
    channels.iter().for_each(|channel| reply.bulk(channel));
    Ok(())
}

fn numpat(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.int(context.server.pubsub.totals().patterns as i64);
    Ok(())
}

fn numsub(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    count(context, Kind::Channel, args, reply)
}

fn shard_numsub(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    count(context, Kind::Shard, args, reply)
}

fn count(
    context: &mut SessionContext<'_>,
    kind: Kind,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.array((args.len() - 2) * 2);
    for channel in args.from(2) {
        reply.bulk(channel);
        reply.int(context.server.pubsub.listeners(kind, channel) as i64);
    }
    Ok(())
}

fn help(
    _context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help("PUBSUB", HELP);
    Ok(())
}

/// `MONITOR`. Who monitors already gets no reply, as in Redis.
fn monitor(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if context.in_transaction() {
        return Err(WireError::fixed(
            "ERR MONITOR isn't allowed for DENY BLOCKING client",
        ));
    }
    let (server, client) = (context.server, &mut *context.client);
    if !std::mem::replace(&mut client.monitors, true) {
        server.monitors.add(server, &client.info);
        reply.ok();
    }
    Ok(())
}

/// By [`Kind`].
const ADDED: [&str; 3] = ["subscribe", "psubscribe", "ssubscribe"];
/// By [`Kind`].
const REMOVED: [&str; 3] = ["unsubscribe", "punsubscribe", "sunsubscribe"];

const HELP: &[&str] = &[
    "CHANNELS [<pattern>]",
    "    List the channels that somebody listens to and that match (default: all).",
    "NUMPAT",
    "    Count the patterns that somebody listens to.",
    "NUMSUB [<channel> ...]",
    "    Count the listeners of channels; those of patterns are left out.",
    "SHARDCHANNELS [<pattern>]",
    "    List the shard channels that somebody listens to and that match (default: all).",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Count the listeners of shard channels.",
];
