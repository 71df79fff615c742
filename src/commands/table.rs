//! The one table of commands: found by name on the way of every request.
//!
//! Built once, at first use, from the slices that the families declare, and never changed
//! afterwards. A lookup hashes a few bytes of the name, allocates nothing and takes no lock.

use super::spec::{Categories, CommandSpec, Flags};
use crate::protocol::{Args, WireError, errors};
use std::ops::Range;
use std::sync::LazyLock;

/// The families, in the order of the documentation's chapters.
static FAMILIES: &[&[CommandSpec]] = &[
    super::strings::COMMANDS,
    super::hashes::COMMANDS,
    super::lists::COMMANDS,
    super::sets::COMMANDS,
    super::sorted_sets::COMMANDS,
    super::geo::COMMANDS,
    super::streams::COMMANDS,
    super::bitmaps::COMMANDS,
    super::hyperloglog::COMMANDS,
    super::generic::COMMANDS,
    super::sort::COMMANDS,
    super::expire::COMMANDS,
    super::databases::COMMANDS,
    super::introspection::COMMANDS,
    super::connection::COMMANDS,
    super::pubsub::COMMANDS,
    super::replication::COMMANDS,
    super::transactions::COMMANDS,
    super::scripting::COMMANDS,
    super::server::COMMANDS,
    super::persistence::COMMANDS,
    super::cluster::COMMANDS,
    super::transfer::COMMANDS,
];

/// A declared command with what follows from the declaration.
#[derive(Debug)]
pub struct Command {
    /// What the family declared.
    pub spec: &'static CommandSpec,
    /// The name in full, lower case: `client|setname` for a subcommand.
    pub name: String,
    /// Dense and stable while the process runs: the place in [`all`]. For counters.
    pub id: usize,
    /// `spec.all_flags()`.
    pub flags: Flags,
    /// `spec.categories()`.
    pub categories: Categories,
    /// The container, for a subcommand.
    pub parent: Option<usize>,
    /// The subcommands, in [`all`].
    children: Range<usize>,
}

impl Command {
    /// The subcommands, in the order of declaration.
    pub fn subcommands(&self) -> &'static [Command] {
        &all()[self.children.clone()]
    }

    /// The subcommand called `word`, ASCII case aside.
    pub fn subcommand(&self, word: &[u8]) -> Option<&'static Command> {
        self.subcommands()
            .iter()
            .find(|sub| sub.spec.name.as_bytes().eq_ignore_ascii_case(word))
    }
}

/// Every command, each followed by its subcommands.
pub fn all() -> &'static [Command] {
    &TABLE.commands
}

/// The commands that are not subcommands.
pub fn top_level() -> impl Iterator<Item = &'static Command> {
    all().iter().filter(|command| command.parent.is_none())
}

/// The command called `name`, ASCII case aside; subcommands are not found here.
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    let table = &*TABLE;
    let mut slot = fold(name) as usize & table.mask;
    loop {
        let command = table.commands.get(usize::from(table.slots[slot]))?;
        if command.spec.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(command);
        }
        slot = (slot + 1) & table.mask;
    }
}

/// The command or subcommand with the full name `name` (`client|setname`).
pub fn by_full_name(name: &[u8]) -> Option<&'static Command> {
    match name.iter().position(|&byte| byte == b'|') {
        None => lookup(name),
        Some(bar) => lookup(&name[..bar])?.subcommand(&name[bar + 1..]),
    }
}

/// The command that `args` calls: a subcommand where the command has any and one is named.
///
/// # Errors
/// If there is no such command or subcommand. The arity is not looked at.
#[inline]
pub fn find(args: Args<'_>) -> Result<&'static Command, WireError> {
    let command = lookup(args.at(0)).ok_or_else(|| unknown_command(args))?;
    match args.get(1) {
        Some(word) if !command.children.is_empty() => command
            .subcommand(word)
            .ok_or_else(|| unknown_subcommand(command.spec, args)),
        _ => Ok(command),
    }
}

/// The declaration of the command that `args` calls, with a fitting number of arguments.
///
/// # Errors
/// As [`find`], or for a wrong number of arguments.
#[inline]
pub fn resolve(args: Args<'_>) -> Result<&'static CommandSpec, WireError> {
    let command = find(args)?;
    if command.spec.arity_fits(args.len()) {
        Ok(command.spec)
    } else {
        Err(errors::wrong_arity(&command.name))
    }
}

/// How much of what the client sent an error repeats, in bytes.
const QUOTED_MAX: usize = 128;

/// The error for a command that does not exist.
#[cold]
pub fn unknown_command(args: Args<'_>) -> WireError {
    let mut beginning = Vec::new();
    for arg in args.from(1) {
        if beginning.len() >= QUOTED_MAX {
            break;
        }
        let room = QUOTED_MAX - beginning.len();
        beginning.push(b'\'');
        beginning.extend_from_slice(quoted(arg, room));
        beginning.extend_from_slice(b"' ");
    }
    let name = quoted(args.at(0), QUOTED_MAX);
    let parts: [&[u8]; 4] = [
        b"ERR unknown command '",
        name,
        b"', with args beginning with: ",
        &beginning,
    ];
    WireError::from_bytes(parts.concat())
}

/// The error for a container called with a subcommand that it has not.
#[cold]
pub fn unknown_subcommand(container: &CommandSpec, args: Args<'_>) -> WireError {
    let word = quoted(args.get(1).unwrap_or_default(), QUOTED_MAX);
    let parent = container.name.to_ascii_uppercase();
    let parts: [&[u8]; 5] = [
        b"ERR unknown subcommand '",
        word,
        b"'. Try ",
        parent.as_bytes(),
        b" HELP.",
    ];
    WireError::from_bytes(parts.concat())
}

/// The part of `text` that an error repeats: Redis prints it as a C string.
fn quoted(text: &[u8], max: usize) -> &[u8] {
    let text = &text[..text.len().min(max)];
    &text[..text
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(text.len())]
}

struct Table {
    commands: Vec<Command>,
    /// Open addressing with linear probing: indexes of top-level commands, or [`EMPTY`].
    slots: Box<[u16]>,
    mask: usize,
}

const EMPTY: u16 = u16::MAX;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut commands = Vec::new();
    for spec in FAMILIES.iter().copied().flatten() {
        let parent = commands.len();
        let children = parent + 1..parent + 1 + spec.subcommands.len();
        commands.push(command(spec, spec.name.to_owned(), parent, None, children));
        for sub in spec.subcommands {
            let id = commands.len();
            let name = format!("{}|{}", spec.name, sub.name);
            commands.push(command(sub, name, id, Some(parent), id..id));
        }
    }
    let size = (commands.len() * 4).next_power_of_two();
    let mask = size - 1;
    let mut slots = vec![EMPTY; size].into_boxed_slice();
    for command in commands.iter().filter(|command| command.parent.is_none()) {
        let mut slot = fold(command.name.as_bytes()) as usize & mask;
        while slots[slot] != EMPTY {
            slot = (slot + 1) & mask;
        }
        slots[slot] = command.id as u16;
    }
    Table {
        commands,
        slots,
        mask,
    }
});

fn command(
    spec: &'static CommandSpec,
    name: String,
    id: usize,
    parent: Option<usize>,
    children: Range<usize>,
) -> Command {
    Command {
        spec,
        name,
        id,
        flags: spec.all_flags(),
        categories: spec.categories(),
        parent,
        children,
    }
}

/// A hash of the length and up to sixteen bytes at both ends, the same for upper and lower
/// case. Who floods it with names of one hash finds short probe chains: nothing is added.
#[inline]
fn fold(name: &[u8]) -> u64 {
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let len = name.len();
    let (head, tail) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(head), Some(tail)) => (
                u64::from(u32::from_le_bytes(*head)),
                u64::from(u32::from_le_bytes(*tail)),
            ),
            _ => match *name {
                [] => (0, 0),
                [a] => (u64::from(a), 0),
                [a, b] => (u64::from(a), u64::from(b)),
                [a, b, ..] => (u64::from(a), u64::from(b) << 8 | u64::from(name[len - 1])),
            },
        },
    };
    let mixed = ((head | LOWER) ^ (len as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (tail | LOWER).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::handler::Handler;
    use crate::commands::spec::{KeyFlags, KeySpec};
    use crate::commands::syntax::{self, Argument, Kind};
    use crate::protocol::OwnedArgs;
    use std::collections::HashSet;

    fn error(words: &[&[u8]]) -> String {
        match resolve(OwnedArgs::of(words).view()) {
            Ok(spec) => format!("found {}", spec.name),
            Err(error) => error.text().into_owned(),
        }
    }

    #[test]
    fn every_command_is_found_under_its_name() {
        let mut seen = HashSet::new();
        for command in all() {
            assert!(seen.insert(command.name.as_str()), "{} twice", command.name);
            assert_eq!(command.name, command.name.to_ascii_lowercase());
            assert_eq!(all()[command.id].name, command.name);
            for name in [command.name.clone(), command.name.to_ascii_uppercase()] {
                let found = by_full_name(name.as_bytes()).map(|found| found.id);
                assert_eq!(found, Some(command.id), "{name}");
            }
        }
    }

    #[test]
    fn names_that_do_not_exist() {
        for name in [
            "",
            "x",
            "comman",
            "commandx",
            "command|coun",
            "no such",
            "c\u{f8}mmand",
        ] {
            assert!(by_full_name(name.as_bytes()).is_none(), "{name}");
        }
        assert!(lookup(b"command|count").is_none());
        assert!(lookup(&[b'a'; 100_000]).is_none());
    }

    #[test]
    fn error_texts() {
        let beginning = "ERR unknown command 'foo', with args beginning with: ";
        assert_eq!(error(&[b"foo"]), beginning);
        assert_eq!(error(&[b"foo", b"a", b"b"]), format!("{beginning}'a' 'b' "));
        let x = "x".repeat(200);
        let long = format!("{beginning}'{}' ", &x[..128]);
        assert_eq!(error(&[b"foo", x.as_bytes(), b"b"]), long);
        let cut = format!("{beginning}'{}' 'bbbbb' ", &x[..120]);
        assert_eq!(
            error(&[b"foo", &x.as_bytes()[..120], b"bbbbbbbb", b"c"]),
            cut
        );
        assert_eq!(
            error(&[b"command", b"fo\0o"]),
            "ERR unknown subcommand 'fo'. Try COMMAND HELP."
        );
        assert_eq!(
            error(&[b"COMMAND", b"COUNT", b"x"]),
            "ERR wrong number of arguments for 'command|count' command"
        );
    }

    /// The least and the most words that follow the command's name; `None`: no bound.
    fn bounds(arguments: &[Argument<'_>]) -> (usize, Option<usize>) {
        arguments
            .iter()
            .fold((0, Some(0)), |(least, most), argument| {
                let token = usize::from(argument.token.is_some());
                let (low, high) = match argument.kind {
                    Kind::PureToken => (0, Some(0)),
                    Kind::Block => bounds(&argument.arguments),
                    Kind::OneOf => {
                        // An alternative cannot be left out, whatever it says of itself.
                        let each = argument.arguments.iter().map(|one| {
                            bounds(&[Argument {
                                optional: false,
                                ..one.clone()
                            }])
                        });
                        (
                            each.clone().map(|b| b.0).min().unwrap_or(0),
                            each.map(|b| b.1).try_fold(0, |m, b| Some(m.max(b?))),
                        )
                    }
                    _ => (1, Some(1)),
                };
                let least = if argument.optional {
                    least
                } else {
                    least + low + token
                };
                let most = match (most, high) {
                    (Some(most), Some(high)) if !argument.multiple => Some(most + high + token),
                    _ => None,
                };
                (least, most)
            })
    }

    #[test]
    fn arity_agrees_with_the_syntax() {
        // Containers are called with a subcommand, and these take words that Redis does not
        // document, or fewer than it documents.
        const UNDOCUMENTED: &[&str] = &["debug", "psync", "replconf"];
        for command in all() {
            if !command.children.is_empty() || UNDOCUMENTED.contains(&command.name.as_str()) {
                continue;
            }
            let spec = command.spec;
            let tree = syntax::parse(spec.syntax)
                .unwrap_or_else(|error| panic!("{}: {error}", command.name));
            let (least, most) = bounds(&tree);
            let names = 1 + usize::from(command.parent.is_some());
            let given = usize::from(spec.arity.unsigned_abs()) - names;
            if spec.arity > 0 {
                assert_eq!((given, Some(given)), (least, most), "{}", command.name);
            } else {
                assert!(given <= least, "{}: {given} {least}", command.name);
                assert!(most.is_none_or(|most| most >= given), "{}", command.name);
            }
        }
    }

    fn count_keys(arguments: &[Argument<'_>]) -> usize {
        let count = |argument: &Argument<'_>| {
            usize::from(argument.key_spec.is_some()) + count_keys(&argument.arguments)
        };
        arguments.iter().map(count).sum()
    }

    #[test]
    fn keys_agree_with_the_syntax_and_the_flags() {
        for command in all() {
            let spec = command.spec;
            let tree = syntax::parse(spec.syntax).unwrap_or_default();
            let name = &command.name;
            // Shard channels are routed like keys, and the syntax does not call them so.
            let routed = |key: &&KeySpec| !key.flags.contains(KeyFlags::NOT_KEY);
            let keys = spec.keys.iter().filter(routed).count();
            assert_eq!(count_keys(&tree) == 0, keys == 0, "{name}");
            let writes = KeyFlags::of("RW OW RM update insert delete");
            for key in spec.keys {
                let writing = key.flags.intersects(writes);
                // What it may write is no data: PFCOUNT notes its count.
                let may_write = Flags::WRITE.union(Flags::MAY_REPLICATE);
                assert!(!writing || command.flags.intersects(may_write), "{name}");
                let varies = key.flags.contains(KeyFlags::VARIABLE_FLAGS);
                assert_eq!(varies, spec.key_flags.is_some(), "{name}");
            }
        }
    }

    #[test]
    fn flags_agree_with_the_handler() {
        for command in all() {
            let (flags, name) = (command.spec.flags, &command.name);
            assert!(!flags.contains(Flags::WRITE | Flags::READONLY), "{name}");
            assert!(
                !flags.contains(Flags::MOVABLEKEYS),
                "{name}: derived, not declared"
            );
            match command.spec.handler {
                Handler::Read(_) => assert!(!flags.contains(Flags::WRITE), "{name}"),
                Handler::Write(_) => {
                    // A read that may wait is a write that changes nothing.
                    let may_write = Flags::WRITE | Flags::MAY_REPLICATE | Flags::BLOCKING;
                    assert!(flags.intersects(may_write), "{name}");
                }
                Handler::Session(_) => assert!(!flags.contains(Flags::DENYOOM), "{name}"),
                Handler::Container => assert!(!command.children.is_empty(), "{name}"),
            }
        }
    }

    #[test]
    fn everything_is_described() {
        for command in all() {
            let (spec, name) = (command.spec, &command.name);
            assert!(
                spec.summary.ends_with('.') && spec.summary.len() < 100,
                "{name}"
            );
            let mut parts = spec.since.split('.');
            assert!(
                parts.clone().count() == 3 && parts.all(|p| p.parse::<u8>().is_ok()),
                "{name}"
            );
            for sub in spec.subcommands {
                assert!(sub.subcommands.is_empty(), "{name}|{}", sub.name);
            }
        }
    }
}
