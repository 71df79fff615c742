//! `ACL`, as far as it can be true without users: there is one, `default`, who may do
//! everything, and whose password is `requirepass`. Tools ask who they are and what they may
//! do; what would make users or take rights away is not here, and says so as an unknown
//! subcommand.

use crate::commands::handler::Handler;
use crate::commands::spec::{Categories, CommandSpec, Flags};
use crate::commands::table;
use crate::execute::SessionContext;
use crate::number::parse_i64;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::random;
use sha2::{Digest, Sha256};

/// `ACL` and its subcommands.
pub(super) const COMMAND: CommandSpec = CommandSpec {
    name: "acl",
    since: "6.0.0",
    arity: -2,
    summary: "Groups the commands about users and their rights.",
    complexity: "By subcommand",
    handler: Handler::Container,
    subcommands: &[
        CommandSpec {
            name: "cat",
            arity: -2,
            syntax: "[category]",
            summary: "Lists the categories of commands, or the commands of one.",
            handler: Handler::Session(cat),
            ..ABOUT_USERS
        },
        CommandSpec {
            name: "genpass",
            arity: -2,
            syntax: "[bits{:integer}]",
            summary: "Draws a password.",
            handler: Handler::Session(genpass),
            ..ABOUT_USERS
        },
        CommandSpec {
            name: "getuser",
            arity: 3,
            flags: Flags::of("admin noscript loading stale"),
            syntax: "username",
            summary: "Shows what a user may do.",
            complexity: "O(N), N being the rules of the user",
            history: &[
                ("6.2.0", "Patterns of channels."),
                ("7.0.0", "Selectors, and patterns as rules."),
            ],
            handler: Handler::Session(getuser),
            ..ABOUT_USERS
        },
        CommandSpec {
            name: "help",
            flags: Flags::of("loading stale"),
            summary: "Lists the subcommands.",
            handler: Handler::Session(help),
            ..ABOUT_USERS
        },
        CommandSpec {
            name: "list",
            flags: Flags::of("admin noscript loading stale"),
            summary: "Shows the rules of all users.",
            complexity: "O(N), N being the users",
            handler: Handler::Session(list),
            ..ABOUT_USERS
        },
        CommandSpec {
            name: "users",
            flags: Flags::of("admin noscript loading stale"),
            summary: "Lists the users.",
            complexity: "O(N), N being the users",
            handler: Handler::Session(users),
            ..ABOUT_USERS
        },
        CommandSpec {
            name: "whoami",
            summary: "Tells the name of the connection's user.",
            handler: Handler::Session(whoami),
            ..ABOUT_USERS
        },
    ],
    ..super::SERVER
};

const ABOUT_USERS: CommandSpec = CommandSpec {
    since: "6.0.0",
    arity: 2,
    flags: Flags::of("noscript loading stale"),
    complexity: "O(1)",
    ..super::SERVER
};

/// SHA-256 of the password, as Redis keeps passwords; nothing without one.
fn password_hash(context: &SessionContext<'_>) -> Option<String> {
    let config = context.server.config.current();
    let digest = Sha256::digest(config.requirepass.as_ref()?);
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// As Redis answers a wrong number of arguments here.
fn wrong_form(args: Args<'_>) -> WireError {
    WireError::quoting(
        "ERR unknown subcommand or wrong number of arguments for '",
        args.at(1),
        "'. Try ACL HELP.",
    )
}

/// The only user.
const USER: &str = "default";

fn whoami(_: &mut SessionContext<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    reply.bulk_str(USER);
    Ok(())
}

fn users(_: &mut SessionContext<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    reply.array(1);
    reply.bulk_str(USER);
    Ok(())
}

fn list(
    context: &mut SessionContext<'_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let login = match password_hash(context) {
        None => "nopass sanitize-payload".to_owned(),
        Some(hash) => format!("sanitize-payload #{hash}"),
    };
    reply.array(1);
    reply.bulk_str(&format!("user {USER} on {login} ~* &* +@all"));
    Ok(())
}

fn getuser(
    context: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    if args.at(2) != USER.as_bytes() {
        reply.null();
        return Ok(());
    }
    let hash = password_hash(context);
    reply.map(6);
    reply.bulk_str("flags");
    let flags = [Some("on"), hash.is_none().then_some("nopass")];
    let flags = flags.into_iter().flatten().chain(["sanitize-payload"]);
    reply.set(flags.clone().count());
    flags.for_each(|flag| reply.bulk_str(flag));
    reply.bulk_str("passwords");
    reply.array(usize::from(hash.is_some()));
    if let Some(hash) = &hash {
        reply.bulk_str(hash);
    }
    for (name, rules) in [("commands", "+@all"), ("keys", "~*"), ("channels", "&*")] {
        reply.bulk_str(name);
        reply.bulk_str(rules);
    }
    reply.bulk_str("selectors");
    reply.array(0);
    Ok(())
}

fn cat(_: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    match args.len() {
        2 => {
            let names = Categories::all().names();
            reply.array(names.clone().count());
            names.for_each(|name| reply.bulk_str(name));
        }
        3 => {
            let category = Categories::by_name(args.at(2))
                .ok_or_else(|| WireError::quoting("ERR Unknown category '", args.at(2), "'"))?;
            // A container is in the categories of its subcommands only.
            let commands = table::all().iter().filter(|command| {
                command.categories.intersects(category) && command.subcommands().is_empty()
            });
            reply.array(commands.clone().count());
            commands.for_each(|command| reply.bulk_str(&command.name));
        }
        _ => return Err(wrong_form(args)),
    }
    Ok(())
}

fn genpass(
    _: &mut SessionContext<'_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let bits = match args.len() {
        2 => 256,
        3 => parse_i64(args.at(2)).ok_or(errors::NOT_AN_INTEGER)?,
        _ => return Err(wrong_form(args)),
    };
    if !(1..=4096).contains(&bits) {
        return Err(WireError::fixed(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a \
             positive number up to 4096",
        ));
    }
    let digits = (bits as usize).div_ceil(4);
    let mut password = String::with_capacity(digits + 40);
    while password.len() < digits {
        password.push_str(&random::hex40());
    }
    password.truncate(digits);
    reply.bulk_str(&password);
    Ok(())
}

fn help(_: &mut SessionContext<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Result<(), WireError> {
    reply.help("ACL", HELP);
    Ok(())
}

const HELP: &[&str] = &[
    "CAT [<category>]",
    "    List the categories of commands, or the commands of one.",
    "GENPASS [<bits>]",
    "    Draw a password of so many bits (256).",
    "GETUSER <username>",
    "    Show what a user may do.",
    "LIST",
    "    Show the rules of all users: there is one, and it may do everything.",
    "USERS",
    "    List the users.",
    "WHOAMI",
    "    Tell the name of this connection's user.",
];
