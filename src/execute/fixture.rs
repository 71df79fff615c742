//! A keyspace without a server, for tests of write commands: run one and see its reply and
//! its effect, or apply an effect as a replica does.

use super::context::{Origin, Settings, WriteContext};
use super::effect::{Effect, EffectBuf};
use super::hash_cache::HashCache;
use super::notify::Flushed;
use super::run;
use crate::commands::handler::Handler;
use crate::commands::table;
use crate::keyspace::{DbIndex, Keyspace, Locked, ValueRef};
use crate::protocol::{Args, OutBuf, OwnedArgs, Reply};
use crate::time::UnixMs;
use crate::values::hash::HashRef;
use crate::values::list::ListRef;
use crate::values::set::SetRef;
use crate::values::sorted_set::SortedSetRef;
use crate::values::stream::Stream;
use std::collections::BTreeMap;

/// What a command left: its reply over RESP2, and the commands of its effect.
#[derive(Debug)]
pub struct Outcome {
    pub reply: String,
    pub effect: Vec<Vec<Vec<u8>>>,
}

impl Outcome {
    /// The effect as text, a line a command.
    pub fn effect_text(&self) -> String {
        let line = |command: &Vec<Vec<u8>>| {
            let words = command.iter().map(|word| String::from_utf8_lossy(word));
            words.collect::<Vec<_>>().join(" ")
        };
        self.effect.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Database and key, then value and expiry.
pub type State = BTreeMap<(u32, Vec<u8>), (Vec<u8>, Option<UnixMs>)>;

/// A keyspace of a few databases and a clock.
pub struct Fixture {
    keyspace: &'static Keyspace,
    pub settings: Settings,
    pub now: UnixMs,
    pub may_expire: bool,
}

impl Fixture {
    pub fn new() -> Self {
        let settings = Settings {
            databases: 4,
            ..Settings::default()
        };
        Fixture {
            // A test's keyspace lives as long as the process, like a server's.
            keyspace: Box::leak(Box::new(Keyspace::new(settings.databases))),
            settings,
            now: 1_800_000_000_000,
            may_expire: true,
        }
    }

    /// Runs a write command as a client's.
    pub fn run<T: AsRef<[u8]>>(&mut self, db: u32, words: &[T]) -> Outcome {
        self.execute(DbIndex(db), OwnedArgs::of(words).view(), Origin::Client)
    }

    /// Applies what came out of another keyspace, which starts in database 0.
    pub fn apply(&mut self, effect: &[Vec<Vec<u8>>]) {
        let mut db = DbIndex(0);
        for command in effect {
            match &command[0][..] {
                b"MULTI" | b"EXEC" => {}
                b"SELECT" => {
                    let index = crate::number::parse_i64(&command[1]).expect("an index");
                    db = DbIndex(index as u32);
                }
                _ => {
                    let args = OwnedArgs::of(command);
                    let outcome = self.execute(db, args.view(), Origin::Log);
                    assert!(!outcome.reply.starts_with('-'), "{command:?}: {outcome:?}");
                }
            }
        }
    }

    /// Every key with its value and expiry, whether it has logically expired or not.
    pub fn state(&self) -> State {
        let locked = Locked::everything(self.keyspace);
        let mut state = BTreeMap::new();
        for (db, shard) in locked.shards() {
            for entry in shard.entries() {
                let value = value_text(entry.value());
                state.insert((db.0, entry.key().to_vec()), (value, entry.expiry()));
            }
        }
        state
    }

    fn execute(&mut self, db: DbIndex, args: Args<'_>, origin: Origin) -> Outcome {
        let mut out = OutBuf::default();
        let mut reply = Reply::new(&mut out, false);
        let spec = table::resolve(args).expect("a command that exists");
        let Handler::Write(handler) = spec.handler else {
            panic!("{} is no write command", spec.name);
        };
        let mut places = Vec::new();
        run::places(self.keyspace, spec, args, db, &mut places);
        let mut locked = Locked::several(self.keyspace, &mut places);
        let mut effects = EffectBuf::default();
        let mut context = WriteContext {
            locked: &mut locked,
            functions: &self.keyspace.functions,
            db,
            now: self.now,
            settings: &self.settings,
            hashes: &HashCache::default(),
            effects: &mut effects,
            origin,
            may_expire: self.may_expire,
            touches: true,
            hits: (0, 0),
            expired: 0,
            expired_fields: 0,
            garbage: &mut Vec::new(),
            events: &mut Vec::new(),
            may_block: false,
            blocks: &mut None,
            flushed: &mut Flushed::Nothing,
        };
        match handler(&mut context, args, &mut reply) {
            Ok(Effect::AsReceived) => effects.request(db, args),
            Ok(_) => {}
            Err(error) => {
                reply.rewind(0);
                reply.error(&error);
            }
        }
        let mut effect = Vec::new();
        if let Some((first, bytes, _)) = effects.finish() {
            let index = first.0.to_string().into_bytes();
            effect.push(vec![b"SELECT".to_vec(), index]);
            effect.extend(commands(bytes));
        }
        let reply = String::from_utf8_lossy(&out.flatten()).replace("\r\n", " ");
        Outcome {
            reply: reply.trim_end().to_owned(),
            effect,
        }
    }
}

fn value_text(value: ValueRef<'_>) -> Vec<u8> {
    let hash = match value {
        ValueRef::Int(n) => return n.to_string().into_bytes(),
        ValueRef::Str { bytes, .. } => return bytes.to_vec(),
        ValueRef::Shared(value) => return value.to_vec(),
        ValueRef::HashPacked(bytes) => HashRef::Packed(bytes),
        ValueRef::HashPackedEx(bytes) => HashRef::PackedEx(bytes),
        ValueRef::HashTable(table) => HashRef::Table(table),
        ValueRef::ListPacked(bytes) => return elements_text(ListRef::Packed(bytes)),
        ValueRef::List(list) => return elements_text(ListRef::Quick(list)),
        ValueRef::SetInts(bytes) => return members_text(SetRef::Ints(bytes)),
        ValueRef::SetPacked(bytes) => return members_text(SetRef::Packed(bytes)),
        ValueRef::SetTable(table) => return members_text(SetRef::Table(table)),
        ValueRef::SortedSetPacked(bytes) => return scores_text(SortedSetRef::Packed(bytes)),
        ValueRef::SortedSet(set) => return scores_text(SortedSetRef::Full(set)),
        ValueRef::Stream(stream) => return stream_text(stream),
    };
    // As text: one encoding keeps -4 as a number and another as two bytes, and which one a
    // node uses is its own affair.
    let mut fields: Vec<_> = hash
        .iter()
        .map(|field| {
            let (name, value) = (field.name.to_vec(), field.value.to_vec());
            format!("{name:?} {value:?} {:?}", field.expires_at)
        })
        .collect();
    fields.sort();
    fields.join("\n").into_bytes()
}

fn elements_text(list: ListRef<'_>) -> Vec<u8> {
    let elements: Vec<_> = list.iter().map(|e| format!("{:?}", e.to_vec())).collect();
    elements.join("\n").into_bytes()
}

fn scores_text(set: SortedSetRef<'_>) -> Vec<u8> {
    let members: Vec<_> = set
        .iter()
        .map(|(m, s)| format!("{:?} {s:?}", m.to_vec()))
        .collect();
    members.join("\n").into_bytes()
}

fn members_text(set: SetRef<'_>) -> Vec<u8> {
    let mut members: Vec<_> = set.iter().map(|m| format!("{:?}", m.to_vec())).collect();
    members.sort();
    members.join("\n").into_bytes()
}

fn stream_text(stream: &Stream) -> Vec<u8> {
    let mut lines = vec![format!(
        "{} {} {}",
        stream.last_id, stream.max_deleted_id, stream.entries_added
    )];
    for entry in stream.iter() {
        let pairs = entry.pairs().map(|(f, v)| (f.to_vec(), v.to_vec()));
        lines.push(format!("{} {:?}", entry.id, pairs.collect::<Vec<_>>()));
    }
    for (name, group) in stream.groups() {
        let (last, read) = (group.last_id, group.entries_read);
        lines.push(format!("group {name:?} {last} {read:?}"));
        for (id, one) in group.pending().iter() {
            let consumer = group.consumer_name(one);
            let (at, times) = (one.delivered_at, one.deliveries);
            lines.push(format!("{id} {consumer:?} {at} {times}"));
        }
        let names = group.consumers().map(|consumer| consumer.name());
        lines.push(format!("consumers {:?}", names.collect::<Vec<_>>()));
    }
    lines.join("\n").into_bytes()
}

/// Takes a run of RESP arrays of bulk strings apart.
fn commands(mut bytes: &[u8]) -> Vec<Vec<Vec<u8>>> {
    fn number(bytes: &mut &[u8], kind: u8) -> usize {
        assert_eq!(bytes[0], kind);
        let end = bytes.iter().position(|b| *b == b'\r').expect("a line");
        let text = std::str::from_utf8(&bytes[1..end]).expect("digits");
        let n = text.parse().expect("a number");
        *bytes = &bytes[end + 2..];
        n
    }
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let argc = number(&mut bytes, b'*');
        let mut command = Vec::new();
        for _ in 0..argc {
            let len = number(&mut bytes, b'$');
            command.push(bytes[..len].to_vec());
            bytes = &bytes[len + 2..];
        }
        all.push(command);
    }
    all
}
