//! Reading one object of RDB data: everything behind its type and key.

use super::codes;
use super::error::{Problem, RdbError, Result};
use super::packs::{self, Fault};
use super::source::Source;
use super::stream;
use super::value::{Strings, Value};
use super::write::{PACKED_NODE, PLAIN_NODE};
use crate::values::packed::Element;
use std::io::Read;

/// Reads an object of type `kind` as data of `version` has it.
pub fn read_object<R: Read>(source: &mut Source<R>, kind: u8, version: u32) -> Result<Value> {
    Ok(match kind {
        codes::STRING => Value::String(source.string()?),
        codes::LIST => Value::List(read_strings(source, 1)?),
        codes::SET => Value::Set(read_strings(source, 1)?, false),
        codes::HASH => Value::Hash(read_strings(source, 2)?, Vec::new()),
        codes::ZSET | codes::ZSET_2 => read_sorted_set(source, kind)?,
        codes::HASH_ZIPMAP => Value::Hash(in_pack(source, zipmap)?, Vec::new()),
        codes::HASH_ZIPLIST => even(source, ziplist).map(|all| Value::Hash(all, Vec::new()))?,
        codes::HASH_LISTPACK => even(source, listpack).map(|all| Value::Hash(all, Vec::new()))?,
        codes::LIST_ZIPLIST => Value::List(in_pack(source, ziplist)?),
        codes::LIST_QUICKLIST | codes::LIST_QUICKLIST_2 => read_quicklist(source, kind)?,
        codes::SET_INTSET => Value::Set(in_pack(source, intset)?, false),
        codes::SET_LISTPACK => Value::Set(in_pack(source, listpack)?, true),
        codes::ZSET_ZIPLIST => scored(source, ziplist)?,
        codes::ZSET_LISTPACK => scored(source, listpack)?,
        codes::STREAM | codes::STREAM_2 | codes::STREAM_3 => {
            Value::Stream(Box::new(stream::read(source, kind)?))
        }
        codes::HASH_22 if version >= codes::FIRST_VALKEY => read_valkey_hash(source)?,
        codes::HASH_22 | codes::HASH_METADATA if version < codes::FIRST_VALKEY => {
            read_hash_metadata(source, kind)?
        }
        codes::HASH_LISTPACK_EX_OLD | codes::HASH_LISTPACK_EX if version < codes::FIRST_VALKEY => {
            read_hash_listpack_ex(source, kind)?
        }
        codes::MODULE_OLD | codes::MODULE => {
            let id = source.length()?;
            return Err(source.error(Problem::Module(module_name(id))));
        }
        other => return Err(source.error(Problem::Type(other))),
    })
}

/// The name of a module's type: nine characters of six bits each, then ten bits of version.
pub(super) fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9)
        .map(|i| LETTERS[(id >> (58 - 6 * i)) as usize & 63] as char)
        .collect()
}

/// A count and so many times `each` strings.
fn read_strings<R: Read>(source: &mut Source<R>, each: u64) -> Result<Strings> {
    let count = source.length()?;
    let Some(count) = count.checked_mul(each) else {
        return source.malformed("an impossible number of elements");
    };
    let mut all = Strings::default();
    for _ in 0..count {
        all.push_with(|bytes| source.string_into(bytes))?;
    }
    Ok(all)
}

fn read_sorted_set<R: Read>(source: &mut Source<R>, kind: u8) -> Result<Value> {
    let count = source.length()?;
    let (mut members, mut scores) = (Strings::default(), Vec::new());
    for _ in 0..count {
        members.push_with(|bytes| source.string_into(bytes))?;
        let score = match kind {
            codes::ZSET_2 => source.double()?,
            _ => text_double(source)?,
        };
        if score.is_nan() {
            return source.malformed("a score that is no number");
        }
        scores.push(score);
    }
    Ok(Value::SortedSet(members, scores))
}

/// A float as text behind its length; three lengths are the infinities and NaN.
fn text_double<R: Read>(source: &mut Source<R>) -> Result<f64> {
    match source.byte()? {
        253 => Ok(f64::NAN),
        254 => Ok(f64::INFINITY),
        255 => Ok(f64::NEG_INFINITY),
        len => {
            let text = source.take(u64::from(len))?;
            match crate::number::parse_f64(&text) {
                Some(score) => Ok(score),
                None => source.malformed("a score that is no number"),
            }
        }
    }
}

fn read_quicklist<R: Read>(source: &mut Source<R>, kind: u8) -> Result<Value> {
    let nodes = source.length()?;
    let mut all = Strings::default();
    for _ in 0..nodes {
        let form = match kind {
            codes::LIST_QUICKLIST => 0,
            _ => source.length()?,
        };
        match form {
            0 if kind == codes::LIST_QUICKLIST => append_pack(source, &mut all, ziplist)?,
            PLAIN_NODE => all.push_with(|bytes| source.string_into(bytes))?,
            PACKED_NODE => append_pack(source, &mut all, listpack)?,
            _ => return source.malformed("a list node of an unknown form"),
        }
    }
    Ok(Value::List(all))
}

/// Valkey's hash with field expiry: field, value, time (-1 for none).
fn read_valkey_hash<R: Read>(source: &mut Source<R>) -> Result<Value> {
    let count = source.length()?;
    let (mut fields, mut expiries) = (Strings::default(), Vec::new());
    for _ in 0..count {
        fields.push_with(|bytes| source.string_into(bytes))?;
        fields.push_with(|bytes| source.string_into(bytes))?;
        expiries.push(match source.time_ms()? {
            -1 => 0,
            at if at > 0 => at,
            _ => return source.malformed("an impossible time of expiry"),
        });
    }
    Ok(Value::Hash(fields, expiries))
}

/// Redis's hash with field expiry: time, field, value; the time is 0 for none, otherwise it
/// counts from one before the earliest.
fn read_hash_metadata<R: Read>(source: &mut Source<R>, kind: u8) -> Result<Value> {
    let earliest = match kind {
        codes::HASH_METADATA => Some(source.time_ms()?),
        _ => None,
    };
    let count = source.length()?;
    let (mut fields, mut expiries) = (Strings::default(), Vec::new());
    for _ in 0..count {
        let given = i64::try_from(source.length()?).ok();
        let at = given.and_then(|given| match earliest {
            Some(earliest) if given > 0 => (given - 1).checked_add(earliest),
            _ => Some(given),
        });
        match at {
            Some(at) if at >= 0 => expiries.push(at),
            _ => return source.malformed("an impossible time of expiry"),
        }
        fields.push_with(|bytes| source.string_into(bytes))?;
        fields.push_with(|bytes| source.string_into(bytes))?;
    }
    Ok(Value::Hash(fields, expiries))
}

/// A listpack of field, value, time.
fn read_hash_listpack_ex<R: Read>(source: &mut Source<R>, kind: u8) -> Result<Value> {
    if kind == codes::HASH_LISTPACK_EX {
        // The earliest time, which the listpack says as well.
        source.time_ms()?;
    }
    let (mut fields, mut expiries) = (Strings::default(), Vec::new());
    let mut place = 0;
    read_pack(source, |bytes| {
        packs::each_of_listpack(bytes, |element| {
            place = (place + 1) % 3;
            if place != 0 {
                return push(&mut fields, element);
            }
            match element.as_int() {
                Some(at) if at >= 0 => expiries.push(at),
                _ => return Err("an impossible time of expiry"),
            }
            Ok(())
        })?;
        match place {
            0 => Ok(()),
            _ => Err("a field without a value or a time"),
        }
    })?;
    Ok(Value::Hash(fields, expiries))
}

/// Members and scores in turn.
fn scored<R: Read>(source: &mut Source<R>, pack: Unpack) -> Result<Value> {
    let all = even(source, pack)?;
    let (mut members, mut scores) = (Strings::default(), Vec::new());
    for at in (0..all.len()).step_by(2) {
        members.push(all.get(at));
        match crate::number::parse_f64(all.get(at + 1)) {
            Some(score) if !score.is_nan() => scores.push(score),
            _ => return source.malformed("a score that is no number"),
        }
    }
    Ok(Value::SortedSet(members, scores))
}

/// The strings of a packed sequence that must be pairs.
fn even<R: Read>(source: &mut Source<R>, pack: Unpack) -> Result<Strings> {
    let all = in_pack(source, pack)?;
    if all.len() % 2 == 1 {
        return source.malformed("the last of the pairs has no second half");
    }
    Ok(all)
}

/// Appends the strings of a packed sequence.
type Unpack = fn(&[u8], &mut Strings) -> std::result::Result<(), Fault>;

fn in_pack<R: Read>(source: &mut Source<R>, pack: Unpack) -> Result<Strings> {
    let mut all = Strings::default();
    append_pack(source, &mut all, pack)?;
    Ok(all)
}

fn append_pack<R: Read>(source: &mut Source<R>, all: &mut Strings, pack: Unpack) -> Result<()> {
    read_pack(source, |bytes| pack(bytes, all))
}

/// A packed sequence is a string; what is wrong in it is told with the offset of the string.
pub(super) fn read_pack<R: Read>(
    source: &mut Source<R>,
    look: impl FnOnce(&[u8]) -> std::result::Result<(), Fault>,
) -> Result<()> {
    let offset = source.offset();
    let bytes = source.string()?;
    look(&bytes).map_err(|fault| RdbError {
        offset,
        what: Problem::Malformed(fault),
    })
}

fn push(all: &mut Strings, element: Element<'_>) -> std::result::Result<(), Fault> {
    all.push_with(|bytes| {
        element.write_to(bytes);
        Ok(())
    })
}

fn listpack(bytes: &[u8], all: &mut Strings) -> std::result::Result<(), Fault> {
    packs::each_of_listpack(bytes, |element| push(all, element))
}

fn ziplist(bytes: &[u8], all: &mut Strings) -> std::result::Result<(), Fault> {
    packs::each_of_ziplist(bytes, |element| push(all, element))
}

fn zipmap(bytes: &[u8], all: &mut Strings) -> std::result::Result<(), Fault> {
    packs::each_of_zipmap(bytes, |text| {
        all.push(text);
        Ok(())
    })
}

fn intset(bytes: &[u8], all: &mut Strings) -> std::result::Result<(), Fault> {
    packs::each_of_intset(bytes, |value| push(all, Element::Int(value)))
}
