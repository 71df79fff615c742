//! Commands about replication: who follows whom, the dialogue with which a replica introduces
//! itself, and waiting for acknowledgements. The links themselves live in `replication/`.

use crate::commands::handler::Handler;
use crate::commands::spec::{Acl, CommandSpec, Deprecated, Flags, Group};
use crate::commit::AckLevel;
use crate::execute::{After, BlockOn, SessionContext};
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::replication::{self, LinkState, Phase, Plan, Role, Upstream, UpstreamState};
use crate::time::{Duration, Instant};
use std::sync::atomic::Ordering;

const SERVER: CommandSpec = CommandSpec {
    group: Group::Server,
    ..CommandSpec::DEFAULT
};

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "replicaof",
        since: "5.0.0",
        arity: 3,
        flags: Flags::of("admin noscript stale no_async_loading"),
        syntax: "<<host port>{host-port} | <NO ONE>{no-one}>{args}",
        summary: "Makes the server a replica of another, or a primary.",
        complexity: "O(1)",
        handler: Handler::Session(replicaof),
        ..SERVER
    },
    CommandSpec {
        name: "slaveof",
        since: "1.0.0",
        arity: 3,
        flags: Flags::of("admin noscript stale no_async_loading"),
        syntax: "<<host port>{host-port} | <NO ONE>{no-one}>{args}",
        summary: "Makes the server a replica of another, or a primary.",
        complexity: "O(1)",
        deprecated: Some(Deprecated {
            since: "5.0.0",
            replaced_by: "`REPLICAOF`",
        }),
        handler: Handler::Session(slaveof),
        ..SERVER
    },
    CommandSpec {
        name: "failover",
        since: "6.2.0",
        arity: -1,
        flags: Flags::of("admin noscript stale"),
        syntax: "[TO host port [FORCE]]{+target} [ABORT] [TIMEOUT milliseconds{:integer}]",
        summary: "Hands the role of the primary to one of its replicas.",
        complexity: "O(1)",
        handler: Handler::Session(failover),
        ..SERVER
    },
    CommandSpec {
        name: "role",
        since: "2.8.12",
        arity: 1,
        flags: Flags::of("noscript loading stale fast"),
        acl: Acl::and("admin dangerous"),
        summary: "Tells the part the server plays in replication.",
        complexity: "O(1)",
        handler: Handler::Session(role),
        ..SERVER
    },
    CommandSpec {
        name: "wait",
        since: "3.0.0",
        arity: 3,
        flags: Flags::of("blocking"),
        group: Group::Generic,
        acl: Acl::only("connection"),
        syntax: "numreplicas timeout{:integer}",
        summary: "Waits until replicas have acknowledged the writes of the connection.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        handler: Handler::Session(wait),
        ..SERVER
    },
    CommandSpec {
        name: "waitaof",
        since: "7.2.0",
        arity: 4,
        flags: Flags::of("blocking"),
        group: Group::Generic,
        acl: Acl::only("connection"),
        syntax: "numlocal numreplicas timeout{:integer}",
        summary: "Waits until the writes of the connection are in append-only files, here and on replicas.",
        complexity: "O(1)",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        handler: Handler::Session(waitaof),
        ..SERVER
    },
    CommandSpec {
        name: "psync",
        since: "2.8.0",
        arity: -3,
        flags: Flags::of("admin noscript no_async_loading no_multi"),
        syntax: "replicationid offset",
        summary: "Begins or resumes the stream to a replica.",
        handler: Handler::Session(psync),
        ..SERVER
    },
    CommandSpec {
        name: "sync",
        since: "1.0.0",
        arity: 1,
        flags: Flags::of("admin noscript no_async_loading no_multi"),
        summary: "Begins the stream to a replica.",
        handler: Handler::Session(sync),
        ..SERVER
    },
    CommandSpec {
        name: "replconf",
        since: "3.0.0",
        arity: -1,
        flags: Flags::of("admin noscript loading stale allow_busy"),
        summary: "Carries what servers tell each other about replication.",
        complexity: "O(1)",
        syscmd: true,
        handler: Handler::Session(replconf),
        ..SERVER
    },
];

fn replicaof(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let server = context.server;
    if server.replication.failover.phase() != Phase::Idle {
        return Err(replication::FAILING_OVER);
    }
    if args.is(1, "no") && args.is(2, "one") {
        // Noted now, so that a CONFIG REWRITE in the same transaction writes it, as Sentinel wants.
        replication::note_primary(server, None);
        change_role(context, move || {
            replication::become_primary(server);
        });
        reply.ok();
        return Ok(());
    }
    let port = parse_i64(args.at(2)).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or(WireError::fixed("ERR Invalid master port"))?;
    let host = std::str::from_utf8(args.at(1))
        .map_err(|_| WireError::fixed("ERR Invalid master host"))?
        .to_owned();
    if let Role::Replica(upstream) = server.replication.role()
        && upstream.host == host
        && upstream.port == port
        // After a copy was refused, the same order again means: take it.
        && server.replication.refusal().is_none()
    {
        reply.simple("OK Already connected to specified master");
        return Ok(());
    }
    let upstream = Upstream { host, port };
    replication::note_primary(server, Some(&upstream));
    change_role(context, move || {
        replication::become_replica(server, &upstream.host, upstream.port);
    });
    reply.ok();
    Ok(())
}

/// Changes the role now, or right after the transaction: a change of role locks everything,
/// and `EXEC` holds locks.
fn change_role(context: &SessionContext<'_>, change: impl FnOnce() + Send + 'static) {
    match context.server.workers().first() {
        Some(worker) if context.in_transaction() => worker.run(Box::new(move |worker| {
            let server = worker.server;
            tokio::task::spawn_local(async move {
                server.scripts.none_running().await;
                change();
            });
        })),
        _ => change(),
    }
}

fn slaveof(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    replicaof(context, args, reply)
}

fn failover(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    match parse_failover(args)? {
        None => change_role(context, replication::abort(context.server)?),
        Some(plan) => replication::begin(context.server, plan)?,
    }
    reply.ok();
    Ok(())
}

/// What `FAILOVER` asks for; `None` for `ABORT`.
fn parse_failover(args: Args<'_>) -> Result<Option<Plan>, WireError> {
    if args.len() == 2 && args.is(1, "abort") {
        return Ok(None);
    }
    let mut plan = Plan::default();
    let mut timeout_ms = None;
    let mut at = 1;
    while at < args.len() {
        let left = args.len() - at - 1;
        if args.is(at, "timeout") && left >= 1 && timeout_ms.is_none() {
            let ms = parse_i64(args.at(at + 1)).ok_or(errors::NOT_AN_INTEGER)?;
            let ms = u64::try_from(ms).ok().filter(|ms| *ms > 0);
            timeout_ms = Some(ms.ok_or(WireError::fixed(
                "ERR FAILOVER timeout must be greater than 0",
            ))?);
            at += 2;
        } else if args.is(at, "to") && left >= 2 && plan.target.is_none() {
            let port = parse_i64(args.at(at + 2)).ok_or(errors::NOT_AN_INTEGER)?;
            plan.target = Some(Upstream {
                host: String::from_utf8_lossy(args.at(at + 1)).into_owned(),
                // No replica listens on 0, so it is not found.
                port: u16::try_from(port).unwrap_or(0),
            });
            at += 3;
        } else if args.is(at, "force") && !plan.force {
            plan.force = true;
            at += 1;
        } else {
            return Err(errors::SYNTAX);
        }
    }
    let deadline = |ms: u64| Instant::now().checked_add(Duration::from_millis(ms.min(LONGEST_MS)));
    plan.deadline = timeout_ms.and_then(deadline);
    Ok(Some(plan))
}

fn role(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let server = context.server;
    let offset = server.log.end() as i64;
    match server.replication.role() {
        Role::Primary => {
            let mut links = server.replication.links();
            links.retain(|link| *link.state.lock() == LinkState::Online);
            reply.array(3);
            reply.bulk_str("master");
            reply.int(offset);
            reply.array(links.len());
            for link in links {
                reply.array(3);
                reply.bulk_str(&link.address);
                reply.int_bulk(i64::from(link.port));
                reply.int_bulk(link.applied.load(Ordering::SeqCst) as i64);
            }
        }
        Role::Replica(upstream) => {
            let (state, _) = server.replication.upstream_state();
            reply.array(5);
            reply.bulk_str("slave");
            reply.bulk_str(&upstream.host);
            reply.int(i64::from(upstream.port));
            reply.bulk_str(state.name());
            let following = state == UpstreamState::Connected;
            reply.int(if following { offset } else { -1 });
        }
    }
    Ok(())
}

fn wait(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let server = context.server;
    if server.replication.is_replica() {
        return Err(WAIT_ON_REPLICA);
    }
    let count = parse_i64(args.at(1)).ok_or(errors::NOT_AN_INTEGER)?;
    let deadline = deadline(args.at(2))?;
    let offset = context.client.last_write;
    let reached = server.replication.count_acked(AckLevel::Applied, offset);
    if reached as i64 >= count || context.in_transaction() {
        reply.int(reached as i64);
        return Ok(());
    }
    ask_replicas(server, offset, false);
    context.after = After::Block(BlockOn::Replicas {
        count: count as usize,
        offset,
        deadline,
    });
    Ok(())
}

fn waitaof(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let local = match parse_i64(args.at(1)).ok_or(errors::NOT_AN_INTEGER)? {
        0 => false,
        1 => true,
        _ => return Err(NOT_0_OR_1),
    };
    let count = parse_i64(args.at(2)).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(errors::MUST_BE_POSITIVE)?;
    let deadline = deadline(args.at(3))?;
    let server = context.server;
    if server.replication.is_replica() {
        return Err(WAITAOF_ON_REPLICA);
    }
    if local && !server.config.current().appendonly {
        return Err(NO_LOCAL_FILE);
    }
    let offset = context.client.last_write;
    let reached = server.replication.count_acked(AckLevel::Fsynced, offset);
    let here = server.config.current().appendonly && server.aof.fsynced() >= offset;
    if (reached >= count && (here || !local)) || context.in_transaction() {
        reply.array(2);
        reply.int(i64::from(here));
        reply.int(reached as i64);
        return Ok(());
    }
    ask_replicas(server, offset, true);
    context.after = After::Block(BlockOn::Files {
        local,
        count,
        offset,
        deadline,
    });
    Ok(())
}

/// Redis's and Valkey's replicas say how far they are when they are asked.
fn ask_replicas(server: &crate::server::Server, offset: u64, in_files: bool) {
    server.replication.want_acknowledged(offset, in_files);
    server.log.notify();
}

/// When a wait of so many milliseconds ends; 0 is never.
fn deadline(timeout_ms: &[u8]) -> Result<Option<Instant>, WireError> {
    let timeout_ms = parse_i64(timeout_ms).ok_or(WireError::fixed(
        "ERR timeout is not an integer or out of range",
    ))?;
    let timeout_ms =
        u64::try_from(timeout_ms).map_err(|_| WireError::fixed("ERR timeout is negative"))?;
    if timeout_ms == 0 {
        return Ok(None);
    }
    // A deadline too far to be represented is never reached.
    Ok(Instant::now().checked_add(Duration::from_millis(timeout_ms.min(LONGEST_MS))))
}

/// `PSYNC replid offset`: the connection becomes a replica's link once its replies are sent.
fn psync(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    _reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.is(3, "failover") {
        let replid = String::from_utf8_lossy(args.at(1));
        replication::take_over(context.server, &replid)?;
    }
    if context.server.replication.failover.phase() != Phase::Idle {
        return Err(replication::NO_STREAM);
    }
    refuse_without_primary(context)?;
    let offset = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    context.after = After::Replicate {
        replid: String::from_utf8_lossy(args.at(1)).into_owned(),
        offset,
    };
    Ok(())
}

fn sync(
    context: &mut SessionContext<'_>,
    _args: Args<'_>,
    _reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if context.server.replication.failover.phase() != Phase::Idle {
        return Err(replication::NO_STREAM);
    }
    refuse_without_primary(context)?;
    context.client.replica.plain = true;
    context.after = After::Replicate {
        replid: "?".into(),
        offset: -1,
    };
    Ok(())
}

/// A replica that is not in touch with its primary has no stream to pass on.
fn refuse_without_primary(context: &SessionContext<'_>) -> Result<(), WireError> {
    let replication = &context.server.replication;
    if replication.is_replica() && replication.upstream_state().0 != UpstreamState::Connected {
        return Err(WireError::fixed(
            "NOMASTERLINK Can't SYNC while not connected with my master",
        ));
    }
    Ok(())
}

/// What a replica says of itself before it asks for the stream. What it says afterwards is
/// read by its link, not here.
fn replconf(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len().is_multiple_of(2) {
        return Err(errors::SYNTAX);
    }
    let hello = &mut context.client.replica;
    let mut greets = false;
    for at in (1..args.len()).step_by(2) {
        let value = args.at(at + 1);
        if args.is(at, "listening-port") {
            let port = parse_i64(value).ok_or(errors::NOT_AN_INTEGER)?;
            hello.port = u16::try_from(port).map_err(|_| errors::NOT_AN_INTEGER)?;
        } else if args.is(at, "ip-address") {
            if value.len() > LONGEST_ADDRESS {
                return Err(WireError::new(format!(
                    "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
                    value.len()
                )));
            }
            hello.address = Some(String::from_utf8_lossy(value).into_owned())
                .filter(|address| !address.is_empty());
        } else if args.is(at, "capa") {
            greets |= args.is(at + 1, replication::CAPABILITY);
            // Unknown ones mean nothing; a bound keeps a client from filling memory.
            if hello.capabilities.len() < 16 && value.len() < 64 {
                let name = String::from_utf8_lossy(value).to_ascii_lowercase();
                hello.capabilities.push(name);
            }
        } else if args.is(at, "ack") || args.is(at, "fack") || args.is(at, "getack") {
            // Part of a link's stream; from an ordinary client it means nothing and has no
            // reply.
            return Ok(());
        } else if args.is(at, "run-id") {
            // Of nodes of our own kind.
            if value.len() <= LONGEST_ADDRESS {
                hello.run_id = Some(String::from_utf8_lossy(value).into_owned());
            }
        } else if args.is(at, "rdb-only") {
            let only = parse_i64(value).ok_or(errors::NOT_AN_INTEGER)?;
            hello.rdb_only = match only {
                0 => false,
                1 => true,
                _ => return Err(NOT_0_OR_1),
            };
        } else if args.is(at, "version") && value.len() < 64 {
            hello.version = Some(String::from_utf8_lossy(value).into_owned());
        } else if args.is(at, "rdb-filter-only") {
            // What it names besides keys: functions, or nothing.
            let unknown =
                |word: &&[u8]| !word.is_empty() && !word.eq_ignore_ascii_case(b"functions");
            if let Some(word) = value.split(u8::is_ascii_whitespace).find(unknown) {
                let text = "ERR Unsupported rdb-filter-only option: ";
                return Err(WireError::quoting(text, word, ""));
            }
            hello.without_keys = true;
        } else if args.is(at, "version") {
            // Too long to be one.
        } else {
            return Err(WireError::quoting(
                "ERR Unrecognized REPLCONF option: ",
                args.at(at),
                "",
            ));
        }
    }
    match greets {
        true => reply.simple(replication::GREETING),
        false => reply.ok(),
    }
    Ok(())
}

/// A hundred years.
const LONGEST_MS: u64 = 100 * 365 * 86_400_000;
/// Bytes of the longest address that is taken.
const LONGEST_ADDRESS: usize = 255;

const NOT_0_OR_1: WireError =
    WireError::fixed("ERR value is out of range, value must between 0 and 1");
const WAIT_ON_REPLICA: WireError = WireError::fixed(
    "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a \
     replica is configured to be writable (which is not the default) writes to replicas are just \
     local and are not propagated.",
);
const WAITAOF_ON_REPLICA: WireError = WireError::fixed(
    "ERR WAITAOF cannot be used with replica instances. Please also note that writes to \
     replicas are just local and are not propagated.",
);
const NO_LOCAL_FILE: WireError =
    WireError::fixed("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
