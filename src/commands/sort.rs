//! `SORT` and `SORT_RO`: the elements of a list, set or sorted set in another order, or what
//! other keys say of them.
//!
//! Patterns name keys that cannot be known before the elements are, so that the whole
//! database is locked. What must stay true: the effect of `STORE` is its outcome.

use super::arguments::Arguments;
use super::handler::{Handler, Scope};
use super::lists::edit::End;
use super::lists::edit::ListEdit;
use super::spec::{Acl, CommandSpec, Flags, Group, KeySpec};
use crate::config::NotifyClass;
use crate::execute::{Effect, ReadContext, WriteContext};
use crate::keyspace::{EntryRef, ValueRef};
use crate::protocol::{Args, Reply, WireError, errors};
use crate::time::UnixMs;
use crate::values::hash::HashRef;
use crate::values::list::ListRef;
use crate::values::packed::Element;
use crate::values::set::SetRef;
use crate::values::sorted_set::SortedSetRef;
use std::cmp::Ordering;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "sort",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("write denyoom"),
        group: Group::Generic,
        acl: Acl::only("set sortedset list dangerous"),
        keys: &[
            KeySpec::at(1, "RO access"),
            BY_OR_GET,
            KeySpec::unknown("OW update").note(
                "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
            ),
        ],
        syntax: "key [BY pattern{by-pattern #1}] [LIMIT offset count] [GET pattern{get-pattern #1} [GET pattern ...]] [ASC | DESC]{order} [ALPHA{sorting}] [STORE destination{#2}]",
        summary: "Sorts the elements of a list, set or sorted set, perhaps by other keys, and may store them.",
        complexity: "O(N+M*log(M)), N being the number of elements and M that of those returned",
        handler: Handler::Write(sort),
        scope: Scope::Database,
        ..CommandSpec::DEFAULT
    },
    CommandSpec {
        name: "sort_ro",
        since: "7.0.0",
        arity: -2,
        flags: Flags::of("readonly"),
        group: Group::Generic,
        acl: Acl::only("set sortedset list dangerous"),
        keys: &[KeySpec::at(1, "RO access"), BY_OR_GET],
        syntax: "key [BY pattern{by-pattern #1}] [LIMIT offset count] [GET pattern{get-pattern #1} [GET pattern ...]] [ASC | DESC]{order} [ALPHA{sorting}]",
        summary: "Sorts the elements of a list, set or sorted set, perhaps by other keys.",
        complexity: "O(N+M*log(M)), N being the number of elements and M that of those returned",
        handler: Handler::Read(sort_ro),
        scope: Scope::Database,
        ..CommandSpec::DEFAULT
    },
];

const BY_OR_GET: KeySpec = KeySpec::unknown("RO access").note(
    "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort",
);

/// What a request asks for.
struct Plan<'a> {
    by: Option<&'a [u8]>,
    limit: Option<(i64, i64)>,
    get: Vec<&'a [u8]>,
    descending: bool,
    alpha: bool,
    store: Option<&'a [u8]>,
}

impl<'a> Plan<'a> {
    fn parse(args: Args<'a>, may_store: bool) -> Result<Self, WireError> {
        let mut plan = Plan {
            by: None,
            limit: None,
            get: Vec::new(),
            descending: false,
            alpha: false,
            store: None,
        };
        let mut rest = Arguments::new(args, 2);
        while rest.more() {
            let left = rest.left();
            if rest.word("asc") {
                plan.descending = false;
            } else if rest.word("desc") {
                plan.descending = true;
            } else if rest.word("alpha") {
                plan.alpha = true;
            } else if left > 2 && rest.word("limit") {
                plan.limit = Some((rest.integer(), rest.integer()));
            } else if left > 1 && may_store && rest.word("store") {
                plan.store = Some(rest.value());
            } else if left > 1 && rest.word("by") {
                plan.by = Some(rest.value());
            } else if left > 1 && rest.word("get") {
                plan.get.push(rest.value());
            } else {
                return Err(errors::SYNTAX);
            }
        }
        rest.finish()?;
        Ok(plan)
    }

    /// How many of the elements are needed, from the first on.
    fn needed(&self) -> usize {
        match self.limit {
            // What is stored of a set is sorted all the same.
            Some((offset, count)) if count >= 0 && self.keeps_order() && self.store.is_none() => {
                let end = offset.max(0).saturating_add(count);
                usize::try_from(end).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        }
    }

    /// Whether the elements stay as they come: a pattern without a place for them says so.
    fn keeps_order(&self) -> bool {
        self.by.is_some_and(|by| !by.contains(&b'*'))
    }
}

/// `SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA]`
fn sort_ro(ctx: &ReadContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    let plan = Plan::parse(args, false)?;
    let source = Source::of(ctx.get(args.at(1)), &plan)?;
    let rows = run(&plan, source, &mut |key, field| {
        ctx.made_up_key();
        told(ctx.get(key)?, field, ctx.now())
    })?;
    ctx.made_up_key();
    write_rows(&rows, reply);
    Ok(())
}

/// `SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA] [STORE destination]`
fn sort(
    ctx: &mut WriteContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<Effect, WireError> {
    let plan = Plan::parse(args, true)?;
    let source = Source::of(ctx.get(args.at(1)), &plan)?;
    let rows = run(&plan, source, &mut |key, field| {
        ctx.made_up_key();
        let found = ctx.find_used(key)?;
        told(ctx.entry(found), field, ctx.now())
    })?;
    ctx.made_up_key();
    let Some(destination) = plan.store else {
        write_rows(&rows, reply);
        return Ok(Effect::None);
    };
    reply.int(rows.len() as i64);
    let old = ctx.find(destination).map(|found| ctx.entry(found).kind());
    let was_there = ctx.delete(destination);
    if was_there {
        ctx.effect(2).arg(b"DEL").arg(destination);
    }
    if rows.is_empty() {
        if was_there {
            ctx.notify(NotifyClass::GENERIC, "del", destination);
            return Ok(Effect::Rewritten);
        }
        return Ok(Effect::None);
    }
    let texts: Vec<&[u8]> = rows
        .iter()
        .map(|row| row.as_deref().unwrap_or(b""))
        .collect();
    let mut edit = ListEdit::open_or_new(ctx, destination)?;
    edit.expect(texts.len(), texts.iter().map(|text| text.len()).sum());
    for text in &texts {
        edit.push(End::Right, text);
    }
    edit.close_grown();
    for piece in texts.chunks(PIECE) {
        let effect = ctx.effect(2 + piece.len()).arg(b"RPUSH").arg(destination);
        for text in piece {
            effect.arg(text);
        }
    }
    if let Some(old) = old {
        ctx.notify_not_new(destination, old.type_name(), "list");
    }
    ctx.notify(NotifyClass::LIST, "sortstore", destination);
    Ok(Effect::Rewritten)
}

fn write_rows(rows: &[Option<Vec<u8>>], reply: &mut Reply<'_>) {
    reply.array(rows.len());
    for row in rows {
        match row {
            Some(text) => reply.bulk(text),
            None => reply.null(),
        }
    }
}

/// The elements in the order in which they lie, turned around if that is asked for, and
/// whether the order means something.
struct Source {
    elements: Vec<Vec<u8>>,
    ordered: bool,
}

impl Source {
    fn of(entry: Option<EntryRef<'_>>, plan: &Plan<'_>) -> Result<Source, WireError> {
        let texts = |elements: &mut dyn Iterator<Item = Element<'_>>| {
            let elements = elements.take(plan.needed());
            elements.map(Element::to_vec).collect()
        };
        let turned = plan.descending && plan.keeps_order();
        let list = |list: ListRef<'_>| match turned {
            true => (texts(&mut list.backwards()), true),
            false => (texts(&mut list.iter()), true),
        };
        let set = |set: SetRef<'_>| (texts(&mut set.iter()), false);
        let sorted = |set: SortedSetRef<'_>| {
            let elements = if turned {
                texts(&mut set.down_from(set.len()).map(|(member, _)| member))
            } else {
                texts(&mut set.iter().map(|(member, _)| member))
            };
            (elements, true)
        };
        let (elements, ordered) = match entry.map(|entry| entry.value()) {
            None => (Vec::new(), true),
            Some(ValueRef::ListPacked(bytes)) => list(ListRef::Packed(bytes)),
            Some(ValueRef::List(quick)) => list(ListRef::Quick(quick)),
            Some(ValueRef::SetInts(bytes)) => set(SetRef::Ints(bytes)),
            Some(ValueRef::SetPacked(bytes)) => set(SetRef::Packed(bytes)),
            Some(ValueRef::SetTable(table)) => set(SetRef::Table(table)),
            Some(ValueRef::SortedSetPacked(bytes)) => sorted(SortedSetRef::Packed(bytes)),
            Some(ValueRef::SortedSet(full)) => sorted(SortedSetRef::Full(full)),
            Some(_) => return Err(errors::WRONG_TYPE),
        };
        Ok(Source { elements, ordered })
    }
}

/// What another key says, itself or by one of its hash's fields.
fn told(entry: EntryRef<'_>, field: Option<&[u8]>, now: UnixMs) -> Option<Vec<u8>> {
    let hash = |hash: HashRef<'_>| Some(hash.get(field?, now)?.to_vec());
    match entry.value() {
        ValueRef::HashPacked(bytes) => hash(HashRef::Packed(bytes)),
        ValueRef::HashPackedEx(bytes) => hash(HashRef::PackedEx(bytes)),
        ValueRef::HashTable(table) => hash(HashRef::Table(table)),
        _ if field.is_some() => None,
        ValueRef::Int(n) => Some(n.to_string().into_bytes()),
        ValueRef::Str { bytes, .. } => Some(bytes.to_vec()),
        ValueRef::Shared(value) => Some(value.to_vec()),
        _ => None,
    }
}

/// What a key, or a field of it, says.
type Look<'l> = &'l mut dyn FnMut(&[u8], Option<&[u8]>) -> Option<Vec<u8>>;

/// What a pattern gives for an element.
fn look_up(pattern: &[u8], element: &[u8], look: Look<'_>) -> Option<Vec<u8>> {
    if pattern == b"#" {
        return Some(element.to_vec());
    }
    let star = pattern.iter().position(|byte| *byte == b'*')?;
    let (before, after) = (&pattern[..star], &pattern[star + 1..]);
    let arrow = memchr::memmem::find(after, b"->").filter(|at| at + 2 < after.len());
    let (after, field) = match arrow {
        Some(at) => (&after[..at], Some(&after[at + 2..])),
        None => (after, None),
    };
    look(&[before, element, after].concat(), field)
}

fn run(plan: &Plan<'_>, source: Source, look: Look<'_>) -> Result<Vec<Option<Vec<u8>>>, WireError> {
    // The order of a set is nobody's: what is stored must be the same everywhere.
    let forced = plan.keeps_order() && plan.store.is_some() && !source.ordered;
    let sorts = !plan.keeps_order() || forced;
    let alpha = plan.alpha || forced;
    let by = if forced { None } else { plan.by };
    let mut elements = source.elements;
    if sorts {
        elements = sorted(elements, by, alpha, plan.descending, look)?;
    }
    let len = elements.len() as i64;
    let (offset, count) = plan.limit.unwrap_or((0, -1));
    let start = offset.clamp(0, len);
    let end = if count < 0 {
        len
    } else {
        start.saturating_add(count).min(len)
    };
    let chosen = &elements[start as usize..end.max(start) as usize];
    if plan.get.is_empty() {
        return Ok(chosen.iter().cloned().map(Some).collect());
    }
    let mut rows = Vec::with_capacity(chosen.len() * plan.get.len());
    for element in chosen {
        for pattern in &plan.get {
            rows.push(look_up(pattern, element, look));
        }
    }
    Ok(rows)
}

fn sorted(
    elements: Vec<Vec<u8>>,
    by: Option<&[u8]>,
    alpha: bool,
    descending: bool,
    look: Look<'_>,
) -> Result<Vec<Vec<u8>>, WireError> {
    let turn = |order: Ordering| if descending { order.reverse() } else { order };
    if alpha {
        let mut rows: Vec<(Option<Vec<u8>>, Vec<u8>)> = elements
            .into_iter()
            .map(|element| {
                let weight = match by {
                    Some(by) => look_up(by, &element, look),
                    None => Some(element.clone()),
                };
                (weight, element)
            })
            .collect();
        // Who has no weight comes first.
        rows.sort_by(|a, b| turn(a.0.cmp(&b.0)));
        return Ok(rows.into_iter().map(|(_, element)| element).collect());
    }
    let mut rows = Vec::with_capacity(elements.len());
    for element in elements {
        let weight = match by {
            Some(by) => look_up(by, &element, look),
            None => Some(element.clone()),
        };
        let score = match weight {
            Some(text) => weight_of(&text).ok_or(NOT_NUMBERS)?,
            None => 0.0,
        };
        rows.push((score, element));
    }
    rows.sort_by(|a, b| {
        let scores = a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal);
        turn(scores.then_with(|| a.1.cmp(&b.1)))
    });
    Ok(rows.into_iter().map(|(_, element)| element).collect())
}

/// The number that `SORT` reads in an element: up to the first zero byte as Redis does, where
/// nothing at all is 0, and what does not fit a double is infinite or 0.
fn weight_of(text: &[u8]) -> Option<f64> {
    let text = text.split(|b| *b == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!number.is_nan()).then_some(number)
}

const NOT_NUMBERS: WireError =
    WireError::fixed("ERR One or more scores can't be converted into double");
/// Elements of one RPUSH in an effect.
const PIECE: usize = 512;
