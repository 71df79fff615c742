//! Which keys a script can touch, as far as its text proves it.
//!
//! Most scripts are a few calls of the form `redis.call('SET', KEYS[1], ...)`. Of such a
//! script it is certain that it touches the keys it was given and no others, so that only
//! their shards need to be locked for it; for every other script it is the whole database.
//!
//! What must stay true: a text is accepted only if `redis` and `KEYS` appear in it nowhere
//! but in calls of that form, and nothing in it can reach them by another name or compile
//! another text. Comments and literals are not told from code: what stands in them can make
//! a text be refused, but not accepted, as the form of a call is the same wherever it begins.

use crate::commands::handler::{Handler, Scope};
use crate::commands::spec::{BeginSearch, CommandSpec, FindKeys};
use crate::commands::table;
use memchr::memmem;

/// Whether the script touches no keys but those in `KEYS`.
pub fn touches_only_its_keys(body: &[u8]) -> bool {
    if OTHER_WAYS
        .iter()
        .any(|word| memmem::find(body, word).is_some())
    {
        return false;
    }
    let mut keys_in_calls = 0;
    for at in memmem::find_iter(body, b"redis") {
        match (Scan { rest: &body[at..] }).call() {
            Some(keys) => keys_in_calls += keys,
            None => return false,
        }
    }
    memmem::find_iter(body, b"KEYS").count() == keys_in_calls
}

/// Words with which a script may come to its globals or run another text, and the other name
/// of `redis`.
const OTHER_WAYS: [&[u8]; 5] = [b"server", b"_G", b"load", b"getfenv", b"setfenv"];

/// A place in the text.
struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// Reads `redis.call('NAME', KEYS[1]` and says how many keys there are in it. All
    /// arguments that the command takes as keys must be there.
    fn call(&mut self) -> Option<usize> {
        self.word(b"redis.")?;
        self.word(b"pcall").or_else(|| self.word(b"call"))?;
        self.spaces();
        self.word(b"(")?;
        self.spaces();
        let name = self.literal()?;
        let to_the_end = keys_of(table::lookup(name)?.spec)?;
        let mut keys = 0;
        loop {
            self.spaces();
            if self.word(b")").is_some() {
                break;
            }
            self.word(b",")?;
            if keys > 0 && !to_the_end {
                break;
            }
            self.spaces();
            self.key()?;
            keys += 1;
        }
        Some(keys)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn spaces(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    /// A text of letters in quotes.
    fn literal(&mut self) -> Option<&'a [u8]> {
        let (quote, rest) = self.rest.split_first()?;
        if !matches!(quote, b'\'' | b'"') {
            return None;
        }
        let end = rest.iter().position(|byte| !byte.is_ascii_alphabetic())?;
        let (name, rest) = rest.split_at(end);
        self.rest = rest.strip_prefix(&[*quote])?;
        Some(name)
    }

    /// `KEYS[1]`.
    fn key(&mut self) -> Option<()> {
        self.word(b"KEYS[")?;
        let end = self.rest.iter().position(|byte| !byte.is_ascii_digit())?;
        self.rest = &self.rest[end..];
        self.word(b"]")
    }
}

/// Whether all arguments of the command are keys; `None` if its keys are not its first
/// argument or all of them, or if it may touch more than they say.
fn keys_of(spec: &CommandSpec) -> Option<bool> {
    let runs = matches!(spec.handler, Handler::Read(_) | Handler::Write(_));
    if !runs || spec.scope != Scope::Keys {
        return None;
    }
    let [keys] = spec.keys else { return None };
    match (keys.begin, keys.find) {
        (BeginSearch::Index(1), FindKeys::Range { last: 0, .. }) => Some(false),
        (
            BeginSearch::Index(1),
            FindKeys::Range {
                last: -1,
                step: 1,
                limit: 0 | 1,
            },
        ) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::touches_only_its_keys;

    #[test]
    fn texts_that_name_their_keys_are_accepted() {
        for text in [
            "return redis.call('SET', KEYS[1], ARGV[1])",
            "return redis.call( \"set\" ,\n KEYS[12]\t,ARGV[1], 'EX', 3)",
            "if redis.call('get',KEYS[1])==ARGV[1] then return redis.pcall('del',KEYS[1],KEYS[2]) \
             else return 0 end",
            "local n = redis.call('INCR', KEYS[1]) if n == 1 then \
             redis.call('EXPIRE', KEYS[1], ARGV[1]) end return n",
            "return 1",
        ] {
            assert!(touches_only_its_keys(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn texts_that_may_touch_others_are_refused() {
        for text in [
            "return redis.call('SET', ARGV[1], KEYS[1])",
            "return redis.call('SET', KEYS[1] .. 'x', 1)",
            "return redis.call('SET', KEYS[ARGV[1]], 1)",
            "return redis.call('DEL', KEYS[1], ARGV[1])",
            "return redis.call('DEL', unpack(KEYS))",
            "return redis.call('MSET', KEYS[1], ARGV[1], 'other', 1)",
            "return redis.call('SORT', KEYS[1], 'BY', 'w_*')",
            "return redis.call('RENAME', KEYS[1], KEYS[2])",
            "return redis.call('DBSIZE')",
            "return server.call('GET', 'x')",
            "return redis.call('EVAL', KEYS[1], 0)",
            "return redis.call('S' .. 'ET', KEYS[1])",
            "return redis.call(ARGV[1], KEYS[1])",
            "return redis.call('SET\\n', KEYS[1])",
            "return redis['call']('SET', KEYS[1], 1)",
            "local r = redis return r.call('SET', 'x', 1)",
            "local redis = {} return redis.call('SET', KEYS[1])",
            "KEYS[1] = 'x' return redis.call('SET', KEYS[1], 1)",
            "local KEYS = ARGV return redis.call('SET', KEYS[1], 1)",
            "table.insert(KEYS, 1, 'x') return redis.call('GET', KEYS[1])",
            "return _G['re' .. 'dis'].call('GET', 'x')",
            "return loadstring('return 1')()",
            "return redis.call",
            "return redis.call('GET', KEYS[1",
        ] {
            assert!(!touches_only_its_keys(text.as_bytes()), "{text}");
        }
    }
}
