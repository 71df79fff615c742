//! COMMAND: the command table, told to clients.
//!
//! Every reply is written from the declarations, in the shapes of Redis 8.2 for RESP2 and
//! RESP3; only the prose (summaries, notes, what changed when) is ours.

use super::handler::Handler;
use super::key_positions::{self, KeyAt, KeyError};
use super::renames;
use super::spec::{
    Acl, BeginSearch, Categories, CommandSpec, FindKeys, Flags, Group, KeyFlags, KeySpec,
};
use super::syntax::{self, Argument};
use super::table::{self, Command};
use crate::execute::SessionContext;
use crate::glob;
use crate::protocol::{Args, Reply, WireError, errors};

const SERVER: CommandSpec = CommandSpec {
    group: Group::Server,
    acl: Acl::and("connection"),
    ..CommandSpec::DEFAULT
};

/// COMMAND and its subcommands.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec {
    name: "command",
    since: "2.8.13",
    arity: -1,
    flags: Flags::of("loading stale"),
    summary: "Describes all commands.",
    complexity: "O(N), N being the number of commands",
    tips: &["nondeterministic_output_order"],
    handler: Handler::Session(command),
    subcommands: &[
        CommandSpec {
            name: "count",
            since: "2.8.13",
            arity: 2,
            flags: Flags::of("loading stale"),
            summary: "Counts the commands.",
            complexity: "O(1)",
            handler: Handler::Session(command_count),
            ..SERVER
        },
        CommandSpec {
            name: "info",
            since: "2.8.13",
            arity: -2,
            flags: Flags::of("loading stale"),
            syntax: "[command-name [command-name ...]]",
            summary: "Describes commands.",
            complexity: "O(N), N being the number of commands asked for",
            history: &[("7.0.0", "Without names: all commands.")],
            tips: &["nondeterministic_output_order"],
            handler: Handler::Session(command_info),
            ..SERVER
        },
        CommandSpec {
            name: "docs",
            since: "7.0.0",
            arity: -2,
            flags: Flags::of("loading stale"),
            syntax: "[command-name [command-name ...]]",
            summary: "Gives the documentation of commands.",
            complexity: "O(N), N being the number of commands asked for",
            tips: &["nondeterministic_output_order"],
            handler: Handler::Session(command_docs),
            ..SERVER
        },
        CommandSpec {
            name: "list",
            since: "7.0.0",
            arity: -2,
            flags: Flags::of("loading stale"),
            syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN \
                         pattern>]",
            summary: "Lists the names of commands.",
            complexity: "O(N), N being the number of commands",
            tips: &["nondeterministic_output_order"],
            handler: Handler::Session(command_list),
            ..SERVER
        },
        CommandSpec {
            name: "getkeys",
            since: "2.8.13",
            arity: -3,
            flags: Flags::of("loading stale"),
            syntax: "command [arg [arg ...]]",
            summary: "Finds the keys in a command line.",
            complexity: "O(N), N being the number of arguments",
            handler: Handler::Session(command_getkeys),
            ..SERVER
        },
        CommandSpec {
            name: "getkeysandflags",
            since: "7.0.0",
            arity: -3,
            flags: Flags::of("loading stale"),
            syntax: "command [arg [arg ...]]",
            summary: "Finds the keys in a command line and what would be done to them.",
            complexity: "O(N), N being the number of arguments",
            handler: Handler::Session(command_getkeysandflags),
            ..SERVER
        },
        CommandSpec {
            name: "help",
            since: "5.0.0",
            arity: 2,
            flags: Flags::of("loading stale"),
            summary: "Lists the subcommands.",
            complexity: "O(1)",
            handler: Handler::Session(command_help),
            ..SERVER
        },
    ],
    ..SERVER
}];

/// `COMMAND`
fn command(
    _: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    write_all_info(reply);
    Ok(())
}

/// `COMMAND COUNT`
fn command_count(
    _: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.int(table::top_level().count() as i64);
    Ok(())
}

/// `COMMAND INFO [name ...]`
fn command_info(
    _: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.len() == 2 {
        write_all_info(reply);
        return Ok(());
    }
    reply.array(args.len() - 2);
    for name in args.from(2) {
        match renames::by_full_name(name) {
            Some(command) => write_info(reply, command),
            None => reply.null(),
        }
    }
    Ok(())
}

/// `COMMAND DOCS [name ...]`
fn command_docs(
    _: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let chosen: Vec<&Command> = if args.len() == 2 {
        table::top_level().collect()
    } else {
        args.from(2).filter_map(renames::by_full_name).collect()
    };
    reply.map(chosen.len());
    for command in chosen {
        reply.bulk_str(&command.name);
        write_docs(reply, command);
    }
    Ok(())
}

/// `COMMAND LIST [FILTERBY <MODULE name | ACLCAT category | PATTERN pattern>]`
fn command_list(
    _: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let chosen: Vec<&Command> = if args.len() == 2 {
        table::all().iter().collect()
    } else if args.len() != 5 || !args.is(2, "filterby") {
        return Err(errors::SYNTAX);
    } else if args.is(3, "module") {
        Vec::new()
    } else if args.is(3, "aclcat") {
        let category = Categories::by_name(args.at(4)).unwrap_or(Categories::empty());
        let belongs = |command: &&Command| command.categories.intersects(category);
        table::all().iter().filter(belongs).collect()
    } else if args.is(3, "pattern") {
        let pattern = args.at(4).to_ascii_lowercase();
        let matches = |command: &&Command| glob::matches(&pattern, command.name.as_bytes(), false);
        table::all().iter().filter(matches).collect()
    } else {
        return Err(errors::SYNTAX);
    };
    reply.array(chosen.len());
    for command in chosen {
        reply.bulk_str(&command.name);
    }
    Ok(())
}

/// `COMMAND GETKEYS command [arg ...]`
fn command_getkeys(
    _: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let call = args.skip(2);
    let keys = keys_of(call)?;
    reply.array(keys.len());
    for key in keys {
        reply.bulk(call.at(key.index));
    }
    Ok(())
}

/// `COMMAND GETKEYSANDFLAGS command [arg ...]`
fn command_getkeysandflags(
    _: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let call = args.skip(2);
    let keys = keys_of(call)?;
    reply.array(keys.len());
    for key in keys {
        reply.array(2);
        reply.bulk(call.at(key.index));
        write_words(reply, key.flags.names());
    }
    Ok(())
}

/// `COMMAND HELP`
fn command_help(
    _: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    reply.help(
        "COMMAND",
        &[
            "(no subcommand)",
            "    Describe all commands.",
            "COUNT",
            "    Count the commands.",
            "LIST [FILTERBY MODULE|ACLCAT|PATTERN <value>]",
            "    List the names of the commands.",
            "INFO [<command-name> ...]",
            "    Describe the named commands, or all.",
            "DOCS [<command-name> ...]",
            "    Give the documentation of the named commands, or of all.",
            "GETKEYS <full-command>",
            "    Find the keys in a command line.",
            "GETKEYSANDFLAGS <full-command>",
            "    Find the keys in a command line and what would be done to them.",
        ],
    );
    Ok(())
}

fn keys_of(call: Args<'_>) -> Result<Vec<KeyAt>, WireError> {
    let unknown = |_| WireError::fixed("ERR Invalid command specified");
    let command = table::find(call).map_err(unknown)?;
    // Channels of shards have the places of keys in the table, for routing only.
    let no_key = |key: &KeySpec| key.flags.contains(KeyFlags::NOT_KEY);
    if !command.spec.keys.is_empty() && command.spec.keys.iter().all(no_key) {
        return Err(KeyError::NoKeys.into());
    }
    Ok(key_positions::extract(command.spec, call)?)
}

fn write_all_info(reply: &mut Reply<'_>) {
    reply.array(table::top_level().count());
    for command in table::top_level() {
        write_info(reply, command);
    }
}

/// The ten fields that clients build their own command tables from.
fn write_info(reply: &mut Reply<'_>, command: &Command) {
    let spec = command.spec;
    let (first, last, step) = key_positions::legacy_range(spec.keys);
    reply.array(10);
    reply.bulk_str(&command.name);
    reply.int(i64::from(spec.arity));
    write_words(reply, command.flags.shown());
    reply.int(first);
    reply.int(last);
    reply.int(step);
    write_categories(reply, command.categories);
    reply.set(spec.tips.len());
    for tip in spec.tips {
        reply.bulk_str(tip);
    }
    reply.set(spec.keys.len());
    for key in spec.keys {
        write_key_spec(reply, key);
    }
    let subcommands = command.subcommands();
    if subcommands.is_empty() {
        reply.set(0);
    } else {
        reply.array(subcommands.len());
    }
    for sub in subcommands {
        write_info(reply, sub);
    }
}

fn write_categories(reply: &mut Reply<'_>, categories: Categories) {
    reply.set(categories.names().count());
    for name in categories.names() {
        reply.simple(&format!("@{name}"));
    }
}

fn write_words(reply: &mut Reply<'_>, words: impl Iterator<Item = &'static str> + Clone) {
    reply.set(words.clone().count());
    for word in words {
        reply.simple(word);
    }
}

fn write_key_spec(reply: &mut Reply<'_>, key: &KeySpec) {
    reply.map(3 + usize::from(!key.notes.is_empty()));
    if !key.notes.is_empty() {
        write_text(reply, "notes", key.notes);
    }
    reply.bulk_str("flags");
    write_words(reply, key.flags.names());
    reply.bulk_str("begin_search");
    match key.begin {
        BeginSearch::Index(index) => write_search(reply, "index", &[("index", index)]),
        BeginSearch::Keyword { word, start_from } => {
            reply.map(2);
            write_text(reply, "type", "keyword");
            reply.bulk_str("spec");
            reply.map(2);
            write_text(reply, "keyword", word);
            reply.bulk_str("startfrom");
            reply.int(i64::from(start_from));
        }
        BeginSearch::Unknown => write_search(reply, "unknown", &[]),
    }
    reply.bulk_str("find_keys");
    match key.find {
        FindKeys::Range { last, step, limit } => write_search(
            reply,
            "range",
            &[("lastkey", last), ("keystep", step), ("limit", limit)],
        ),
        FindKeys::KeyNum {
            num_at,
            first,
            step,
        } => write_search(
            reply,
            "keynum",
            &[
                ("keynumidx", num_at),
                ("firstkey", first),
                ("keystep", step),
            ],
        ),
        FindKeys::Unknown => write_search(reply, "unknown", &[]),
    }
}

fn write_search(reply: &mut Reply<'_>, kind: &str, numbers: &[(&str, i16)]) {
    reply.map(2);
    write_text(reply, "type", kind);
    reply.bulk_str("spec");
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.bulk_str(name);
        reply.int(i64::from(*number));
    }
}

fn write_text(reply: &mut Reply<'_>, name: &str, text: &str) {
    reply.bulk_str(name);
    reply.bulk_str(text);
}

fn write_docs(reply: &mut Reply<'_>, command: &Command) {
    let spec = command.spec;
    // A declaration that does not parse is found by the tests of `table`.
    let arguments = syntax::parse(spec.syntax).unwrap_or_default();
    let subcommands = command.subcommands();
    let has_flags = spec.deprecated.is_some() || spec.syscmd;
    reply.map(
        3 + usize::from(!spec.complexity.is_empty())
            + usize::from(has_flags)
            + 2 * usize::from(spec.deprecated.is_some())
            + usize::from(!spec.history.is_empty())
            + usize::from(!arguments.is_empty())
            + usize::from(!subcommands.is_empty()),
    );
    write_text(reply, "summary", spec.summary);
    write_text(reply, "since", spec.since);
    write_text(reply, "group", spec.group.name());
    if !spec.complexity.is_empty() {
        write_text(reply, "complexity", spec.complexity);
    }
    if has_flags {
        reply.bulk_str("doc_flags");
        let deprecated = spec.deprecated.map(|_| "deprecated");
        let syscmd = spec.syscmd.then_some("syscmd");
        write_words(reply, deprecated.into_iter().chain(syscmd));
    }
    if let Some(deprecated) = spec.deprecated {
        write_text(reply, "deprecated_since", deprecated.since);
        write_text(reply, "replaced_by", deprecated.replaced_by);
    }
    if !spec.history.is_empty() {
        reply.bulk_str("history");
        reply.set(spec.history.len());
        for (version, change) in spec.history {
            reply.array(2);
            reply.bulk_str(version);
            reply.bulk_str(change);
        }
    }
    if !arguments.is_empty() {
        reply.bulk_str("arguments");
        write_arguments(reply, &arguments);
    }
    if !subcommands.is_empty() {
        reply.bulk_str("subcommands");
        reply.map(subcommands.len());
        for sub in subcommands {
            reply.bulk_str(&sub.name);
            write_docs(reply, sub);
        }
    }
}

fn write_arguments(reply: &mut Reply<'_>, arguments: &[Argument<'_>]) {
    reply.array(arguments.len());
    for argument in arguments {
        write_argument(reply, argument);
    }
}

fn write_argument(reply: &mut Reply<'_>, argument: &Argument<'_>) {
    let flags = [
        argument.optional.then_some("optional"),
        argument.multiple.then_some("multiple"),
        argument.multiple_token.then_some("multiple_token"),
    ];
    let flags = flags.into_iter().flatten();
    let texts = [
        (
            "token",
            argument
                .token
                .map(|token| if token == "\"\"" { "" } else { token }),
        ),
        ("since", argument.since),
        ("deprecated_since", argument.deprecated_since),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(name, text)| Some((name, text?)));
    reply.map(
        2 + usize::from(argument.display.is_some())
            + usize::from(argument.key_spec.is_some())
            + texts.clone().count()
            + usize::from(flags.clone().next().is_some())
            + usize::from(!argument.arguments.is_empty()),
    );
    write_text(reply, "name", &argument.name);
    write_text(reply, "type", argument.kind.name());
    if let Some(display) = &argument.display {
        write_text(reply, "display_text", display);
    }
    if let Some(index) = argument.key_spec {
        reply.bulk_str("key_spec_index");
        reply.int(i64::from(index));
    }
    for (name, text) in texts {
        write_text(reply, name, text);
    }
    if flags.clone().next().is_some() {
        reply.bulk_str("flags");
        write_words(reply, flags);
    }
    if !argument.arguments.is_empty() {
        reply.bulk_str("arguments");
        write_arguments(reply, &argument.arguments);
    }
}
