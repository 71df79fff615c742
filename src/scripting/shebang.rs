//! The first line of a script or library: `#!lua flags=no-writes,allow-oom`.

use crate::protocol::{WireError, split_quoted};

bitflags::bitflags! {
    /// What a script or function says of itself.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ScriptFlags: u32 {
        /// It does not write.
        const NO_WRITES = 1;
        /// It runs when memory is full.
        const ALLOW_OOM = 1 << 1;
        /// It runs on a replica whose link is down.
        const ALLOW_STALE = 1 << 2;
        /// It does not run in a cluster.
        const NO_CLUSTER = 1 << 3;
        /// Its keys may be in several slots.
        const ALLOW_CROSS_SLOT = 1 << 4;
    }
}

impl ScriptFlags {
    /// The flags by their names, in the order in which they are listed.
    pub const NAMES: [(&'static str, ScriptFlags); 5] = [
        ("no-writes", ScriptFlags::NO_WRITES),
        ("allow-oom", ScriptFlags::ALLOW_OOM),
        ("allow-stale", ScriptFlags::ALLOW_STALE),
        ("no-cluster", ScriptFlags::NO_CLUSTER),
        ("allow-cross-slot-keys", ScriptFlags::ALLOW_CROSS_SLOT),
    ];

    /// The flag of this name.
    pub fn by_name(name: &[u8]) -> Option<ScriptFlags> {
        let mut names = Self::NAMES.iter();
        names
            .find(|(own, _)| own.as_bytes() == name)
            .map(|(_, flag)| *flag)
    }
}

/// What the first line declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shebang {
    /// Whether there is such a line. Without one a script is judged command by command.
    pub declared: bool,
    /// The flags.
    pub flags: ScriptFlags,
}

impl Shebang {
    /// What a script's first line declares.
    ///
    /// # Errors
    /// In Redis's words, for an engine, option or flag that does not exist.
    pub fn of_script(body: &[u8]) -> Result<Shebang, WireError> {
        if !body.starts_with(b"#!") {
            return Ok(Shebang::default());
        }
        let Some(end) = body.iter().position(|byte| *byte == b'\n') else {
            return Err(WireError::fixed("ERR Invalid script shebang"));
        };
        let words = split_quoted(&body[..end]).filter(|words| !words.is_empty());
        let Some(words) = words else {
            return Err(WireError::fixed("ERR Invalid engine in script shebang"));
        };
        let (engine, words) = (&*words[0], &words[1..]);
        if engine != b"#!lua" {
            return Err(WireError::quoting(
                "ERR Unexpected engine in script shebang: ",
                engine,
                "",
            ));
        }
        let mut flags = ScriptFlags::empty();
        for word in words {
            let Some(list) = word.strip_prefix(b"flags=") else {
                return Err(WireError::quoting(
                    "ERR Unknown lua shebang option: ",
                    word,
                    "",
                ));
            };
            for name in list
                .split(|byte| *byte == b',')
                .filter(|_| !list.is_empty())
            {
                flags |= ScriptFlags::by_name(name).ok_or_else(|| {
                    WireError::quoting("ERR Unexpected flag in script shebang: ", name, "")
                })?;
            }
        }
        Ok(Shebang {
            declared: true,
            flags,
        })
    }
}

/// The first line of a library: `#!lua name=mylib`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryHead {
    /// The language.
    pub engine: Box<[u8]>,
    /// The library's name.
    pub name: Box<[u8]>,
}

impl LibraryHead {
    /// What a library's first line declares.
    ///
    /// # Errors
    /// In Redis's words.
    pub fn of(code: &[u8]) -> Result<LibraryHead, WireError> {
        let Some(rest) = code.strip_prefix(b"#!") else {
            return Err(WireError::fixed("ERR Missing library metadata"));
        };
        let line = memchr::memchr(b'\n', code).and_then(|end| split_quoted(&code[..end]));
        let Some(words) = line else {
            return Err(WireError::fixed("ERR Invalid library metadata"));
        };
        let mut name: Option<Box<[u8]>> = None;
        for word in words.iter().skip(1) {
            let given = word
                .split_at_checked(5)
                .filter(|(key, _)| key.eq_ignore_ascii_case(b"name="));
            match given {
                Some(_) if name.is_some() => {
                    return Err(WireError::fixed(
                        "ERR Invalid metadata value, name argument was given multiple times",
                    ));
                }
                Some((_, value)) => name = Some(value.into()),
                None => {
                    let text = "ERR Invalid metadata value given: ";
                    return Err(WireError::quoting(text, word, ""));
                }
            }
        }
        let end = rest.iter().position(u8::is_ascii_whitespace);
        Ok(LibraryHead {
            engine: rest[..end.unwrap_or(rest.len())].into(),
            name: name.ok_or(WireError::fixed("ERR Library name was not given"))?,
        })
    }
}

/// Whether this may be the name of a library or function.
pub fn is_name(name: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && name.iter().all(fits)
}
