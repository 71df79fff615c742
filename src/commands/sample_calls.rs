//! Calls made up from the `syntax` lines, for tests: ones that follow a command's syntax,
//! and ones that just miss it.
//!
//! The caller chooses: `choose(n)` returns a number below n, from a seeded generator or from
//! a fuzzer's bytes, so that every call can be had again. Keys, fields and values come from
//! small sets, so that calls meet each other's data.

use super::syntax::{Argument, Kind};

/// The arguments after the command's name (and the subcommand's) of one call that follows
/// the syntax. What it means may still be refused: an offset too large, a missing key.
pub fn valid(arguments: &[Argument<'_>], choose: &mut impl FnMut(usize) -> usize) -> Vec<Vec<u8>> {
    let mut call = Call {
        words: Vec::new(),
        count: None,
        keys: 0,
    };
    call.sequence(arguments, choose);
    call.words
}

/// A valid call with one thing wrong, most of the time: a word left out, doubled, replaced,
/// exchanged with its neighbour, or added.
pub fn nearly_valid(
    arguments: &[Argument<'_>],
    choose: &mut impl FnMut(usize) -> usize,
) -> Vec<Vec<u8>> {
    const STRANGE: &[&[u8]] = &[
        b"",
        b"bogus",
        b"-1",
        b"0",
        b"1.5",
        b"nan",
        b" 1",
        b"01",
        b"9223372036854775808",
        b"a\r\nb\0c\xff",
    ];
    let mut words = valid(arguments, choose);
    let strange = STRANGE[choose(STRANGE.len())].to_vec();
    if words.is_empty() {
        return vec![strange];
    }
    let at = choose(words.len());
    match choose(5) {
        0 => drop(words.remove(at)),
        1 => words.insert(at, words[at].clone()),
        2 => words[at] = strange,
        3 => {
            let next = (at + 1) % words.len();
            words.swap(at, next);
        }
        _ => words.push(strange),
    }
    words
}

struct Call {
    words: Vec<Vec<u8>>,
    /// Where a count was written whose repetitions are yet to come.
    count: Option<usize>,
    /// How often the last key was repeated: ids and weights come in the same number.
    keys: usize,
}

impl Call {
    fn sequence(&mut self, arguments: &[Argument<'_>], choose: &mut impl FnMut(usize) -> usize) {
        for argument in arguments {
            if argument.optional && choose(2) == 0 {
                continue;
            }
            let repetitions = match &*argument.name {
                "id" | "weight" if argument.multiple && self.keys > 0 => self.keys,
                _ if argument.multiple => 1 + choose(3),
                _ => 1,
            };
            if argument.kind == Kind::Key {
                self.keys = repetitions;
            }
            if argument.multiple
                && let Some(count) = self.count.take()
            {
                self.words[count] = repetitions.to_string().into_bytes();
            }
            for repetition in 0..repetitions {
                self.one(argument, repetition == 0 || argument.multiple_token, choose);
            }
        }
    }

    fn one(
        &mut self,
        argument: &Argument<'_>,
        with_token: bool,
        choose: &mut impl FnMut(usize) -> usize,
    ) {
        if let Some(token) = argument.token.filter(|_| with_token) {
            self.words.push(spelled(token, choose(4)));
        }
        match argument.kind {
            Kind::PureToken => {}
            Kind::Block => self.sequence(&argument.arguments, choose),
            Kind::OneOf => {
                let chosen = &argument.arguments[choose(argument.arguments.len())];
                // An alternative cannot be left out, whatever it says of itself.
                let chosen = Argument {
                    optional: false,
                    ..chosen.clone()
                };
                self.sequence(&[chosen], choose);
            }
            _ => {
                if matches!(argument.name.as_str(), "numkeys" | "numfields" | "numids") {
                    self.count = Some(self.words.len());
                }
                self.words.push(value(argument, choose));
            }
        }
    }
}

/// A word as it is, or once in a while in lower case.
fn spelled(token: &str, how: usize) -> Vec<u8> {
    match (token, how) {
        ("\"\"", _) => Vec::new(),
        (token, 0) => token.to_ascii_lowercase().into_bytes(),
        (token, _) => token.as_bytes().to_vec(),
    }
}

fn value(argument: &Argument<'_>, choose: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    match (argument.kind, &*argument.name) {
        (Kind::Key, _) => return format!("k{}", choose(4)).into_bytes(),
        (_, "field") => return format!("f{}", choose(5)).into_bytes(),
        (_, "member" | "member1" | "member2") => {
            return format!("m{}", choose(6)).into_bytes();
        }
        _ => {}
    }
    let from = values(argument);
    from[choose(from.len())].as_bytes().to_vec()
}

/// What may stand for an argument: enough to meet each other, to be in order and out of
/// range.
fn values(argument: &Argument<'_>) -> &'static [&'static str] {
    match (argument.kind, &*argument.name) {
        (_, "db" | "destination-db" | "index1" | "index2") => &["0", "1"],
        (_, "cursor") => &["0"],
        // Blocking commands must come back.
        (Kind::Double, "timeout") => &["0.01"],
        (_, "timeout") => &["1"],
        (_, "milliseconds") if argument.token == Some("BLOCK") => &["1"],
        (_, "count") => &["1", "2", "10", "1000", "-3"],
        (_, "limit") => &["0", "1", "2", "100"],
        (_, "seconds" | "milliseconds" | "ttl") => &["1", "100", "1000", "100000", "0", "-1"],
        (Kind::UnixTime, "unix-time-seconds") => &["4102444800", "1"],
        (Kind::UnixTime, _) => &["4102444800000", "1"],
        (_, "element" | "pivot") => &["e0", "e1", "e2", "e3", "1", "-7", "10", ""],
        (_, "index" | "rank") => &["0", "1", "-1", "3", "-100"],
        (Kind::Integer, "start" | "stop" | "end") => &["0", "1", "-1", "3", "-2", "100"],
        (_, "offset") => &["0", "1", "7", "#1", "100", "-1", "9223372036854775807"],
        (_, "bit") => &["0", "1"],
        (Kind::Integer, "value") => &["0", "1"],
        (_, "encoding") => &["u8", "i5", "i64", "u63", "u64"],
        (_, "score") => &["0", "1", "1.5", "-2", "3e3", "inf", "-inf"],
        (Kind::Double, "min" | "max") => &["-inf", "+inf", "0", "(1", "1.5", "3"],
        (_, "min" | "max") => &["-", "+", "[m1", "(m3", "0", "(1", "[", "5"],
        (_, "longitude") => &["13.361389", "-180", "0.5", "181"],
        (_, "latitude") => &["38.115556", "0.25", "-85", "91"],
        (_, "radius" | "width" | "height") => &["1", "200", "20000", "-1"],
        (Kind::String, "id" | "lastid" | "last-id" | "max-deleted-id") => {
            &["1-1", "2-1", "2-2", "3", "0", "5-*", "*", ">", "$"]
        }
        (Kind::String, "start" | "end" | "stop") => &[
            "-", "+", "1-1", "(1-1", "2", "3-0", "0", "1", "-1", "[m1", "(2",
        ],
        (_, "threshold") => &["0", "1", "3", "2-0"],
        (_, "min-idle-time") => &["0", "1", "100000"],
        (_, "group") => &["g0", "g1"],
        (_, "consumer") => &["c0", "c1"],
        (_, "type") => &["string", "hash", "list", "set", "zset", "stream"],
        (Kind::Integer, _) => &["0", "1", "2", "10", "-1", "100", "9223372036854775807"],
        (Kind::Double, _) => &["0", "1.5", "-2.25", "3e3", "0.1"],
        (Kind::Pattern, _) => &["*", "k*", "?1", "[ab]*", "none"],
        _ => &[
            "",
            "0",
            "1",
            "12",
            "abc",
            "a longer string of text",
            "3.0",
            "a string that is too long to be packed with others of its kind, by one",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::syntax::parse;

    fn sample(line: &str, mut seed: u64) -> String {
        let mut choose = |n: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % n
        };
        let arguments = parse(line).expect("the test's own line");
        let words = valid(&arguments, &mut choose);
        nearly_valid(&arguments, &mut choose);
        words
            .iter()
            .map(|w| String::from_utf8_lossy(w).into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn counts_are_right() {
        for seed in 0..200 {
            let call = sample("key <FIELDS numfields field [field ...]>", seed);
            let words: Vec<&str> = call.split(' ').collect();
            assert_eq!(words[2].parse(), Ok(words.len() - 3), "{call}");
            assert!(words[1].eq_ignore_ascii_case("fields"), "{call}");
        }
    }

    #[test]
    fn one_alternative_at_a_time() {
        for seed in 0..200 {
            let call = sample(
                "key [EX seconds | PX milliseconds | KEEPTTL]{expiration}",
                seed,
            );
            assert!(call.split(' ').count() <= 3, "{call}");
        }
    }
}
