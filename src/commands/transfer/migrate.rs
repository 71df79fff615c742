//! `MIGRATE`: keys to another server, and away from here. See [`crate::migration`].

use crate::commands::arguments::Arguments;
use crate::config::NotifyClass;
use crate::execute::{After, BlockOn, SessionContext, WriteContext};
use crate::keyspace::{DbIndex, shard_of};
use crate::migration::{Courier, Login, Migration, Order, Parcel, Report, Sent, Target};
use crate::protocol::{Args, Reply, WireError, errors};
use crate::rdb;
use crate::time::Duration;
use std::sync::Arc;

/// What a request asks for.
struct Request<'a> {
    target: Target,
    db: i64,
    timeout: Duration,
    copy: bool,
    replace: bool,
    keys: Vec<&'a [u8]>,
}

impl<'a> Request<'a> {
    fn read(args: Args<'a>) -> Result<Request<'a>, WireError> {
        let (mut copy, mut replace, mut login, mut keys) = (false, false, None, Vec::new());
        let mut options = Arguments::new(args, 6);
        while options.more() {
            if options.word("copy") {
                copy = true;
            } else if options.word("replace") {
                replace = true;
            } else if options.left() > 1 && options.word("auth") {
                let password = options.value().to_vec();
                login = Some(Login {
                    user: None,
                    password,
                });
            } else if options.left() > 2 && options.word("auth2") {
                login = Some(Login {
                    user: Some(options.value().to_vec()),
                    password: options.value().to_vec(),
                });
            } else if options.word("keys") {
                if !args.at(3).is_empty() {
                    return Err(KEY_AND_KEYS);
                }
                while options.more() {
                    keys.push(options.value());
                }
            } else {
                options.fail(errors::SYNTAX);
            }
        }
        let named_keys = args.at(3).is_empty();
        options.finish()?;
        if !named_keys {
            keys.push(args.at(3));
        }
        let number = |at| crate::number::parse_i64(args.at(at)).ok_or(errors::NOT_AN_INTEGER);
        let (timeout, db) = (number(5)?, number(4)?);
        let timeout = if timeout <= 0 { 1000 } else { timeout };
        // Redis makes a number of what begins like one.
        let port = crate::number::parse_i64(args.at(2)).unwrap_or(0) as u16;
        Ok(Request {
            target: Target {
                host: String::from_utf8_lossy(args.at(1)).into_owned(),
                port,
                login,
            },
            db,
            timeout: Duration::from_millis(timeout as u64),
            copy,
            replace,
            keys,
        })
    }
}

/// `MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password | AUTH2 user password]
/// [KEYS key ...]`
///
/// Runs twice or more: the request is executed again whenever answers have come.
pub(super) fn migrate(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let request = Request::read(args)?;
    if context.in_transaction() {
        return Err(IN_TRANSACTION);
    }
    let begun = context.client.migration.take();
    let begun = begun.filter(|begun| begun.words.iter().map(|word| &**word).eq(args.iter()));
    let Some(mut migration) = begun else {
        return begin(context, args, &request, reply);
    };
    let Some(report) = migration.courier.take_report() else {
        context.client.migration = Some(migration);
        context.after = After::Block(BlockOn::Migration);
        return Ok(());
    };
    let again = settle(context, &request, &mut migration, report)?;
    if !again.is_empty() {
        migration.tries += 1;
        if migration.tries <= MOST_TRIES {
            send(context, &request, *migration, again);
            return Ok(());
        }
        migration.error.get_or_insert_with(|| KEEPS_CHANGING.into());
    }
    match migration.error {
        Some(error) => Err(WireError::new(error)),
        None => {
            reply.ok();
            Ok(())
        }
    }
}

/// Writes down the keys that are there, and sends them.
fn begin(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    request: &Request<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let mut keys = request.keys.clone();
    keys.sort_unstable();
    keys.dedup();
    let replace = request.replace;
    let packed = with_keys(context, &keys, |ctx| {
        let pack = |key: &&[u8]| pack(ctx, key, replace);
        keys.iter().filter_map(pack).collect::<Vec<_>>()
    })?;
    if packed.is_empty() {
        reply.simple("NOKEY");
        return Ok(());
    }
    let migration = Migration {
        words: args.iter().map(Into::into).collect(),
        courier: Arc::default(),
        sent: Vec::new(),
        tries: 1,
        error: None,
    };
    send(context, request, migration, packed);
    Ok(())
}

fn send(
    context: &mut SessionContext<'_>,
    request: &Request<'_>,
    mut migration: Migration,
    packed: Vec<(Parcel, Sent)>,
) {
    let (parcels, sent) = packed.into_iter().unzip();
    migration.sent = sent;
    migration.courier = Courier::send(
        context.server,
        request.target.clone(),
        (context.client.db, request.db),
        request.timeout,
        parcels,
    );
    context.client.migration = Some(Box::new(migration));
    context.after = After::Block(BlockOn::Migration);
}

/// Deletes what has arrived and is still what was sent; gives what has to be sent again.
fn settle(
    context: &mut SessionContext<'_>,
    request: &Request<'_>,
    migration: &mut Migration,
    report: Report,
) -> Result<Vec<(Parcel, Sent)>, WireError> {
    if let Some(error) = report.error {
        migration.error.get_or_insert(error);
    }
    if request.copy {
        return Ok(Vec::new());
    }
    let sent = std::mem::take(&mut migration.sent);
    let arrived: Vec<Sent> = sent
        .into_iter()
        .zip(report.done)
        .filter_map(|(sent, done)| done.then_some(sent))
        .filter(|sent| sent.payload.is_some())
        .collect();
    let keys: Vec<&[u8]> = arrived.iter().map(|sent| &*sent.key).collect();
    with_keys(context, &keys, |ctx| {
        let settle = |sent: &Sent| settle_one(ctx, sent);
        arrived.iter().filter_map(settle).collect()
    })
}

fn settle_one(ctx: &mut WriteContext<'_>, sent: &Sent) -> Option<(Parcel, Sent)> {
    let key = &*sent.key;
    let Some(found) = ctx.find(key) else {
        // Deleted meanwhile: so it must be over there.
        let parcel = Parcel {
            key: Arc::clone(&sent.key),
            order: Order::Delete,
        };
        let sent = Sent {
            key: Arc::clone(&sent.key),
            payload: None,
            expires_at: None,
        };
        return Some((parcel, sent));
    };
    let entry = ctx.entry(found);
    let payload = rdb::write_payload(entry.value(), ctx.settings().rdb);
    if entry.expiry() != sent.expires_at || Some(&*payload) != sent.payload.as_deref() {
        return pack(ctx, key, true);
    }
    ctx.remove(found);
    ctx.effect(2).arg(b"DEL").arg(key);
    ctx.notify(NotifyClass::GENERIC, "del", key);
    None
}

/// Writes a key down, if it is there.
fn pack(ctx: &mut WriteContext<'_>, key: &[u8], replace: bool) -> Option<(Parcel, Sent)> {
    let found = ctx.find_used(key)?;
    let now = ctx.now();
    let entry = ctx.entry(found);
    let expires_at = entry.expiry();
    let payload: Arc<[u8]> = rdb::write_payload(entry.value(), ctx.settings().rdb).into();
    let key: Arc<[u8]> = key.into();
    let parcel = Parcel {
        key: Arc::clone(&key),
        order: Order::Restore {
            payload: Arc::clone(&payload),
            ttl_ms: expires_at.map_or(0, |at| at.saturating_sub(now).max(1)),
            replace,
        },
    };
    let sent = Sent {
        key,
        payload: Some(payload),
        expires_at,
    };
    Some((parcel, sent))
}

/// Locks these keys of the client's database, and does something to them as a write.
fn with_keys<R>(
    context: &mut SessionContext<'_>,
    keys: &[&[u8]],
    act: impl FnOnce(&mut WriteContext<'_>) -> R,
) -> Result<R, WireError> {
    let db: DbIndex = context.client.db;
    let places = keys
        .iter()
        .map(|key| (db, shard_of(crate::hash::hash(key))))
        .collect();
    context.write(places, act)
}

/// How often keys that change on their way are sent.
const MOST_TRIES: u32 = 16;
const KEEPS_CHANGING: &str = "TRYAGAIN a key changed whenever it had been sent: it is on the \
     target as it was then, and still here";
const KEY_AND_KEYS: WireError = WireError::fixed(
    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
);
const IN_TRANSACTION: WireError =
    WireError::fixed("ERR MIGRATE waits for another server, and a transaction waits for nobody");
