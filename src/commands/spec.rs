//! The shape of a command's declaration.
//!
//! A [`CommandSpec`] is plain `const` data and the only place where a fact about a command
//! is written down: dispatch, arity, key positions, ACL categories, `COMMAND ...` and the
//! generated documentation all read it. What can be derived is not declared: the
//! `movablekeys` flag, the old first/last/step triple and most ACL categories follow from
//! the rest, by Redis's rules.
//!
//! A family lists its commands like a table of contents:
//!
//! ```ignore
//! const STRING: CommandSpec = CommandSpec { group: Group::String, ..CommandSpec::DEFAULT };
//!
//! pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
//!     name: "get",
//!     since: "1.0.0",
//!     arity: 2,
//!     flags: Flags::of("readonly fast"),
//!     keys: &[KeySpec::at(1, "RO access")],
//!     syntax: "key",
//!     summary: "Reads the string at a key.",
//!     complexity: "O(1)",
//!     handler: Handler::Read(get),
//!     ..STRING
//! }];
//! ```

use super::handler::{Handler, Scope};
use crate::protocol::Args;
use bitflags::bitflags;

/// Everything that is known about one command, or one subcommand.
#[derive(Clone, Copy, Debug)]
pub struct CommandSpec {
    /// Lower case. A subcommand holds the bare word (`setname`).
    pub name: &'static str,
    /// The version of Redis that introduced it, or of Valkey or Lockstep for what only they
    /// have.
    pub since: &'static str,
    /// Arguments including the command's name (and the subcommand's): exact if positive,
    /// at least `-arity` if negative.
    pub arity: i8,
    /// Behaviour under the gates of `execute`.
    pub flags: Flags,
    /// The chapter of the documentation; the family's default declares it.
    pub group: Group,
    /// ACL categories beyond those that follow from `flags` and `group`.
    pub acl: Acl,
    /// Where the keys stand among the arguments.
    pub keys: &'static [KeySpec],
    /// What one call does to its keys, where that depends on the arguments
    /// (`variable_flags`).
    pub key_flags: Option<fn(Args<'_>) -> KeyFlags>,
    /// The arguments, in the notation of `syntax.rs`, without the command's name.
    pub syntax: &'static str,
    /// One sentence, in our own words.
    pub summary: &'static str,
    /// Cost, as `COMMAND DOCS` shows it; empty if not given.
    pub complexity: &'static str,
    /// `(version, what changed)`.
    pub history: &'static [(&'static str, &'static str)],
    /// Set if the command should no longer be used.
    pub deprecated: Option<Deprecated>,
    /// Whether this is internal to servers talking to each other.
    pub syscmd: bool,
    /// Hints for clients and proxies, as `COMMAND INFO` shows them.
    pub tips: &'static [&'static str],
    /// Non-empty for a container such as CLIENT.
    pub subcommands: &'static [CommandSpec],
    /// What runs it.
    pub handler: Handler,
    /// What it locks.
    pub scope: Scope,
}

/// Since when, and in favour of what, a command is deprecated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deprecated {
    /// Version.
    pub since: &'static str,
    /// What to use instead, with commands in backquotes.
    pub replaced_by: &'static str,
}

impl CommandSpec {
    /// The base of every declaration, for struct update.
    pub const DEFAULT: CommandSpec = CommandSpec {
        name: "",
        since: "",
        arity: 1,
        flags: Flags::empty(),
        group: Group::Server,
        acl: Acl::Derived,
        keys: &[],
        key_flags: None,
        syntax: "",
        summary: "",
        complexity: "",
        history: &[],
        deprecated: None,
        syscmd: false,
        tips: &[],
        subcommands: &[],
        handler: Handler::Container,
        scope: Scope::Keys,
    };

    /// Whether a request of `argc` arguments (the name included) has the right number.
    #[inline]
    pub const fn arity_fits(&self, argc: usize) -> bool {
        if self.arity >= 0 {
            argc == self.arity as usize
        } else {
            argc >= self.arity.unsigned_abs() as usize
        }
    }

    /// The declared flags with those that follow from the key positions.
    pub fn all_flags(&self) -> Flags {
        let movable = self.keys.iter().any(KeySpec::is_movable);
        self.flags
            | if movable {
                Flags::MOVABLEKEYS
            } else {
                Flags::empty()
            }
    }

    /// ACL categories: Redis's implicit ones, the group's, and the declared extras.
    pub fn categories(&self) -> Categories {
        let mut all = match self.acl {
            Acl::Derived | Acl::And(_) if self.subcommands.is_empty() => self.group.category(),
            _ => Categories::empty(),
        };
        if let Acl::And(extra) | Acl::Only(extra) = self.acl {
            all |= extra;
        }
        if self.flags.contains(Flags::WRITE) {
            all |= Categories::WRITE;
        }
        // A read-only script may run anything that reads, so it counts as scripting alone.
        if self.flags.contains(Flags::READONLY) && !all.contains(Categories::SCRIPTING) {
            all |= Categories::READ;
        }
        if self.flags.contains(Flags::ADMIN) {
            all |= Categories::ADMIN | Categories::DANGEROUS;
        }
        if self.flags.contains(Flags::PUBSUB) {
            all |= Categories::PUBSUB;
        }
        if self.flags.contains(Flags::BLOCKING) {
            all |= Categories::BLOCKING;
        }
        all | if self.flags.contains(Flags::FAST) {
            Categories::FAST
        } else {
            Categories::SLOW
        }
    }

    /// The subcommand called `word`, ASCII case aside.
    pub fn subcommand(&self, word: &[u8]) -> Option<&'static CommandSpec> {
        self.subcommands
            .iter()
            .find(|sub| sub.name.as_bytes().eq_ignore_ascii_case(word))
    }

    /// First key, last key and step as clients of old read them; all 0 without keys.
    pub fn legacy_range(&self) -> (i64, i64, i64) {
        super::key_positions::legacy_range(self.keys)
    }
}

bitflags! {
    /// What a command does and where it may run, bit by bit in the order of `COMMAND INFO`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// May change data.
        const WRITE = 1;
        /// Reads data and never changes it.
        const READONLY = 1 << 1;
        /// Refused when memory is full.
        const DENYOOM = 1 << 2;
        /// For operators.
        const ADMIN = 1 << 3;
        /// Publish and subscribe.
        const PUBSUB = 1 << 4;
        /// Not from scripts.
        const NOSCRIPT = 1 << 5;
        /// May block the client.
        const BLOCKING = 1 << 6;
        /// Allowed while data is being loaded.
        const LOADING = 1 << 7;
        /// Allowed on a replica whose data is stale.
        const STALE = 1 << 8;
        /// Not shown to MONITOR.
        const SKIP_MONITOR = 1 << 9;
        /// Not in the slow log.
        const SKIP_SLOWLOG = 1 << 10;
        /// Allowed in a slot that is being imported.
        const ASKING = 1 << 11;
        /// Constant or logarithmic time.
        const FAST = 1 << 12;
        /// Allowed before authentication.
        const NO_AUTH = 1 << 13;
        /// Changes no data but may be replicated; never shown.
        const MAY_REPLICATE = 1 << 14;
        /// May be called with no key although it can take some.
        const NO_MANDATORY_KEYS = 1 << 15;
        /// Not while loading from a primary with old data still served.
        const NO_ASYNC_LOADING = 1 << 16;
        /// Not inside a transaction.
        const NO_MULTI = 1 << 17;
        /// Keys are not all at fixed positions. Derived, never declared.
        const MOVABLEKEYS = 1 << 18;
        /// Allowed while a script runs for too long.
        const ALLOW_BUSY = 1 << 19;
        /// Only where the configuration allows it (DEBUG, MODULE); never shown.
        const PROTECTED = 1 << 20;
        /// Runs a script; never shown.
        const SCRIPT = 1 << 21;
    }

    /// The ACL categories, bit by bit in the order in which they are shown.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[allow(missing_docs)]
    pub struct Categories: u32 {
        const KEYSPACE = 1;
        const READ = 1 << 1;
        const WRITE = 1 << 2;
        const SET = 1 << 3;
        const SORTEDSET = 1 << 4;
        const LIST = 1 << 5;
        const HASH = 1 << 6;
        const STRING = 1 << 7;
        const BITMAP = 1 << 8;
        const HYPERLOGLOG = 1 << 9;
        const GEO = 1 << 10;
        const STREAM = 1 << 11;
        const PUBSUB = 1 << 12;
        const ADMIN = 1 << 13;
        const FAST = 1 << 14;
        const SLOW = 1 << 15;
        const BLOCKING = 1 << 16;
        const DANGEROUS = 1 << 17;
        const CONNECTION = 1 << 18;
        const TRANSACTION = 1 << 19;
        const SCRIPTING = 1 << 20;
    }

    /// What a command does to the keys of one [`KeySpec`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct KeyFlags: u16 {
        /// Reads the value and may change it.
        const RW = 1;
        /// Reads only.
        const RO = 1 << 1;
        /// Overwrites without reading.
        const OW = 1 << 2;
        /// Removes.
        const RM = 1 << 3;
        /// Returns or copies what is stored.
        const ACCESS = 1 << 4;
        /// Changes what is stored.
        const UPDATE = 1 << 5;
        /// Adds without changing what is there.
        const INSERT = 1 << 6;
        /// Deletes content explicitly.
        const DELETE = 1 << 7;
        /// Routed like a key but not one.
        const NOT_KEY = 1 << 8;
        /// Some keys may be missed by the position alone.
        const INCOMPLETE = 1 << 9;
        /// The arguments decide which of the flags hold.
        const VARIABLE_FLAGS = 1 << 10;
    }
}

/// ACL categories next to the implicit ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acl {
    /// Those of the flags and the group.
    Derived,
    /// These as well.
    And(Categories),
    /// These in place of the group's.
    Only(Categories),
}

impl Acl {
    /// [`Acl::And`] from words such as `"dangerous keyspace"`.
    pub const fn and(words: &str) -> Acl {
        Acl::And(Categories::of(words))
    }

    /// [`Acl::Only`] from words.
    pub const fn only(words: &str) -> Acl {
        Acl::Only(Categories::of(words))
    }
}

impl Flags {
    /// The flags as `COMMAND INFO` spells them.
    pub const NAMES: &'static [(&'static str, u32)] = &[
        ("write", Flags::WRITE.bits()),
        ("readonly", Flags::READONLY.bits()),
        ("denyoom", Flags::DENYOOM.bits()),
        ("admin", Flags::ADMIN.bits()),
        ("pubsub", Flags::PUBSUB.bits()),
        ("noscript", Flags::NOSCRIPT.bits()),
        ("blocking", Flags::BLOCKING.bits()),
        ("loading", Flags::LOADING.bits()),
        ("stale", Flags::STALE.bits()),
        ("skip_monitor", Flags::SKIP_MONITOR.bits()),
        ("skip_slowlog", Flags::SKIP_SLOWLOG.bits()),
        ("asking", Flags::ASKING.bits()),
        ("fast", Flags::FAST.bits()),
        ("no_auth", Flags::NO_AUTH.bits()),
        ("may_replicate", Flags::MAY_REPLICATE.bits()),
        ("no_mandatory_keys", Flags::NO_MANDATORY_KEYS.bits()),
        ("no_async_loading", Flags::NO_ASYNC_LOADING.bits()),
        ("no_multi", Flags::NO_MULTI.bits()),
        ("movablekeys", Flags::MOVABLEKEYS.bits()),
        ("allow_busy", Flags::ALLOW_BUSY.bits()),
        ("protected", Flags::PROTECTED.bits()),
        ("script", Flags::SCRIPT.bits()),
    ];

    /// Flags from words; an unknown word does not compile.
    pub const fn of(words: &str) -> Flags {
        Flags::from_bits_retain(parse_words(words, Flags::NAMES))
    }

    /// The words that `COMMAND INFO` shows, in order.
    pub fn shown(self) -> impl Iterator<Item = &'static str> + Clone {
        let shown = self.difference(
            Flags::MAY_REPLICATE
                .union(Flags::PROTECTED)
                .union(Flags::SCRIPT),
        );
        words_of(shown.bits(), Flags::NAMES)
    }
}

impl Categories {
    /// The categories by name, without the `@`.
    pub const NAMES: &'static [(&'static str, u32)] = &[
        ("keyspace", Categories::KEYSPACE.bits()),
        ("read", Categories::READ.bits()),
        ("write", Categories::WRITE.bits()),
        ("set", Categories::SET.bits()),
        ("sortedset", Categories::SORTEDSET.bits()),
        ("list", Categories::LIST.bits()),
        ("hash", Categories::HASH.bits()),
        ("string", Categories::STRING.bits()),
        ("bitmap", Categories::BITMAP.bits()),
        ("hyperloglog", Categories::HYPERLOGLOG.bits()),
        ("geo", Categories::GEO.bits()),
        ("stream", Categories::STREAM.bits()),
        ("pubsub", Categories::PUBSUB.bits()),
        ("admin", Categories::ADMIN.bits()),
        ("fast", Categories::FAST.bits()),
        ("slow", Categories::SLOW.bits()),
        ("blocking", Categories::BLOCKING.bits()),
        ("dangerous", Categories::DANGEROUS.bits()),
        ("connection", Categories::CONNECTION.bits()),
        ("transaction", Categories::TRANSACTION.bits()),
        ("scripting", Categories::SCRIPTING.bits()),
    ];

    /// Categories from words; an unknown word does not compile.
    pub const fn of(words: &str) -> Categories {
        Categories::from_bits_retain(parse_words(words, Categories::NAMES))
    }

    /// The category called `name` (no `@`), ASCII case aside.
    pub fn by_name(name: &[u8]) -> Option<Categories> {
        Categories::NAMES
            .iter()
            .find(|(word, _)| word.as_bytes().eq_ignore_ascii_case(name))
            .map(|&(_, bit)| Categories::from_bits_retain(bit))
    }

    /// The names, without the `@`, in order.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        words_of(self.bits(), Categories::NAMES)
    }
}

impl KeyFlags {
    /// The flags as `COMMAND INFO` spells them.
    pub const NAMES: &'static [(&'static str, u32)] = &[
        ("RW", KeyFlags::RW.bits() as u32),
        ("RO", KeyFlags::RO.bits() as u32),
        ("OW", KeyFlags::OW.bits() as u32),
        ("RM", KeyFlags::RM.bits() as u32),
        ("access", KeyFlags::ACCESS.bits() as u32),
        ("update", KeyFlags::UPDATE.bits() as u32),
        ("insert", KeyFlags::INSERT.bits() as u32),
        ("delete", KeyFlags::DELETE.bits() as u32),
        ("not_key", KeyFlags::NOT_KEY.bits() as u32),
        ("incomplete", KeyFlags::INCOMPLETE.bits() as u32),
        ("variable_flags", KeyFlags::VARIABLE_FLAGS.bits() as u32),
    ];

    /// Flags from words; an unknown word does not compile.
    pub const fn of(words: &str) -> KeyFlags {
        KeyFlags::from_bits_retain(parse_words(words, KeyFlags::NAMES) as u16)
    }

    /// The words that `COMMAND INFO` shows, in order.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        words_of(u32::from(self.bits()), KeyFlags::NAMES)
    }
}

/// The chapters of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Group {
    Bitmap,
    Cluster,
    Connection,
    Generic,
    Geo,
    Hash,
    HyperLogLog,
    List,
    PubSub,
    Scripting,
    Server,
    Set,
    SortedSet,
    Stream,
    String,
    Transactions,
}

impl Group {
    /// As `COMMAND DOCS` spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Bitmap => "bitmap",
            Group::Cluster => "cluster",
            Group::Connection => "connection",
            Group::Generic => "generic",
            Group::Geo => "geo",
            Group::Hash => "hash",
            Group::HyperLogLog => "hyperloglog",
            Group::List => "list",
            Group::PubSub => "pubsub",
            Group::Scripting => "scripting",
            Group::Server => "server",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::String => "string",
            Group::Transactions => "transactions",
        }
    }

    /// The ACL category that every command of the group belongs to.
    const fn category(self) -> Categories {
        match self {
            Group::Bitmap => Categories::BITMAP,
            Group::Connection => Categories::CONNECTION,
            Group::Generic => Categories::KEYSPACE,
            Group::Geo => Categories::GEO,
            Group::Hash => Categories::HASH,
            Group::HyperLogLog => Categories::HYPERLOGLOG,
            Group::List => Categories::LIST,
            Group::PubSub => Categories::PUBSUB,
            Group::Scripting => Categories::SCRIPTING,
            Group::Set => Categories::SET,
            Group::SortedSet => Categories::SORTEDSET,
            Group::Stream => Categories::STREAM,
            Group::String => Categories::STRING,
            Group::Transactions => Categories::TRANSACTION,
            Group::Server | Group::Cluster => Categories::empty(),
        }
    }
}

/// Where one run of keys stands among the arguments, and what is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// What happens to the keys.
    pub flags: KeyFlags,
    /// How to find the first argument of the run.
    pub begin: BeginSearch,
    /// How the keys lie from there.
    pub find: FindKeys,
    /// A remark for readers of `COMMAND INFO`; empty for none.
    pub notes: &'static str,
}

/// How to find the argument at which a run of keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginSearch {
    /// At this index.
    Index(i16),
    /// After this word, looked for from `start_from` on; a negative one counts from the
    /// end and looks backwards.
    Keyword {
        /// Upper case.
        word: &'static str,
        /// Where to start.
        start_from: i16,
    },
    /// Only the command itself can tell.
    Unknown,
}

/// How keys lie from the beginning of their run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindKeys {
    /// Every `step`-th argument up to `last`, counted from the first key; a negative
    /// `last` counts from the end, `-1` with a `limit` of n takes the first n-th part of
    /// what remains.
    Range {
        /// Distance to the last key.
        last: i16,
        /// From key to key.
        step: i16,
        /// 0 or 1: none.
        limit: i16,
    },
    /// The number of keys is itself an argument.
    KeyNum {
        /// Where the number is, from the beginning.
        num_at: i16,
        /// Where the first key is, from the beginning.
        first: i16,
        /// From key to key.
        step: i16,
    },
    /// Only the command itself can tell.
    Unknown,
}

impl KeySpec {
    /// One key at `index`.
    pub const fn at(index: i16, flags: &str) -> KeySpec {
        KeySpec::range(index, 0, 1, flags)
    }

    /// Keys from `first` to the last argument.
    pub const fn from(first: i16, flags: &str) -> KeySpec {
        KeySpec::range(first, -1, 1, flags)
    }

    /// Every `step`-th argument from `first` on; `last` as in [`FindKeys::Range`].
    pub const fn range(first: i16, last: i16, step: i16, flags: &str) -> KeySpec {
        KeySpec {
            flags: KeyFlags::of(flags),
            begin: BeginSearch::Index(first),
            find: FindKeys::Range {
                last,
                step,
                limit: 0,
            },
            notes: "",
        }
    }

    /// A count at `num_at` with that many keys after it.
    pub const fn counted(num_at: i16, flags: &str) -> KeySpec {
        KeySpec {
            flags: KeyFlags::of(flags),
            begin: BeginSearch::Index(num_at),
            find: FindKeys::KeyNum {
                num_at: 0,
                first: 1,
                step: 1,
            },
            notes: "",
        }
    }

    /// A count at `num_at` with that many pairs of a key and a value after it.
    pub const fn counted_pairs(num_at: i16, flags: &str) -> KeySpec {
        KeySpec {
            find: FindKeys::KeyNum {
                num_at: 0,
                first: 1,
                step: 2,
            },
            ..KeySpec::counted(num_at, flags)
        }
    }

    /// Keys after `word`; `last` and `limit` as in [`FindKeys::Range`].
    pub const fn after(
        word: &'static str,
        start_from: i16,
        last: i16,
        limit: i16,
        flags: &str,
    ) -> KeySpec {
        KeySpec {
            flags: KeyFlags::of(flags),
            begin: BeginSearch::Keyword { word, start_from },
            find: FindKeys::Range {
                last,
                step: 1,
                limit,
            },
            notes: "",
        }
    }

    /// Keys that only the command itself finds.
    pub const fn unknown(flags: &str) -> KeySpec {
        KeySpec {
            flags: KeyFlags::of(flags),
            begin: BeginSearch::Unknown,
            find: FindKeys::Unknown,
            notes: "",
        }
    }

    /// The same with a remark.
    pub const fn note(mut self, notes: &'static str) -> KeySpec {
        self.notes = notes;
        self
    }

    /// Whether the position depends on more than the number of arguments.
    pub fn is_movable(&self) -> bool {
        !matches!(
            (self.begin, self.find),
            (BeginSearch::Index(_), FindKeys::Range { limit: 0 | 1, .. })
        ) || self.flags.contains(KeyFlags::INCOMPLETE)
    }
}

/// The bits of the blank-separated `words`. Meant for constants: an unknown word panics,
/// which at compile time is a compile error.
const fn parse_words(words: &str, names: &[(&str, u32)]) -> u32 {
    let text = words.as_bytes();
    let mut bits = 0;
    let mut start = 0;
    while start < text.len() {
        let mut end = start;
        while end < text.len() && text[end] != b' ' {
            end += 1;
        }
        let mut i = 0;
        while i < names.len() && !range_is(text, start, end, names[i].0.as_bytes()) {
            i += 1;
        }
        assert!(i < names.len(), "unknown word in a command's declaration");
        bits |= names[i].1;
        start = end + 1;
    }
    bits
}

const fn range_is(text: &[u8], start: usize, end: usize, word: &[u8]) -> bool {
    if end - start != word.len() {
        return false;
    }
    let mut i = 0;
    while i < word.len() {
        if text[start + i] != word[i] {
            return false;
        }
        i += 1;
    }
    true
}

fn words_of(
    bits: u32,
    names: &'static [(&'static str, u32)],
) -> impl Iterator<Item = &'static str> + Clone {
    names
        .iter()
        .filter(move |&&(_, bit)| bits & bit != 0)
        .map(|&(word, _)| word)
}
