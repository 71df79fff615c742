//! Snapshots under concurrent writers: what comes out is the state of the instant.

use super::RdbForm;
use super::pace::{Breaths, Pace};
use super::sink::{Form, Sink};
use super::walker::{send, stamp, walk};
use crate::execute::Settings;
use crate::hash::hash;
use crate::keyspace::{DbIndex, Keyspace, Kind, Libraries, Locked, Payload, ValueRef, shard_of};
use crate::protocol::{Limits, Parsed, RequestReader};
use crate::rdb::{self, FileReader, Item, KeyForm, Target, Usage};
use crate::values::hash::{EMPTY, HashMut, HashRef, Ttl, to_table};
use crate::values::list::{List, ListRef};
use crate::values::packed::Element;
use crate::values::set::{SetRef, SetTable};
use crate::values::sorted_set::{SortedSet, SortedSetRef};
use crate::values::stream::{NodeLimits, Stream, StreamId};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

type Fields = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(Vec<u8>),
    Hash(Fields),
    SortedSet(BTreeMap<Vec<u8>, u64>),
    Set(BTreeSet<Vec<u8>>),
    List(Vec<Vec<u8>>),
    /// The milliseconds of each entry's identity, and its first value.
    Stream(Vec<(u64, Vec<u8>)>),
}

type State = BTreeMap<(u32, Vec<u8>), (Value, Option<i64>)>;

const NOW: i64 = 1_800_000_000_000;
const KEYS: u64 = 1000;
const DBS: u32 = 3;

#[test]
fn a_snapshot_under_writers_is_the_state_of_its_instant() {
    let keyspace: &'static Keyspace = Box::leak(Box::new(Keyspace::new(DBS)));
    for n in 0..8 * KEYS {
        change(keyspace, n);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3u64)
        .map(|writer| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut n = writer << 40;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    change(keyspace, n);
                }
            })
        })
        .collect();
    for round in 0..8 {
        let as_file = round % 2 == 1;
        let (expected, chunks, walker) = take(keyspace, 2, as_file);
        let given_up = round % 5 == 4;
        let text = if given_up {
            drop(chunks);
            Vec::new()
        } else {
            receive(chunks)
        };
        walker.join().expect("the walker ends");
        if !given_up {
            let found = match as_file {
                true => decode_file(&text),
                false => decode(&text),
            };
            assert_eq!(found.len(), expected.len(), "round {round}");
            assert!(found == expected, "round {round}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.join().expect("a writer ends");
    }
}

/// Epochs are eight bits; snapshots nobody waited for must not make a later one skip keys.
#[test]
fn epochs_that_come_again_hide_nothing() {
    let keyspace: &'static Keyspace = Box::leak(Box::new(Keyspace::new(1)));
    for n in 0..200 {
        change(keyspace, n);
    }
    for round in 0..300 {
        let (expected, chunks, walker) = take(keyspace, 64, false);
        if round % 3 == 0 {
            drop(chunks);
            walker.join().expect("the walker ends");
            continue;
        }
        let text = receive(chunks);
        walker.join().expect("the walker ends");
        assert!(decode(&text) == expected, "round {round}");
    }
}

type Taken = (
    State,
    mpsc::Receiver<Result<Bytes, String>>,
    std::thread::JoinHandle<()>,
);

fn take(keyspace: &'static Keyspace, in_flight: usize, as_file: bool) -> Taken {
    let sink = Arc::new(Sink::new(if as_file {
        file_form()
    } else {
        Form::Commands
    }));
    let mut locked = Locked::everything(keyspace);
    let instant = super::Instant {
        offset: 7,
        selected: None,
    };
    sink.begin(String::new, instant, &Libraries::default());
    let expected = state(&locked);
    let keys = stamp(keyspace, &mut locked, &sink);
    assert_eq!(keys, expected.len() as u64);
    drop(locked);
    let (sender, chunks) = mpsc::channel(in_flight);
    let walker = std::thread::spawn(move || {
        let served = AtomicU64::new(0);
        let mut breaths = Breaths::begin(Pace::Abreast, &served);
        walk(keyspace, &sink, &sender, &mut breaths, |_| {});
        send(&sink, &sender, 0, &mut breaths);
        let _ = sender.blocking_send(Ok(sink.end(None)));
    });
    (expected, chunks, walker)
}

fn file_form() -> Form {
    Form::Rdb(Box::new(RdbForm {
        keys: KeyForm {
            target: Target {
                version: 11,
                compress: true,
            },
            usage: Usage::Idle,
            now: NOW,
            settings: Settings::default(),
        },
        facts: vec![("ctime", "1".into())],
        checksum: true,
        without_keys: false,
        strict: false,
    }))
}

/// Reads a snapshot that is an RDB file; its checksum must be right.
fn decode_file(file: &[u8]) -> State {
    let mut reader = FileReader::new(file, true).expect("a head");
    let mut state = State::new();
    while let Some(item) = reader.next_item().expect("a good file") {
        let Item::Key(key) = item else {
            continue;
        };
        let value = match key.value {
            rdb::Value::String(text) => Value::Text(text),
            rdb::Value::Hash(fields, expiries) => {
                let pairs = (0..fields.len() / 2).map(|i| {
                    let expires_at = expiries.get(i).copied().filter(|at| *at > 0);
                    let value = fields.get(2 * i + 1).to_vec();
                    (fields.get(2 * i).to_vec(), (value, expires_at))
                });
                assert_eq!(pairs.len(), fields.len() / 2);
                let pairs: Fields = pairs.collect();
                assert_eq!(pairs.len(), fields.len() / 2, "a field comes twice");
                Value::Hash(pairs)
            }
            rdb::Value::SortedSet(members, scores) => {
                let pairs = members.iter().zip(&scores);
                let pairs: BTreeMap<_, _> = pairs
                    .map(|(m, score)| (m.to_vec(), score.to_bits()))
                    .collect();
                assert_eq!(pairs.len(), members.len(), "a member comes twice");
                Value::SortedSet(pairs)
            }
            rdb::Value::Set(members, _) => {
                let all: BTreeSet<_> = members.iter().map(<[u8]>::to_vec).collect();
                assert_eq!(all.len(), members.len(), "a member comes twice");
                Value::Set(all)
            }
            rdb::Value::List(elements) => {
                Value::List(elements.iter().map(<[u8]>::to_vec).collect())
            }
            value @ rdb::Value::Stream(_) => {
                let entry = rdb::entry_of(b"key", None, value, &Settings::default());
                value_of(entry.expect("a good stream").view().value()).expect("a stream")
            }
        };
        let old = state.insert((key.db, key.name), (value, key.expires_at));
        assert!(old.is_none(), "a key comes twice");
    }
    state
}

fn receive(mut chunks: mpsc::Receiver<Result<Bytes, String>>) -> Vec<u8> {
    let mut text = Vec::new();
    while let Some(chunk) = chunks.blocking_recv() {
        text.extend_from_slice(&chunk.expect("no failure"));
        std::thread::sleep(Duration::from_micros(200));
    }
    text
}

/// Changes something, as `n` says.
fn change(keyspace: &Keyspace, n: u64) {
    let draw = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ n;
    let databases = keyspace.databases();
    let db = DbIndex(draw as u32 % databases);
    let other = DbIndex((draw >> 8) as u32 % databases);
    if draw.is_multiple_of(1501) {
        let mut locked = Locked::everything(keyspace);
        return locked.swap(db, other);
    }
    let key = format!("key:{}", (draw >> 16) % KEYS);
    let new_key = format!("key:{}", (draw >> 32) % KEYS);
    let place = |db, key: &str| (db, shard_of(hash(key.as_bytes())));
    let (from, to) = (place(db, &key), place(other, &new_key));
    let mut locked = Locked::several(keyspace, &mut vec![from, to]);
    let (hash, new_hash) = (hash(key.as_bytes()), hash(new_key.as_bytes()));
    let shard = locked.shard_mut(from.0, from.1);
    if draw.is_multiple_of(5003) {
        drop(shard.flush());
        return;
    }
    let Some(slot) = shard.find(hash, key.as_bytes()) else {
        let expiry = draw
            .is_multiple_of(3)
            .then_some(NOW + (draw % 100_000) as i64);
        return shard.insert(hash, key.as_bytes(), expiry, NOW, payload(draw));
    };
    match draw >> 48 & 7 {
        0 => drop(shard.remove(slot)),
        1 => shard.set_payload(slot, payload(draw)),
        2 => shard.set_expiry(slot, hash, Some(NOW + (draw % 1000) as i64), NOW),
        3 => shard.set_expiry(slot, hash, None, NOW),
        4 => {
            let entry = shard.take(slot).renamed(new_key.as_bytes());
            let target = locked.shard_mut(to.0, to.1);
            if let Some(old) = target.find(new_hash, new_key.as_bytes()) {
                drop(target.remove(old));
            }
            target.insert_entry(new_hash, entry, NOW);
        }
        _ => match shard.entry(slot).kind() {
            Kind::Int => shard.set_int(slot, draw as i64),
            Kind::StrShared => {
                if let Some(bytes) = shard.shared_string(slot) {
                    bytes[0] ^= 1;
                }
            }
            Kind::HashTable => {
                if let Some(table) = shard.object::<crate::values::hash::HashTable>(slot) {
                    table.set(
                        &draw.to_le_bytes()[..1],
                        &[draw as u8; 20][..(draw % 20) as usize],
                        Ttl::Drop,
                    );
                    table.delete(&draw.to_le_bytes()[1..2]);
                    table.set_expiry(&draw.to_le_bytes()[2..3], Some(NOW + (draw % 50) as i64));
                    table.set_expiry(
                        b"field",
                        (draw & 1 == 0).then_some(NOW + (draw % 50) as i64),
                    );
                }
            }
            Kind::SortedSet => {
                if let Some(set) = shard.object::<SortedSet>(slot) {
                    for (byte, score) in draw.to_le_bytes().into_iter().zip([3.5, -1.0, 900.0]) {
                        match set.score(&[byte]) {
                            Some(_) if byte & 1 == 0 => set.remove(&[byte]),
                            Some(_) => set.set_score(&[byte], score),
                            None => set.insert(&[byte], score),
                        }
                    }
                    if draw.is_multiple_of(31) {
                        set.remove_range(set.len() / 2, 5);
                    }
                }
            }
            Kind::SetTable => {
                if let Some(set) = shard.object::<SetTable>(slot) {
                    let member = [draw as u8, 1];
                    if !set.add(Element::Str(&member)) {
                        set.remove(Element::Str(&member));
                    }
                }
            }
            Kind::List => {
                if let Some(list) = shard.object::<List>(slot) {
                    match draw & 3 {
                        0 => list.insert(0, b"front"),
                        1 => list.push(&[b'b'; 100]),
                        2 => list.remove(list.len() / 3, 40.min(list.len() - 1)),
                        _ => list.replace(list.len() / 2, b"other"),
                    }
                }
            }
            Kind::Stream => {
                if let Some(stream) = shard.object::<Stream>(slot) {
                    let first = stream.first_id();
                    stream.remove(first);
                    let id = StreamId::new(stream.last_id.ms + 1, 0);
                    stream.append(id, &[b"n", draw.to_string().as_bytes()], FEW_A_NODE);
                }
            }
            Kind::HashPacked => {
                let limits = crate::values::hash::Limits::default();
                let mut bytes = shard.inline(slot);
                let text = draw.to_string();
                let set = HashMut::Packed(&mut bytes).set(b"a", text.as_bytes(), Ttl::Drop, limits);
                assert!(set.is_ok());
            }
            _ => shard.set_payload(slot, payload(draw)),
        },
    }
}

fn payload(draw: u64) -> Payload<'static> {
    match draw >> 52 & 15 {
        0 | 1 => Payload::Int(draw as i64),
        2 => Payload::Shared(Arc::new(vec![draw as u8; 14_000 + (draw % 5_000) as usize])),
        3 => Payload::Inline(Kind::HashPacked, PACKED.get_or_init(packed)),
        4 => {
            let mut table = to_table(HashRef::Packed(&EMPTY));
            for field in 0..draw % 200 {
                table.set(&field.to_le_bytes()[..1], &[draw as u8; 20], Ttl::Drop);
            }
            table.set(b"field", b"value", Ttl::Drop);
            Payload::Table(Box::new(table))
        }
        5 => {
            let mut set = SortedSet::default();
            for member in 0..draw % 250 {
                set.insert(&member.to_le_bytes()[..1], (member * 7 % 50) as f64);
            }
            set.insert(b"member", 1.5);
            Payload::SortedSet(Box::new(set))
        }
        6 => {
            let mut set = SetTable::default();
            for member in 0..1 + draw % 300 {
                set.add(Element::Str(&(member * 5).to_le_bytes()[..2]));
            }
            Payload::Set(Box::new(set))
        }
        7 => {
            let mut list = List::default();
            for element in 0..1 + draw % 300 {
                list.push(&[element as u8; 30]);
            }
            Payload::List(Box::new(list))
        }
        8 => {
            let mut stream = Stream::new();
            for n in 1..2 + draw % 300 {
                stream.append(StreamId::new(n, 0), &[b"n", &[n as u8; 9]], FEW_A_NODE);
            }
            Payload::Stream(Box::new(stream))
        }
        _ => Payload::Inline(Kind::Str, &b"some string of bytes"[..(draw % 20) as usize]),
    }
}

/// Streams of few entries have many nodes.
const FEW_A_NODE: NodeLimits = NodeLimits {
    max_bytes: 4096,
    max_entries: 3,
};

static PACKED: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();

fn packed() -> Vec<u8> {
    let mut bytes = EMPTY.to_vec();
    let limits = crate::values::hash::Limits::default();
    for (name, value) in [(&b"a"[..], &b"1"[..]), (b"b", b"two")] {
        let set = HashMut::Packed(&mut bytes).set(name, value, Ttl::Drop, limits);
        assert!(set.is_ok());
    }
    bytes
}

/// Reads everything that is locked.
fn state(locked: &Locked<'_>) -> State {
    let mut state = State::new();
    for (db, shard) in locked.shards() {
        for entry in shard.entries() {
            let value = value_of(entry.value()).expect("a value that the tests make");
            let old = state.insert((db.0, entry.key().to_vec()), (value, entry.expiry()));
            assert!(old.is_none());
        }
    }
    state
}

fn value_of(value: ValueRef<'_>) -> Option<Value> {
    let hash = |hash: HashRef<'_>| {
        let field =
            |f: crate::values::hash::Field<'_>| (f.name.to_vec(), (f.value.to_vec(), f.expires_at));
        Value::Hash(hash.iter().map(field).collect())
    };
    let texts = |texts: &mut dyn Iterator<Item = Element<'_>>| -> Vec<Vec<u8>> {
        texts.map(|element| element.to_vec()).collect()
    };
    Some(match value {
        ValueRef::Int(n) => Value::Text(n.to_string().into_bytes()),
        ValueRef::Str { bytes, .. } => Value::Text(bytes.to_vec()),
        ValueRef::Shared(value) => Value::Text(value.to_vec()),
        ValueRef::HashPacked(bytes) => hash(HashRef::Packed(bytes)),
        ValueRef::HashPackedEx(bytes) => hash(HashRef::PackedEx(bytes)),
        ValueRef::HashTable(table) => hash(HashRef::Table(table)),
        ValueRef::SortedSet(set) => {
            let pairs = SortedSetRef::Full(set).iter();
            Value::SortedSet(
                pairs
                    .map(|(m, score)| (m.to_vec(), score.to_bits()))
                    .collect(),
            )
        }
        ValueRef::SetTable(set) => {
            Value::Set(texts(&mut SetRef::Table(set).iter()).into_iter().collect())
        }
        ValueRef::List(list) => Value::List(texts(&mut ListRef::Quick(list).iter())),
        ValueRef::Stream(stream) => {
            let first = |entry: crate::values::stream::Entry<'_>| {
                let pair = entry.pairs().next().expect("a pair");
                (entry.id.ms, pair.1.to_vec())
            };
            Value::Stream(stream.iter().map(first).collect())
        }
        _ => return None,
    })
}

/// Executes the commands of a snapshot. A key that comes twice fails.
fn decode(mut text: &[u8]) -> State {
    let mut state = State::new();
    let mut reader = RequestReader::default();
    let (mut db, mut last) = (0, (0, Vec::new()));
    let number = |bytes: &[u8]| crate::number::parse_i64(bytes).expect("a number");
    while !text.is_empty() {
        let Ok(Parsed::Request(n)) = reader.parse(text, &Limits::default()) else {
            panic!("the snapshot is not made of requests");
        };
        let words: Vec<&[u8]> = reader.args(text).iter().collect();
        let key = (db, words[1].to_vec());
        match words[0] {
            b"SELECT" => db = number(words[1]) as u32,
            b"SET" => {
                let expiry = words.get(4).map(|at| number(at));
                let old = state.insert(key, (Value::Text(words[2].to_vec()), expiry));
                assert!(old.is_none(), "{words:?} comes twice");
            }
            b"HSET" => {
                if key != last {
                    let old = state.insert(key.clone(), (Value::Hash(Fields::new()), None));
                    assert!(old.is_none(), "{words:?} comes twice");
                    last = key.clone();
                }
                let Some((Value::Hash(fields), _)) = state.get_mut(&key) else {
                    panic!("not a hash");
                };
                for pair in words[2..].chunks(2) {
                    let old = fields.insert(pair[0].to_vec(), (pair[1].to_vec(), None));
                    assert!(old.is_none(), "a field comes twice");
                }
            }
            b"ZADD" | b"SADD" | b"RPUSH" | b"XADD" => {
                let empty = match words[0] {
                    b"ZADD" => Value::SortedSet(BTreeMap::new()),
                    b"SADD" => Value::Set(BTreeSet::new()),
                    b"RPUSH" => Value::List(Vec::new()),
                    _ => Value::Stream(Vec::new()),
                };
                if key != last {
                    let old = state.insert(key.clone(), (empty, None));
                    assert!(old.is_none(), "{words:?} comes twice");
                    last = key.clone();
                }
                let mut elements = words[2..].iter().map(|word| word.to_vec());
                match &mut state.get_mut(&key).expect("the key").0 {
                    Value::SortedSet(all) => {
                        for pair in words[2..].chunks(2) {
                            let score = crate::number::parse_f64(pair[0]).expect("a score");
                            let old = all.insert(pair[1].to_vec(), score.to_bits());
                            assert!(old.is_none(), "a member comes twice");
                        }
                    }
                    Value::Set(all) => {
                        assert!(elements.all(|member| all.insert(member)), "comes twice");
                    }
                    Value::List(all) => all.extend(elements),
                    Value::Stream(all) => {
                        let id = String::from_utf8_lossy(words[2]);
                        let ms = id.split('-').next().and_then(|ms| ms.parse().ok());
                        all.push((ms.expect("an identity"), words[4].to_vec()));
                    }
                    other => panic!("{words:?} on {other:?}"),
                }
            }
            b"XSETID" => {}
            b"HPEXPIREAT" => {
                let Some((Value::Hash(fields), _)) = state.get_mut(&key) else {
                    panic!("not a hash");
                };
                for name in &words[5..] {
                    fields.get_mut(*name).expect("the field").1 = Some(number(words[2]));
                }
            }
            b"PEXPIREAT" => state.get_mut(&key).expect("the key").1 = Some(number(words[2])),
            other => panic!("{other:?}"),
        }
        text = &text[n..];
    }
    state
}
