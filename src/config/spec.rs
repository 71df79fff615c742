//! What is declared of an option.

use bitflags::bitflags;

bitflags! {
    /// What may be done with an option, and what it is good for.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u8 {
        /// Fixed once the server has started.
        const IMMUTABLE = 1;
        /// Its value is not to be logged.
        const SENSITIVE = 1 << 1;
        /// `CONFIG SET` refuses it unless `enable-protected-configs` says otherwise.
        const PROTECTED = 1 << 2;
        /// `CONFIG GET` shows it only when it is named in full.
        const HIDDEN = 1 << 3;
        /// Stored and reported, without effect in Lockstep.
        const INERT = 1 << 4;
    }
}

/// How an option's arguments are read and printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// An integer.
    Number {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
        /// Whether Redis keeps it in a signed type; only the error texts differ.
        signed: bool,
    },
    /// Bytes, with units: `k` and `kb` of 1000 and 1024 and so on.
    Memory {
        /// The least number of bytes.
        min: i64,
        /// Whether Redis keeps it in a signed type; only the error texts differ.
        signed: bool,
    },
    /// Bytes, or a percentage of `maxmemory`.
    MemoryOrPercent,
    /// The name of a locale.
    Locale,
    /// File permissions.
    Octal,
    /// Any bytes.
    Text,
    /// A name without a slash; the word is what the error text calls it.
    FileName(&'static str),
    /// An existing folder.
    Dir,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any number of words.
    Words,
    /// `<seconds> <changes>` pairs.
    Save,
    /// `<class> <hard> <soft> <seconds>` quadruples.
    OutputLimits,
    /// Three adjustments.
    OomValues,
    /// Numbers from 0 to 100.
    Percentiles,
    /// Classes of keyspace events.
    Events,
    /// `<host> <port>` or `no one`.
    ReplicaOf,
    /// Words out of `default save nosave now force`.
    Shutdown,
    /// Text with known `{variables}`.
    TitleTemplate,
    /// Letters, digits, hyphens and dots.
    Hostname,
}

impl Kind {
    /// Whether several arguments may follow the option's name.
    pub fn takes_many(self) -> bool {
        matches!(
            self,
            Kind::Words
                | Kind::Save
                | Kind::OutputLimits
                | Kind::OomValues
                | Kind::Percentiles
                | Kind::ReplicaOf
                | Kind::Shutdown
        )
    }
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// The name under which it is rewritten.
    pub name: &'static str,
    /// Older or other names for it.
    pub aliases: &'static [&'static str],
    /// How its arguments are read.
    pub kind: Kind,
    /// The default, as it would stand in a file.
    pub default: &'static str,
    /// What may be done with it.
    pub flags: Flags,
    /// What it does, in a line; of an inert one, why it does nothing.
    pub help: &'static str,
}

impl Spec {
    /// An option that works and may be set at any time.
    pub const fn new(name: &'static str, kind: Kind, default: &'static str) -> Spec {
        Spec {
            name,
            aliases: &[],
            kind,
            default,
            flags: Flags::empty(),
            help: "",
        }
    }

    /// With other names.
    pub const fn alias(mut self, aliases: &'static [&'static str]) -> Spec {
        self.aliases = aliases;
        self
    }

    /// With these flags, in addition.
    pub const fn flags(mut self, flags: Flags) -> Spec {
        self.flags = self.flags.union(flags);
        self
    }

    /// With this help.
    pub const fn help(mut self, help: &'static str) -> Spec {
        self.help = help;
        self
    }

    /// The name or alias that `name` is, ASCII case aside.
    pub fn spelled(&self, name: &[u8]) -> Option<&'static str> {
        std::iter::once(self.name)
            .chain(self.aliases.iter().copied())
            .find(|own| own.as_bytes().eq_ignore_ascii_case(name))
    }
}
