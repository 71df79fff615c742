//! `DEBUG` commands that make or describe data: POPULATE, SDSLEN, LISTPACK, QUICKLIST,
//! HTSTATS, STRINGMATCH-TEST.

use super::{find, wrong_form};
use crate::commands::arguments::db_index;
use crate::commands::generic::encoding_name;
use crate::execute::{SessionContext, add_strings};
use crate::keyspace::ValueRef;
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};

/// `DEBUG POPULATE count [prefix] [size]`: strings named `prefix:N`. Unlike Redis's they are
/// writes like any other, in the log and on the replicas: nodes must not differ.
pub(super) fn populate(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if !(3..=5).contains(&args.len()) {
        return Err(wrong_form(args));
    }
    let count = positive(args.at(2))?;
    let prefix = args.get(3).unwrap_or(b"key");
    let size = args.get(4).map(positive).transpose()?.filter(|n| *n > 0);
    if size.is_some_and(|size| size as u64 > context.settings.max_bulk) {
        return Err(OUT_OF_RANGE);
    }
    if context.in_transaction() {
        return Err(WireError::fixed(
            "ERR DEBUG POPULATE is not allowed inside a transaction",
        ));
    }
    let pairs = (0..count).map(|n| {
        let key = [prefix, format!(":{n}").as_bytes()].concat();
        let mut value = format!("value:{n}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        (key, value)
    });
    add_strings(context, pairs)?;
    reply.ok();
    Ok(())
}

fn positive(text: &[u8]) -> Result<usize, WireError> {
    let n = parse_i64(text).and_then(|n| usize::try_from(n).ok());
    n.ok_or(OUT_OF_RANGE)
}

/// `DEBUG SDSLEN key`: how key and string lie in memory, in Redis's words.
pub(super) fn string_lengths(
    context: &mut SessionContext<'_>,
    key: &[u8],
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let db = context.client.db;
    let line = context.with_everything(|locked| {
        let entry = find(locked, db, key).ok_or(errors::NO_SUCH_KEY)?;
        let (len, spare, apart) = match entry.value() {
            ValueRef::Str { bytes, .. } => (bytes.len(), 0, 0),
            ValueRef::Shared(value) => (value.len(), value.capacity() - value.len(), value.len()),
            _ => return Err(WireError::fixed("ERR Not an sds encoded string.")),
        };
        Ok(format!(
            "key_sds_len:{}, key_sds_avail:0, key_zmalloc: {}, val_sds_len:{len}, \
             val_sds_avail:{spare}, val_zmalloc: {apart}",
            entry.key().len(),
            entry.mem_bytes() - apart,
        ))
    })?;
    reply.simple(&line);
    Ok(())
}

/// `DEBUG LISTPACK key` and `DEBUG QUICKLIST key`: whether the key has that encoding; how it
/// looks goes to the log.
pub(super) fn encoded_as(
    context: &mut SessionContext<'_>,
    key: &[u8],
    encoding: &'static str,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let db = context.client.db;
    context.with_everything(|locked| {
        let entry = find(locked, db, key).ok_or(errors::NO_SUCH_KEY)?;
        if !encoding_name(entry).starts_with(encoding) {
            return Err(WireError::new(format!(
                "ERR Not a {encoding} encoded object."
            )));
        }
        tracing::info!(bytes = entry.mem_bytes(), "DEBUG {encoding}");
        Ok(())
    })?;
    reply.simple(match encoding {
        "listpack" => "Listpack structure printed on stdout",
        _ => "Quicklist structure printed on stdout",
    });
    Ok(())
}

/// `DEBUG HTSTATS db [full]`: how full a database's tables are.
pub(super) fn table_stats(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let number = parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?;
    let db = db_index(args.at(2), context.server.keyspace.databases())
        .ok()
        .filter(|_| number >= 0)
        .ok_or(WireError::fixed("ERR Out of range database"))?;
    let (mut keys, mut volatile, mut bytes) = (0, 0, 0);
    context.each_shard(|shard_db, shard| {
        if shard_db == db {
            keys += shard.len();
            volatile += shard.volatile();
            bytes += shard.overhead_bytes();
        }
    });
    reply.verbatim(
        "txt",
        &format!(
            "[Dictionary HT]\nHash table 0 stats (main hash table):\n number of elements: {keys}\n \
             bytes of tables: {bytes}\n[Expires HT]\n number of elements: {volatile}\n"
        ),
    );
    Ok(())
}

/// `DEBUG STRINGMATCH-TEST`: patterns at random must neither crash nor take long.
pub(super) fn match_at_random(reply: &mut Reply<'_>) {
    let draw = |n: u64| crate::random::below(n) as usize;
    for _ in 0..MATCHES {
        let text = |alphabet: &[u8]| -> Vec<u8> {
            let len = draw(32);
            (0..len)
                .map(|_| alphabet[draw(alphabet.len() as u64)])
                .collect()
        };
        let (pattern, subject) = (text(b"**?[]^-\\abc\0\xff"), text(b"abc-]\0\xff"));
        std::hint::black_box(crate::glob::matches(&pattern, &subject, false));
    }
    reply.simple("Apparently Redis did not crash: test passed");
}

const MATCHES: usize = 100_000;
const OUT_OF_RANGE: WireError = WireError::fixed("ERR value is out of range, must be positive");
