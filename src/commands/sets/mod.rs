//! Sets: the family's table of contents.
//!
//! `members` holds what concerns one set, `random` what draws from it, `combine` what several
//! sets make together. Changes of a set go through `edit`.
//!
//! What must stay true: the effect of a draw is its outcome (`SREM`, or `DEL` when nothing is
//! left); everything else is its own effect.

mod combine;
mod edit;
mod members;
mod random;
mod texts;

use super::handler::Handler;
use super::spec::{CommandSpec, Flags, Group, KeySpec};
use crate::protocol::Reply;
use crate::values::packed::Element;

const SET: CommandSpec = CommandSpec {
    group: Group::Set,
    ..CommandSpec::DEFAULT
};

/// The keys of a command that stores what it makes of others.
const STORE: &[KeySpec] = &[KeySpec::at(1, "OW update"), KeySpec::from(2, "RO access")];

/// Writes a member as a bulk string.
#[inline]
fn bulk(reply: &mut Reply<'_>, member: Element<'_>) {
    match member {
        Element::Int(n) => reply.int_bulk(n),
        Element::Str(bytes) => reply.bulk(bytes),
    }
}

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "sadd",
        since: "1.0.0",
        arity: -3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW insert")],
        syntax: "key member [member ...]",
        summary: "Adds members to a set, creating it if missing.",
        complexity: "O(1) for each member given",
        history: &[("2.4.0", "Several members.")],
        handler: Handler::Write(members::sadd),
        ..SET
    },
    CommandSpec {
        name: "srem",
        since: "1.0.0",
        arity: -3,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key member [member ...]",
        summary: "Removes members from a set.",
        complexity: "O(1) for each member given",
        history: &[("2.4.0", "Several members.")],
        handler: Handler::Write(members::srem),
        ..SET
    },
    CommandSpec {
        name: "sismember",
        since: "1.0.0",
        arity: 3,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO")],
        syntax: "key member",
        summary: "Tells whether something is a member of a set.",
        complexity: "O(1)",
        handler: Handler::Read(members::sismember),
        ..SET
    },
    CommandSpec {
        name: "smismember",
        since: "6.2.0",
        arity: -3,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key member [member ...]",
        summary: "Tells for several things whether they are members of a set.",
        complexity: "O(1) for each member asked for",
        handler: Handler::Read(members::smismember),
        ..SET
    },
    CommandSpec {
        name: "scard",
        since: "1.0.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO")],
        syntax: "key",
        summary: "Counts the members of a set.",
        complexity: "O(1)",
        handler: Handler::Read(members::scard),
        ..SET
    },
    CommandSpec {
        name: "smembers",
        since: "1.0.0",
        arity: 2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key",
        summary: "Lists the members of a set.",
        complexity: "O(N), N being the number of members",
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(members::smembers),
        ..SET
    },
    CommandSpec {
        name: "spop",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW access delete")],
        syntax: "key [count{@3.2.0}]",
        summary: "Removes members drawn at random and returns them.",
        complexity: "O(1) for each member drawn",
        history: &[("3.2.0", "`count`.")],
        tips: &["nondeterministic_output"],
        handler: Handler::Write(random::spop),
        ..SET
    },
    CommandSpec {
        name: "srandmember",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key [count{@2.6.0}]",
        summary: "Returns members drawn at random.",
        complexity: "O(1) for each member drawn",
        history: &[("2.6.0", "`count`.")],
        tips: &["nondeterministic_output"],
        handler: Handler::Read(random::srandmember),
        ..SET
    },
    CommandSpec {
        name: "smove",
        since: "1.0.0",
        arity: 4,
        flags: Flags::of("write fast"),
        keys: &[
            KeySpec::at(1, "RW access delete"),
            KeySpec::at(2, "RW insert"),
        ],
        syntax: "source destination member",
        summary: "Moves a member from one set to another.",
        complexity: "O(1)",
        handler: Handler::Write(members::smove),
        ..SET
    },
    CommandSpec {
        name: "sinter",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::from(1, "RO access")],
        syntax: "key [key ...]",
        summary: "Lists the members that several sets have in common.",
        complexity: "O(N*M), N being the size of the smallest set and M the number of sets",
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(combine::sinter),
        ..SET
    },
    CommandSpec {
        name: "sintercard",
        since: "7.0.0",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::counted(1, "RO access")],
        syntax: "numkeys key [key ...] [LIMIT limit]",
        summary: "Counts the members that several sets have in common.",
        complexity: "O(N*M), N being the size of the smallest set and M the number of sets",
        handler: Handler::Read(combine::sintercard),
        ..SET
    },
    CommandSpec {
        name: "sinterstore",
        since: "1.0.0",
        arity: -3,
        flags: Flags::of("write denyoom"),
        keys: STORE,
        syntax: "destination key [key ...]",
        summary: "Stores the members that several sets have in common.",
        complexity: "O(N*M), N being the size of the smallest set and M the number of sets",
        handler: Handler::Write(combine::sinterstore),
        ..SET
    },
    CommandSpec {
        name: "sunion",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::from(1, "RO access")],
        syntax: "key [key ...]",
        summary: "Lists the members that at least one of several sets has.",
        complexity: "O(N), N being the members of all the sets",
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(combine::sunion),
        ..SET
    },
    CommandSpec {
        name: "sunionstore",
        since: "1.0.0",
        arity: -3,
        flags: Flags::of("write denyoom"),
        keys: STORE,
        syntax: "destination key [key ...]",
        summary: "Stores the members that at least one of several sets has.",
        complexity: "O(N), N being the members of all the sets",
        handler: Handler::Write(combine::sunionstore),
        ..SET
    },
    CommandSpec {
        name: "sdiff",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::from(1, "RO access")],
        syntax: "key [key ...]",
        summary: "Lists the members of a set that none of the others has.",
        complexity: "O(N), N being the members of all the sets",
        tips: &["nondeterministic_output_order"],
        handler: Handler::Read(combine::sdiff),
        ..SET
    },
    CommandSpec {
        name: "sdiffstore",
        since: "1.0.0",
        arity: -3,
        flags: Flags::of("write denyoom"),
        keys: STORE,
        syntax: "destination key [key ...]",
        summary: "Stores the members of a set that none of the others has.",
        complexity: "O(N), N being the members of all the sets",
        handler: Handler::Write(combine::sdiffstore),
        ..SET
    },
    CommandSpec {
        name: "sscan",
        since: "2.8.0",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key cursor [MATCH pattern] [COUNT count]",
        summary: "Walks over the members of a set.",
        complexity: "O(1) for each call, O(N) for a whole walk, N being the number of members",
        tips: &["nondeterministic_output"],
        handler: Handler::Read(members::sscan),
        ..SET
    },
];
