//! Checked values, and how they are printed.

use super::spec::Kind;
use bitflags::bitflags;

/// A point at which a snapshot is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// After so many seconds,
    pub seconds: u64,
    /// if so many changes were made.
    pub changes: u64,
}

/// A client class's bounds on unsent output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which the client is cut off; 0 for none.
    pub hard: usize,
    /// Bytes that it may not exceed for long; 0 for none.
    pub soft: usize,
    /// How long is long, in seconds.
    pub soft_seconds: u64,
}

/// The classes of [`Value::Limits`] by the names that `CONFIG GET` gives them.
const CLASSES: [&str; 3] = ["normal", "slave", "pubsub"];
/// The same by the names that are written to a file.
const CLASSES_IN_FILES: [&str; 3] = ["normal", "replica", "pubsub"];

bitflags! {
    /// Classes of keyspace events (`notify-keyspace-events`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct NotifyClass: u32 {
        /// `K`: published on `__keyspace@<db>__` channels.
        const KEYSPACE = 1;
        /// `E`: published on `__keyevent@<db>__` channels.
        const KEYEVENT = 1 << 1;
        /// `g`: commands of every type, such as DEL and EXPIRE.
        const GENERIC = 1 << 2;
        /// `$`: strings.
        const STRING = 1 << 3;
        /// `l`: lists.
        const LIST = 1 << 4;
        /// `s`: sets.
        const SET = 1 << 5;
        /// `h`: hashes.
        const HASH = 1 << 6;
        /// `z`: sorted sets.
        const ZSET = 1 << 7;
        /// `x`: expiry.
        const EXPIRED = 1 << 8;
        /// `e`: eviction.
        const EVICTED = 1 << 9;
        /// `t`: streams.
        const STREAM = 1 << 10;
        /// `m`: reads of a key that is not there.
        const KEY_MISS = 1 << 11;
        /// `d`: module types.
        const MODULE = 1 << 12;
        /// `n`: new keys.
        const NEW = 1 << 13;
        /// `o`: a value put in another's place.
        const OVERWRITTEN = 1 << 14;
        /// `c`: a value put in the place of one of another type.
        const TYPE_CHANGED = 1 << 15;
        /// `A`: all but `m`, `n`, `o` and `c`.
        const ALL = Self::GENERIC.bits() | Self::STRING.bits() | Self::LIST.bits()
            | Self::SET.bits() | Self::HASH.bits() | Self::ZSET.bits() | Self::EXPIRED.bits()
            | Self::EVICTED.bits() | Self::STREAM.bits() | Self::MODULE.bits();
    }
}

/// The letters of single classes, in the order in which they are printed.
const EVENT_LETTERS: [(u8, NotifyClass); 13] = [
    (b'g', NotifyClass::GENERIC),
    (b'$', NotifyClass::STRING),
    (b'l', NotifyClass::LIST),
    (b's', NotifyClass::SET),
    (b'h', NotifyClass::HASH),
    (b'z', NotifyClass::ZSET),
    (b'x', NotifyClass::EXPIRED),
    (b'e', NotifyClass::EVICTED),
    (b't', NotifyClass::STREAM),
    (b'd', NotifyClass::MODULE),
    (b'n', NotifyClass::NEW),
    (b'o', NotifyClass::OVERWRITTEN),
    (b'c', NotifyClass::TYPE_CHANGED),
];
/// The letters that follow, whether or not the classes were summed up as `A`.
const EVENT_LETTERS_AFTER: [(u8, NotifyClass); 3] = [
    (b'K', NotifyClass::KEYSPACE),
    (b'E', NotifyClass::KEYEVENT),
    (b'm', NotifyClass::KEY_MISS),
];

impl NotifyClass {
    /// The classes that the letters stand for; `None` if one stands for none.
    pub fn parse(letters: &[u8]) -> Option<NotifyClass> {
        letters.iter().try_fold(Self::empty(), |sum, letter| {
            if *letter == b'A' {
                return Some(sum | Self::ALL);
            }
            let mut known = EVENT_LETTERS.iter().chain(&EVENT_LETTERS_AFTER);
            known
                .find(|(own, _)| own == letter)
                .map(|(_, class)| sum | *class)
        })
    }

    /// The letters as a file must say them: there `A` hides nothing.
    fn letters_in_file(self) -> String {
        let mut text = self.letters();
        for (letter, class) in EVENT_LETTERS {
            if self.contains(Self::ALL | class) && !Self::ALL.contains(class) {
                text.push(char::from(letter));
            }
        }
        text
    }

    /// The letters, as Redis prints them: `A` swallows `n`, `o` and `c`.
    pub fn letters(self) -> String {
        let mut text = String::new();
        let mut push = |letters: &[(u8, NotifyClass)]| {
            for (letter, class) in letters {
                if self.contains(*class) {
                    text.push(char::from(*letter));
                }
            }
        };
        if self.contains(Self::ALL) {
            push(&[(b'A', Self::ALL)]);
        } else {
            push(&EVENT_LETTERS);
        }
        push(&EVENT_LETTERS_AFTER);
        text
    }
}

bitflags! {
    /// What a signal's shutdown does (`shutdown-on-sigterm`, `shutdown-on-sigint`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ShutdownFlags: u8 {
        /// Save first, whatever `save` says.
        const SAVE = 1;
        /// Do not save.
        const NOSAVE = 1 << 1;
        /// Do not wait for replicas.
        const NOW = 1 << 2;
        /// Go even if saving fails.
        const FORCE = 1 << 3;
    }
}

pub(super) const SHUTDOWN_WORDS: [(&str, ShutdownFlags); 5] = [
    ("default", ShutdownFlags::empty()),
    ("save", ShutdownFlags::SAVE),
    ("nosave", ShutdownFlags::NOSAVE),
    ("now", ShutdownFlags::NOW),
    ("force", ShutdownFlags::FORCE),
];

/// An option's value. Its variant is settled by the option's [`Kind`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `yes` or `no`.
    Bool(bool),
    /// A number, of bytes or anything else.
    Number(i64),
    /// A percentage.
    Percent(u8),
    /// Any bytes.
    Text(Vec<u8>),
    /// One of the option's words.
    Choice(&'static str),
    /// Words.
    Words(Vec<Vec<u8>>),
    /// Save points.
    Save(Vec<SavePoint>),
    /// Bounds of normal clients, replicas and subscribers.
    Limits([OutputLimit; 3]),
    /// Percentiles.
    Percentiles(Vec<f64>),
    /// Event classes.
    Events(NotifyClass),
    /// Shutdown words.
    Shutdown(ShutdownFlags),
}

impl Value {
    /// What `CONFIG GET` answers.
    pub fn shown(&self, kind: Kind) -> Vec<u8> {
        match self {
            Value::Text(text) => text.clone(),
            Value::Words(words) => words.join(&b' '),
            Value::Number(number) if kind == Kind::Octal => format!("{number:o}").into_bytes(),
            Value::Number(number) => number.to_string().into_bytes(),
            Value::Save(points) => {
                let points = points
                    .iter()
                    .map(|p| format!("{} {}", p.seconds, p.changes));
                joined(points)
            }
            Value::Limits(limits) => {
                let limits = CLASSES.iter().zip(limits);
                joined(
                    limits.map(|(class, l)| {
                        format!("{class} {} {} {}", l.hard, l.soft, l.soft_seconds)
                    }),
                )
            }
            plain => plain.word().into_bytes(),
        }
    }

    /// The lines, each the arguments after the option's name, that `CONFIG REWRITE` writes.
    pub fn lines(&self, kind: Kind) -> Vec<Vec<u8>> {
        match self {
            Value::Text(text) => vec![quoted(text)],
            Value::Words(words) if kind == Kind::ReplicaOf && words.is_empty() => Vec::new(),
            Value::Words(words) if words.is_empty() => vec![b"\"\"".to_vec()],
            Value::Words(words) => {
                let words: Vec<_> = words.iter().map(|word| quoted_if_needed(word)).collect();
                vec![words.join(&b' ')]
            }
            Value::Number(number)
                if matches!(kind, Kind::Memory { .. } | Kind::MemoryOrPercent) =>
            {
                vec![in_units(*number).into_bytes()]
            }
            Value::Save(points) if points.is_empty() => vec![b"\"\"".to_vec()],
            Value::Save(points) => points
                .iter()
                .map(|p| format!("{} {}", p.seconds, p.changes).into_bytes())
                .collect(),
            Value::Limits(limits) => CLASSES_IN_FILES
                .iter()
                .zip(limits)
                .map(|(class, l)| {
                    let (hard, soft) = (in_units(l.hard as i64), in_units(l.soft as i64));
                    format!("{class} {hard} {soft} {}", l.soft_seconds).into_bytes()
                })
                .collect(),
            Value::Percentiles(list) if list.is_empty() => vec![b"\"\"".to_vec()],
            Value::Events(events) => vec![quoted(events.letters_in_file().as_bytes())],
            plain => vec![plain.shown(kind)],
        }
    }

    /// Values that print alike in answers and in files.
    fn word(&self) -> String {
        match self {
            Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
            Value::Percent(percent) => format!("{percent}%"),
            Value::Choice(word) => (*word).to_owned(),
            Value::Percentiles(list) => {
                let list: Vec<String> = list.iter().map(f64::to_string).collect();
                list.join(" ")
            }
            Value::Events(events) => events.letters(),
            Value::Shutdown(flags) if flags.is_empty() => "default".to_owned(),
            Value::Shutdown(flags) => {
                let set = SHUTDOWN_WORDS[1..]
                    .iter()
                    .filter(|(_, flag)| flags.contains(*flag));
                let words: Vec<&str> = set.map(|(word, _)| *word).collect();
                words.join(" ")
            }
            Value::Number(_)
            | Value::Text(_)
            | Value::Words(_)
            | Value::Save(_)
            | Value::Limits(_) => String::new(),
        }
    }
}

fn joined(parts: impl Iterator<Item = String>) -> Vec<u8> {
    parts.collect::<Vec<_>>().join(" ").into_bytes()
}

/// The number in the largest unit that divides it.
fn in_units(bytes: i64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes != 0 && bytes % (1 << shift) == 0 {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

fn quoted_if_needed(word: &[u8]) -> Vec<u8> {
    let plain = |c: &u8| c.is_ascii_graphic() && !matches!(c, b'"' | b'\'' | b'\\');
    if !word.is_empty() && word.iter().all(plain) {
        word.to_vec()
    } else {
        quoted(word)
    }
}

/// `text` in double quotes, so that any reader of the syntax gets the same bytes back.
pub(super) fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            7 => out.extend(b"\\a"),
            8 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(*byte),
            _ => out.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    out.push(b'"');
    out
}
