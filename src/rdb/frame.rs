//! Writing an RDB file: what stands around the objects.

use super::checksum::Checksum;
use super::codes;
use super::write::{Elements, Object, Relieve, Target, put_length, put_string};
use crate::execute::{Settings, frequency, idle_seconds};
use crate::keyspace::{DbIndex, EntryRef, ValueRef};
use crate::time::UnixMs;
use std::sync::Arc;

/// What a file tells of how its keys are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Nothing.
    Nothing,
    /// For how long they were not.
    Idle,
    /// How often they are.
    Frequency,
}

/// How keys are written.
#[derive(Clone)]
pub struct KeyForm {
    /// For whom.
    pub target: Target,
    /// What of their use is told.
    pub usage: Usage,
    /// The time of the snapshot.
    pub now: UnixMs,
    /// For the decay of frequencies.
    pub settings: Settings,
}

/// Appends the head of a file with facts about it.
pub fn put_head(out: &mut Vec<u8>, target: Target, facts: &[(&str, String)]) {
    let head = match target.version {
        version @ codes::FIRST_VALKEY.. => format!("VALKEY{version:03}"),
        version => format!("REDIS{version:04}"),
    };
    out.extend_from_slice(head.as_bytes());
    for (name, value) in facts {
        out.push(codes::AUX);
        put_string(out, name.as_bytes(), false);
        put_string(out, value.as_bytes(), false);
    }
}

/// Appends the choice of a database.
pub fn put_select(out: &mut Vec<u8>, db: DbIndex) {
    out.push(codes::SELECT);
    put_length(out, u64::from(db.0));
}

/// The lowest version of the format that has the entry's type.
pub fn needed_version(entry: EntryRef<'_>, form: &KeyForm) -> u32 {
    Object::new(entry.value(), form.target).version()
}

/// What is left to do for a key.
pub enum Rest {
    /// Nothing.
    Nothing,
    /// This large string comes next, to be written as RDB has strings.
    Text(Arc<Vec<u8>>),
    /// What stands from here on is a string to be compressed with `put_compressed`.
    Compress(usize),
}

/// Appends a key and its value; of a large string that can be shared, only what stands before
/// it, and the string is given to the caller.
pub fn put_key(out: &mut Vec<u8>, entry: EntryRef<'_>, form: &KeyForm) -> Option<Arc<Vec<u8>>> {
    let object = put_before_value(out, entry, form);
    match entry.value() {
        ValueRef::Shared(text) => Some(Arc::clone(text)),
        _ => {
            object.write(out);
            None
        }
    }
}

/// Appends a key and its value as [`put_key`] does, but compresses nothing that can be
/// compressed later, when nobody waits.
pub fn put_key_quickly(out: &mut Vec<u8>, entry: EntryRef<'_>, form: &KeyForm) -> Rest {
    let object = put_before_value(out, entry, form);
    if let ValueRef::Shared(text) = entry.value() {
        return Rest::Text(Arc::clone(text));
    }
    let later = object.uncompressed().filter(|_| form.target.compress);
    let Some(later) = later else {
        object.write(out);
        return Rest::Nothing;
    };
    let from = out.len();
    later.write(out);
    match out.len() - from > WORTH_COMPRESSING {
        true => Rest::Compress(from),
        false => Rest::Nothing,
    }
}

/// Appends a key and, of its value, only how many elements come; the caller appends them.
pub fn put_key_of_elements(out: &mut Vec<u8>, entry: EntryRef<'_>, form: &KeyForm) -> Elements {
    put_before_value(out, entry, form).begin(out)
}

/// Appends a key and its value; `relieve` is called now and then with what there is, and may
/// take it.
pub fn put_key_in_parts(
    out: &mut Vec<u8>,
    entry: EntryRef<'_>,
    form: &KeyForm,
    relieve: Relieve<'_>,
) {
    put_before_value(out, entry, form).write_in_parts(out, relieve);
}

/// Appends what stands before a value.
fn put_before_value<'a>(out: &mut Vec<u8>, entry: EntryRef<'a>, form: &KeyForm) -> Object<'a> {
    if let Some(at) = entry.expiry() {
        out.push(codes::EXPIRY_MS);
        out.extend_from_slice(&at.to_le_bytes());
    }
    match form.usage {
        Usage::Nothing => {}
        Usage::Idle => {
            out.push(codes::IDLE);
            put_length(out, u64::from(idle_seconds(entry.clock(), form.now)));
        }
        Usage::Frequency => {
            let count = frequency(entry.clock(), form.now, &form.settings);
            out.extend_from_slice(&[codes::FREQUENCY, count.min(255) as u8]);
        }
    }
    let object = Object::new(entry.value(), form.target);
    out.push(object.kind());
    put_string(out, entry.key(), false);
    object
}

/// Appends the end of a file whose checksum so far is `sum`; `None` for a file without one.
pub fn put_end(out: &mut Vec<u8>, sum: Option<Checksum>) {
    out.push(codes::END);
    let sum = sum.map_or(0, |mut sum| {
        sum.update(&[codes::END]);
        sum.value()
    });
    out.extend_from_slice(&sum.to_le_bytes());
}

/// Bytes of a string and its length that compressing may make fewer.
const WORTH_COMPRESSING: usize = 21;
