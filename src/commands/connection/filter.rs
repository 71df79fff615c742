//! Which connections `CLIENT KILL` and `CLIENT LIST` mean: those that fit every condition.

use super::list::flags;
use crate::execute::SessionContext;
use crate::net::{ClientInfo, ClientKind};
use crate::number::parse_i64;
use crate::protocol::{Args, WireError, errors};
use crate::time::UnixMs;
use std::sync::atomic::Ordering::Relaxed;

/// Conditions.
#[derive(Default)]
pub(super) struct Filter<'a> {
    conditions: Vec<Condition<'a>>,
    /// `SKIPME`, if it was said.
    pub spares_oneself: Option<bool>,
}

struct Condition<'a> {
    /// Whether it must not hold.
    not: bool,
    what: What<'a>,
}

enum What<'a> {
    Ids(Vec<u64>),
    Kind(ClientKind),
    Field(Field, &'a [u8]),
    /// All of these letters.
    Flags(&'a [u8]),
    Db(u32),
    /// Whether it understands redirections.
    Redirects,
    Age(i64),
    Idle(i64),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Addr,
    Laddr,
    Ip,
    User,
    Name,
    LibName,
    LibVer,
}

/// The texts by which the two commands differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    Kill,
    List,
}

impl<'a> Filter<'a> {
    /// Those with this address, the old form of `KILL`.
    pub(super) fn addressed(addr: &'a [u8]) -> Self {
        Filter {
            conditions: vec![Condition {
                not: false,
                what: What::Field(Field::Addr, addr),
            }],
            spares_oneself: Some(false),
        }
    }

    /// Reads the conditions from the third argument on.
    ///
    /// # Errors
    /// In Redis's words, and Valkey's for what only that has.
    pub(super) fn parse(
        context: &SessionContext<'_>,
        args: Args<'a>,
        asker: Asker,
    ) -> Result<Self, WireError> {
        let mut filter = Filter::default();
        let mut at = 2;
        while at < args.len() {
            let word = args.at(at).to_ascii_lowercase();
            let value = args.get(at + 1).ok_or(errors::SYNTAX)?;
            let (not, word) = match word.strip_prefix(b"not-") {
                Some(rest) => (true, rest),
                None => (false, &word[..]),
            };
            at += 2;
            let what = match word {
                b"id" => {
                    // As in Redis, what is said last of whom to kill holds.
                    if asker == Asker::Kill && !not {
                        let named = |c: &Condition<'_>| !c.not && matches!(c.what, What::Ids(_));
                        filter.conditions.retain(|c| !named(c));
                    }
                    let mut ids = vec![id(value, asker)?];
                    while let Some(next) = args.get(at).filter(|next| !is_condition(next)) {
                        ids.push(id(next, asker)?);
                        at += 1;
                    }
                    What::Ids(ids)
                }
                b"skipme" if !not => {
                    filter.spares_oneself = Some(yes_or_no(value)?);
                    continue;
                }
                b"maxage" if !not => What::Age(positive(value, "maxage")?),
                b"idle" if !not => What::Idle(positive(value, "idle")?),
                _ => what(context, word, value)?,
            };
            filter.add(Condition { not, what });
        }
        Ok(filter)
    }

    /// A condition takes the place of an earlier one of its kind; numbers add up.
    fn add(&mut self, new: Condition<'a>) {
        let same = |old: &&mut Condition<'_>| old.not == new.not && old.what.is_like(&new.what);
        match self.conditions.iter_mut().find(same) {
            Some(Condition {
                what: What::Ids(ids),
                ..
            }) => {
                if let What::Ids(more) = new.what {
                    ids.extend(more);
                }
            }
            Some(old) => *old = new,
            None => self.conditions.push(new),
        }
    }

    /// The numbers asked for, in their order; `None` if any number will do.
    pub(super) fn ids(&self) -> Option<&[u64]> {
        self.conditions.iter().find_map(|c| match &c.what {
            What::Ids(ids) if !c.not => Some(&ids[..]),
            _ => None,
        })
    }

    /// Whether the client fits all conditions.
    pub(super) fn fits(&self, client: &ClientInfo, now: UnixMs) -> bool {
        let mut all = self.conditions.iter();
        all.all(|condition| condition.what.holds(client, now) != condition.not)
    }
}

impl What<'_> {
    fn is_like(&self, other: &What<'_>) -> bool {
        match (self, other) {
            (What::Field(a, _), What::Field(b, _)) => a == b,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }

    fn holds(&self, client: &ClientInfo, now: UnixMs) -> bool {
        match self {
            What::Ids(ids) => ids.contains(&client.id),
            What::Kind(kind) => client.kind() == *kind,
            What::Flags(letters) => {
                let flags = flags(client);
                letters
                    .iter()
                    .all(|letter| flags.as_bytes().contains(letter))
            }
            What::Db(db) => client.db.load(Relaxed) == *db,
            What::Redirects => client.redirects.load(Relaxed),
            What::Age(seconds) => (now - client.created_ms) / 1000 >= *seconds,
            What::Idle(seconds) => (now - client.active_ms.load(Relaxed)) / 1000 >= *seconds,
            What::Field(field, value) => {
                let names = client.names.lock();
                let own = match field {
                    Field::Addr => client.addr.as_bytes(),
                    Field::Laddr => client.laddr.as_bytes(),
                    Field::Ip => ip(&client.addr).as_bytes(),
                    Field::User => names.user.as_bytes(),
                    Field::Name => &names.name,
                    Field::LibName => &names.lib_name,
                    Field::LibVer => &names.lib_ver,
                };
                // What was never set is nothing, and not the empty text.
                own == *value && !own.is_empty()
            }
        }
    }
}

/// The conditions that have a value and nothing else to them.
fn what<'a>(
    context: &SessionContext<'_>,
    word: &[u8],
    value: &'a [u8],
) -> Result<What<'a>, WireError> {
    let field = match word {
        b"type" => return client_kind(value).map(What::Kind),
        b"flags" => {
            let unknown = value.iter().any(|letter| !FLAG_LETTERS.contains(letter));
            return match unknown {
                true => Err(unknown_in("flags", value)),
                false => Ok(What::Flags(value)),
            };
        }
        b"capa" => {
            return match value {
                b"r" => Ok(What::Redirects),
                _ => Err(unknown_in("capa", value)),
            };
        }
        b"db" => {
            let db = parse_i64(value)
                .ok_or(WireError::fixed("ERR DB is not an integer or out of range"))?;
            let most = context.settings.databases;
            let db = u32::try_from(db).ok().filter(|db| *db < most);
            return db.map(What::Db).ok_or_else(|| {
                WireError::new(format!(
                    "ERR DB number should be between 0 and {}",
                    most.saturating_sub(1)
                ))
            });
        }
        b"user" => {
            if value != super::auth::DEFAULT_USER.as_bytes() {
                return Err(WireError::quoting("ERR No such user '", value, "'"));
            }
            Field::User
        }
        b"addr" => Field::Addr,
        b"laddr" => Field::Laddr,
        b"ip" => Field::Ip,
        b"name" => Field::Name,
        b"lib-name" => Field::LibName,
        b"lib-ver" => Field::LibVer,
        _ => return Err(errors::SYNTAX),
    };
    Ok(What::Field(field, value))
}

/// Whether a word begins a condition and is not one more number of a client.
fn is_condition(word: &[u8]) -> bool {
    const WORDS: [&[u8]; 14] = [
        b"id",
        b"type",
        b"user",
        b"addr",
        b"laddr",
        b"skipme",
        b"maxage",
        b"name",
        b"idle",
        b"flags",
        b"lib-name",
        b"lib-ver",
        b"db",
        b"capa",
    ];
    let word = word.to_ascii_lowercase();
    word.starts_with(b"not-") || word == b"ip" || WORDS.contains(&&word[..])
}

fn id(text: &[u8], asker: Asker) -> Result<u64, WireError> {
    let error = match asker {
        Asker::Kill => WireError::fixed("ERR client-id should be greater than 0"),
        Asker::List => WireError::fixed("ERR Invalid client ID"),
    };
    let number = parse_i64(text).ok_or(error.clone())?;
    match (u64::try_from(number), asker) {
        (Ok(0) | Err(_), Asker::Kill) => Err(error),
        // A number that no client has.
        (Err(_), Asker::List) => Ok(0),
        (Ok(id), _) => Ok(id),
    }
}

fn positive(text: &[u8], name: &str) -> Result<i64, WireError> {
    let number = parse_i64(text)
        .ok_or_else(|| WireError::new(format!("ERR {name} is not an integer or out of range")))?;
    if number <= 0 {
        return Err(WireError::new(format!(
            "ERR {name} should be greater than 0"
        )));
    }
    Ok(number)
}

fn yes_or_no(value: &[u8]) -> Result<bool, WireError> {
    match value {
        yes if yes.eq_ignore_ascii_case(b"yes") => Ok(true),
        no if no.eq_ignore_ascii_case(b"no") => Ok(false),
        _ => Err(errors::SYNTAX),
    }
}

/// The kind of that name, as filters spell it.
fn client_kind(name: &[u8]) -> Result<ClientKind, WireError> {
    match &*name.to_ascii_lowercase() {
        b"normal" => Ok(ClientKind::Normal),
        b"slave" | b"replica" => Ok(ClientKind::Replica),
        b"master" | b"primary" => Ok(ClientKind::Primary),
        b"pubsub" => Ok(ClientKind::PubSub),
        _ => Err(WireError::quoting("ERR Unknown client type '", name, "'")),
    }
}

fn unknown_in(what: &str, value: &[u8]) -> WireError {
    let start = format!("ERR Unknown {what} found in the provided filter: ");
    WireError::quoting(&start, value, "")
}

/// An address without its port and brackets.
fn ip(addr: &str) -> &str {
    let ip = addr.rsplit_once(':').map_or(addr, |(ip, _)| ip);
    ip.trim_start_matches('[').trim_end_matches(']')
}

/// The letters of `flags=` in either server.
const FLAG_LETTERS: &[u8] = b"OSMPxbtRBAUeTNdcurIEi";
