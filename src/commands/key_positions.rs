//! Which arguments of a request are keys.
//!
//! Dispatch asks [`only_key`] and [`for_each_key`] before a handler runs, to lock the right
//! shards: they take what can be found and leave complaints to the handler. `COMMAND GETKEYS`
//! asks [`extract`], which refuses a request whose keys do not add up, as Redis does.

use super::spec::{BeginSearch, CommandSpec, FindKeys, Flags, KeyFlags, KeySpec};
use crate::protocol::{Args, WireError};

/// A key's argument index, and what the command does to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAt {
    /// Into the request, whose 0 is the command's name.
    pub index: usize,
    /// As declared, or as the arguments decide.
    pub flags: KeyFlags,
}

/// Why a request's keys could not be named; the texts of `COMMAND GETKEYS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The command never takes keys.
    NoKeys,
    /// Too few or too many arguments.
    WrongArity,
    /// The arguments contradict each other.
    Invalid,
}

impl From<KeyError> for WireError {
    fn from(error: KeyError) -> WireError {
        WireError::fixed(match error {
            KeyError::NoKeys => "ERR The command has no key arguments",
            KeyError::WrongArity => "ERR Invalid number of arguments specified for command",
            KeyError::Invalid => "ERR Invalid arguments specified for command",
        })
    }
}

/// The key of a command that takes exactly one, at a fixed place. `None` sends the caller
/// to [`for_each_key`].
#[inline]
pub fn only_key<'a>(spec: &CommandSpec, args: Args<'a>) -> Option<&'a [u8]> {
    match spec.keys {
        [
            KeySpec {
                begin: BeginSearch::Index(index),
                find: FindKeys::Range { last: 0, .. },
                ..
            },
        ] => args.get(*index as usize),
        _ => None,
    }
}

/// Calls `visit` with each key of a request, as far as they can be made out: a run that
/// does not add up is left out, for the handler to refuse. A key may come more than once.
pub fn for_each_key<'a>(spec: &CommandSpec, args: Args<'a>, mut visit: impl FnMut(&'a [u8])) {
    for key in spec.keys {
        if let Ok(Some(run)) = run(key, args) {
            run.for_each(|index| visit(args.at(index)));
        }
    }
}

/// The keys of a request with what would be done to each.
///
/// # Errors
/// If the command takes no keys, or the arguments do not fit.
pub fn extract(spec: &CommandSpec, args: Args<'_>) -> Result<Vec<KeyAt>, KeyError> {
    if spec.keys.is_empty() {
        return Err(KeyError::NoKeys);
    }
    if !spec.arity_fits(args.len()) {
        return Err(KeyError::WrongArity);
    }
    let mandatory = !spec.flags.contains(Flags::NO_MANDATORY_KEYS);
    let mut found = Vec::new();
    for key in spec.keys {
        match run(key, args) {
            Ok(Some(run)) => found.extend(run.map(|index| KeyAt {
                index,
                flags: key.flags,
            })),
            Ok(None) => {}
            Err(error) if mandatory => return Err(error),
            Err(_) => return Ok(Vec::new()),
        }
    }
    if spec.name == "sort"
        && let Some(at) = (2..args.len() - 1).rev().find(|i| args.is(*i, "store"))
    {
        // The keyword may stand anywhere; the last one counts.
        found.push(KeyAt {
            index: at + 1,
            flags: KeyFlags::of("OW update"),
        });
    }
    if found.is_empty() && mandatory {
        return Err(KeyError::Invalid);
    }
    // `MIGRATE` names its keys at the end if the one in its place is empty.
    let optional_run = |key: &KeySpec| matches!(key.begin, BeginSearch::Keyword { .. });
    if found.len() > 1 && spec.keys.len() > 1 && spec.keys.iter().any(optional_run) {
        found.retain(|key| !args.at(key.index).is_empty());
    }
    if let Some(decide) = spec.key_flags {
        let flags = decide(args);
        found.iter_mut().for_each(|key| key.flags = flags);
    }
    Ok(found)
}

/// The indexes of one run of keys; `None` if its keyword does not occur.
fn run(key: &KeySpec, args: Args<'_>) -> Result<Option<impl Iterator<Item = usize>>, KeyError> {
    let argc = args.len() as i64;
    let Some(begin) = begin(key.begin, args) else {
        return Ok(None);
    };
    let (first, last, step) = match key.find {
        FindKeys::Range { last, step, limit } => {
            let last = match (last, limit) {
                (0.., _) => begin + i64::from(last),
                (_, 0 | 1) => argc + i64::from(last),
                (_, part) => begin + (argc - begin) / i64::from(part) + i64::from(last),
            };
            (begin, last, step)
        }
        FindKeys::KeyNum {
            num_at,
            first,
            step,
        } => {
            let count = usize::try_from(begin + i64::from(num_at))
                .ok()
                .and_then(|at| args.get(at))
                .and_then(leading_number)
                .filter(|&count| count >= 0)
                .ok_or(KeyError::Invalid)?;
            let first = begin + i64::from(first);
            (
                first,
                first + (i64::from(count) - 1) * i64::from(step),
                step,
            )
        }
        FindKeys::Unknown => return Ok(None),
    };
    if first < 1 || first >= argc || last < first || last >= argc {
        return Err(KeyError::Invalid);
    }
    Ok(Some(
        (first as usize..=last as usize).step_by(step as usize),
    ))
}

/// The number at the beginning of a text: Redis looks for keys more leniently than the
/// commands read their arguments.
fn leading_number(text: &[u8]) -> Option<i32> {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    let end = digits.iter().position(|b| !b.is_ascii_digit());
    let digits = &digits[..end.unwrap_or(digits.len())];
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The index at which a run begins.
fn begin(search: BeginSearch, args: Args<'_>) -> Option<i64> {
    match search {
        BeginSearch::Index(index) => Some(i64::from(index)),
        BeginSearch::Keyword { word, start_from } => {
            let from = usize::from(start_from.unsigned_abs());
            let found = if start_from >= 0 {
                (from..args.len()).find(|&i| args.is(i, word))
            } else {
                let from = (args.len() + 1).saturating_sub(from);
                (1..from).rev().find(|&i| args.is(i, word))
            };
            found.map(|i| i as i64 + 1)
        }
        BeginSearch::Unknown => None,
    }
}

/// What SET does to its key: with `GET` it reads as well.
pub fn set_key_flags(args: Args<'_>) -> KeyFlags {
    if (3..args.len()).any(|i| args.is(i, "get")) {
        KeyFlags::of("RW access update")
    } else {
        KeyFlags::of("OW update")
    }
}

/// The old first/last/step triple: the runs at fixed positions that touch each other,
/// taken as one. All 0 if there is none.
pub fn legacy_range(keys: &[KeySpec]) -> (i64, i64, i64) {
    let mut whole = (0, 0, 0);
    for key in keys {
        let (BeginSearch::Index(first), FindKeys::Range { last, step, .. }) = (key.begin, key.find)
        else {
            continue;
        };
        let (first, step) = (i64::from(first), i64::from(step));
        let last = if last < 0 {
            i64::from(last)
        } else {
            first + i64::from(last)
        };
        if whole.0 == 0 {
            whole = (first, last, step);
        } else if whole.1 >= 0 && first == whole.1 + 1 && step == whole.2 {
            whole.1 = last;
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::OwnedArgs;

    fn spec(arity: i8, keys: &'static [KeySpec]) -> CommandSpec {
        CommandSpec {
            name: "test",
            arity,
            keys,
            ..CommandSpec::DEFAULT
        }
    }

    /// The keys of `line`, as GETKEYS would name them.
    fn keys(spec: &CommandSpec, line: &str) -> Result<String, KeyError> {
        let args = OwnedArgs::of(line.split(' '));
        let args = args.view();
        let found = extract(spec, args)?;
        // What dispatch locks is the same, by its own way.
        let mut locked = Vec::new();
        for_each_key(spec, args, |key| locked.push(key));
        let named: Vec<&[u8]> = found.iter().map(|key| args.at(key.index)).collect();
        assert_eq!(named, locked, "{line}");
        Ok(String::from_utf8_lossy(&named.join(&b' ')).into_owned())
    }

    #[test]
    fn fixed_positions() {
        let one = spec(2, const { &[KeySpec::at(1, "RO")] });
        assert_eq!(keys(&one, "get a"), Ok("a".into()));
        assert_eq!(keys(&one, "get"), Err(KeyError::WrongArity));
        let all = spec(-2, const { &[KeySpec::from(1, "RO")] });
        assert_eq!(keys(&all, "del a b c"), Ok("a b c".into()));
        let pairs = spec(-3, const { &[KeySpec::range(1, -1, 2, "OW")] });
        assert_eq!(keys(&pairs, "mset a 1 b 2"), Ok("a b".into()));
        let all_but_one = spec(-3, const { &[KeySpec::range(1, -2, 1, "RW")] });
        assert_eq!(keys(&all_but_one, "blpop a b 0"), Ok("a b".into()));
        let two = spec(-3, const { &[KeySpec::at(1, "RO"), KeySpec::at(2, "OW")] });
        assert_eq!(keys(&two, "copy a b REPLACE"), Ok("a b".into()));
        assert_eq!(keys(&spec(1, &[]), "ping"), Err(KeyError::NoKeys));
    }

    #[test]
    fn positions_that_arguments_decide() {
        let counted = spec(-3, const { &[KeySpec::counted(1, "RO")] });
        assert_eq!(keys(&counted, "zunion 2 a b WITHSCORES"), Ok("a b".into()));
        assert_eq!(keys(&counted, "zunion 2x a b c"), Ok("a b".into()));
        for bad in ["zunion 2 a", "zunion 0 a", "zunion x a", "zunion -1 a"] {
            assert_eq!(keys(&counted, bad), Err(KeyError::Invalid), "{bad}");
        }
        let pairs = spec(-4, const { &[KeySpec::counted_pairs(1, "OW")] });
        assert_eq!(keys(&pairs, "msetex 2 a 1 b 2 NX"), Ok("a b".into()));
        let streams = spec(-4, const { &[KeySpec::after("STREAMS", 1, -1, 2, "RO")] });
        assert_eq!(
            keys(&streams, "xread COUNT 3 streams a b 1 2"),
            Ok("a b".into())
        );
        assert_eq!(keys(&streams, "xread a b c d"), Err(KeyError::Invalid));
        let last = spec(
            -3,
            const {
                &[
                    KeySpec::at(1, "RW"),
                    KeySpec::after("KEYS", -2, -1, 0, "RW"),
                ]
            },
        );
        assert_eq!(keys(&last, "migrate a KEYS b c"), Ok("a b c".into()));
    }

    #[test]
    fn a_run_that_does_not_fit_is_left_to_the_handler() {
        let merge = spec(
            -2,
            const { &[KeySpec::at(1, "RW"), KeySpec::from(2, "RO")] },
        );
        let args = OwnedArgs::of(["pfmerge", "d"]);
        let mut locked = 0;
        for_each_key(&merge, args.view(), |_| locked += 1);
        assert_eq!(locked, 1);
        assert_eq!(extract(&merge, args.view()), Err(KeyError::Invalid));
    }

    #[test]
    fn set_reads_only_when_asked() {
        let args = OwnedArgs::of(["set", "k", "get"]);
        assert_eq!(set_key_flags(args.view()), KeyFlags::of("OW update"));
        let args = OwnedArgs::of(["set", "k", "v", "EX", "1", "get"]);
        assert_eq!(set_key_flags(args.view()), KeyFlags::of("RW access update"));
    }
}
