//! Lists: the family's table of contents.
//!
//! `ends` holds what pushes, pops and moves, `blocking` what waits for it, `elements` what concerns elements by index or
//! value. Changes of a list go through `edit`.
//!
//! What must stay true: a command's effect names what it took (`LPOP key count`), not where
//! it looked.

mod blocking;
pub mod edit;
mod elements;
pub mod ends;

use super::handler::Handler;
use super::spec::{CommandSpec, Deprecated, Flags, Group, KeySpec};
use crate::protocol::Reply;
use crate::values::packed::Element;

const LIST: CommandSpec = CommandSpec {
    group: Group::List,
    ..CommandSpec::DEFAULT
};

/// Writes an element as a bulk string.
#[inline]
fn bulk(reply: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Int(n) => reply.int_bulk(n),
        Element::Str(bytes) => reply.bulk(bytes),
    }
}

/// The commands of this family.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec {
        name: "lpush",
        since: "1.0.0",
        arity: -3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW insert")],
        syntax: "key element [element ...]",
        summary: "Adds elements in front of a list, creating it if missing.",
        complexity: "O(1) for each element given",
        history: &[("2.4.0", "Several elements.")],
        handler: Handler::Write(ends::lpush),
        ..LIST
    },
    CommandSpec {
        name: "rpush",
        since: "1.0.0",
        arity: -3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW insert")],
        syntax: "key element [element ...]",
        summary: "Adds elements behind a list, creating it if missing.",
        complexity: "O(1) for each element given",
        history: &[("2.4.0", "Several elements.")],
        handler: Handler::Write(ends::rpush),
        ..LIST
    },
    CommandSpec {
        name: "lpushx",
        since: "2.2.0",
        arity: -3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW insert")],
        syntax: "key element [element ...]",
        summary: "Adds elements in front of a list that is there.",
        complexity: "O(1) for each element given",
        history: &[("4.0.0", "Several elements.")],
        handler: Handler::Write(ends::lpushx),
        ..LIST
    },
    CommandSpec {
        name: "rpushx",
        since: "2.2.0",
        arity: -3,
        flags: Flags::of("write denyoom fast"),
        keys: &[KeySpec::at(1, "RW insert")],
        syntax: "key element [element ...]",
        summary: "Adds elements behind a list that is there.",
        complexity: "O(1) for each element given",
        history: &[("4.0.0", "Several elements.")],
        handler: Handler::Write(ends::rpushx),
        ..LIST
    },
    CommandSpec {
        name: "lpop",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW access delete")],
        syntax: "key [count]{@6.2.0}",
        summary: "Takes elements from the front of a list.",
        complexity: "O(N), N being the number of elements returned",
        history: &[("6.2.0", "The count.")],
        handler: Handler::Write(ends::lpop),
        ..LIST
    },
    CommandSpec {
        name: "rpop",
        since: "1.0.0",
        arity: -2,
        flags: Flags::of("write fast"),
        keys: &[KeySpec::at(1, "RW access delete")],
        syntax: "key [count]{@6.2.0}",
        summary: "Takes elements from the back of a list.",
        complexity: "O(N), N being the number of elements returned",
        history: &[("6.2.0", "The count.")],
        handler: Handler::Write(ends::rpop),
        ..LIST
    },
    CommandSpec {
        name: "llen",
        since: "1.0.0",
        arity: 2,
        flags: Flags::of("readonly fast"),
        keys: &[KeySpec::at(1, "RO")],
        syntax: "key",
        summary: "Counts the elements of a list.",
        complexity: "O(1)",
        handler: Handler::Read(elements::llen),
        ..LIST
    },
    CommandSpec {
        name: "lindex",
        since: "1.0.0",
        arity: 3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key index",
        summary: "Gives one element of a list by its index.",
        complexity: "O(N), N being the distance to the nearer end; O(1) for both ends",
        handler: Handler::Read(elements::lindex),
        ..LIST
    },
    CommandSpec {
        name: "lset",
        since: "1.0.0",
        arity: 4,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "RW update")],
        syntax: "key index element",
        summary: "Replaces one element of a list.",
        complexity: "O(N), N being the distance to the nearer end; O(1) for both ends",
        handler: Handler::Write(elements::lset),
        ..LIST
    },
    CommandSpec {
        name: "lrange",
        since: "1.0.0",
        arity: 4,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key start stop",
        summary: "Gives a stretch of a list.",
        complexity: "O(S+N), S being the distance of the start from the nearer end, N the number of elements",
        handler: Handler::Read(elements::lrange),
        ..LIST
    },
    CommandSpec {
        name: "ltrim",
        since: "1.0.0",
        arity: 4,
        flags: Flags::of("write"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key start stop",
        summary: "Removes what lies outside a stretch of a list.",
        complexity: "O(N), N being the number of elements removed",
        handler: Handler::Write(elements::ltrim),
        ..LIST
    },
    CommandSpec {
        name: "lrem",
        since: "1.0.0",
        arity: 4,
        flags: Flags::of("write"),
        keys: &[KeySpec::at(1, "RW delete")],
        syntax: "key count element",
        summary: "Removes equal elements from a list.",
        complexity: "O(N+M), N being the length of the list, M the number of elements removed",
        handler: Handler::Write(elements::lrem),
        ..LIST
    },
    CommandSpec {
        name: "linsert",
        since: "2.2.0",
        arity: 5,
        flags: Flags::of("write denyoom"),
        keys: &[KeySpec::at(1, "RW insert")],
        syntax: "key <BEFORE | AFTER>{where} pivot element",
        summary: "Inserts an element beside another one.",
        complexity: "O(N), N being the distance to the other element",
        handler: Handler::Write(elements::linsert),
        ..LIST
    },
    CommandSpec {
        name: "lpos",
        since: "6.0.6",
        arity: -3,
        flags: Flags::of("readonly"),
        keys: &[KeySpec::at(1, "RO access")],
        syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
        summary: "Finds equal elements in a list.",
        complexity: "O(N), N being the number of elements looked at",
        handler: Handler::Read(elements::lpos),
        ..LIST
    },
    CommandSpec {
        name: "lmove",
        since: "6.2.0",
        arity: 5,
        flags: Flags::of("write denyoom"),
        keys: &[
            KeySpec::at(1, "RW access delete"),
            KeySpec::at(2, "RW insert"),
        ],
        syntax: "source destination <LEFT | RIGHT>{wherefrom} <LEFT | RIGHT>{whereto}",
        summary: "Moves an element from one end of a list to one of another.",
        complexity: "O(1)",
        handler: Handler::Write(ends::lmove),
        ..LIST
    },
    CommandSpec {
        name: "rpoplpush",
        since: "1.2.0",
        arity: 3,
        flags: Flags::of("write denyoom"),
        keys: &[
            KeySpec::at(1, "RW access delete"),
            KeySpec::at(2, "RW insert"),
        ],
        syntax: "source destination",
        summary: "Moves the last element of a list to the front of another.",
        complexity: "O(1)",
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`LMOVE` with the `RIGHT` and `LEFT` arguments",
        }),
        handler: Handler::Write(ends::rpoplpush),
        ..LIST
    },
    CommandSpec {
        name: "lmpop",
        since: "7.0.0",
        arity: -4,
        flags: Flags::of("write"),
        keys: &[KeySpec::counted(1, "RW access delete")],
        syntax: "numkeys key [key ...] <LEFT | RIGHT>{where} [COUNT count]",
        summary: "Takes elements from the first list that has any.",
        complexity: "O(N+M), N being the number of keys, M the number of elements returned",
        handler: Handler::Write(ends::lmpop),
        ..LIST
    },
    CommandSpec {
        name: "blpop",
        since: "2.0.0",
        arity: -3,
        flags: Flags::of("write blocking"),
        keys: &[KeySpec::range(1, -2, 1, "RW access delete")],
        syntax: "key [key ...] timeout{:double}",
        summary: "Takes the first element of the first list that has any, or waits for one.",
        complexity: "O(N), N being the number of keys",
        history: &[("6.0.0", "A timeout with a fraction.")],
        handler: Handler::Write(blocking::blpop),
        ..LIST
    },
    CommandSpec {
        name: "brpop",
        since: "2.0.0",
        arity: -3,
        flags: Flags::of("write blocking"),
        keys: &[KeySpec::range(1, -2, 1, "RW access delete")],
        syntax: "key [key ...] timeout{:double}",
        summary: "Takes the last element of the first list that has any, or waits for one.",
        complexity: "O(N), N being the number of keys",
        history: &[("6.0.0", "A timeout with a fraction.")],
        handler: Handler::Write(blocking::brpop),
        ..LIST
    },
    CommandSpec {
        name: "blmove",
        since: "6.2.0",
        arity: 6,
        flags: Flags::of("write denyoom blocking"),
        keys: &[
            KeySpec::at(1, "RW access delete"),
            KeySpec::at(2, "RW insert"),
        ],
        syntax: "source destination <LEFT | RIGHT>{wherefrom} <LEFT | RIGHT>{whereto} timeout{:double}",
        summary: "Moves an element from one end of a list to one of another, or waits for it.",
        complexity: "O(1)",
        handler: Handler::Write(blocking::blmove),
        ..LIST
    },
    CommandSpec {
        name: "brpoplpush",
        since: "2.2.0",
        arity: 4,
        flags: Flags::of("write denyoom blocking"),
        keys: &[
            KeySpec::at(1, "RW access delete"),
            KeySpec::at(2, "RW insert"),
        ],
        syntax: "source destination timeout{:double}",
        summary: "Moves the last element of a list to the front of another, or waits for it.",
        complexity: "O(1)",
        history: &[("6.0.0", "A timeout with a fraction.")],
        deprecated: Some(Deprecated {
            since: "6.2.0",
            replaced_by: "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
        }),
        handler: Handler::Write(blocking::brpoplpush),
        ..LIST
    },
    CommandSpec {
        name: "blmpop",
        since: "7.0.0",
        arity: -5,
        flags: Flags::of("write blocking"),
        keys: &[KeySpec::counted(2, "RW access delete")],
        syntax: "timeout{:double} numkeys key [key ...] <LEFT | RIGHT>{where} [COUNT count]",
        summary: "Takes elements from the first list that has any, or waits for one.",
        complexity: "O(N+M), N being the number of keys, M the number of elements returned",
        handler: Handler::Write(blocking::blmpop),
        ..LIST
    },
];
