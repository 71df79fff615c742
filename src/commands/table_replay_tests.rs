//! The same proof as in `replay_tests`, for every write command of the table by itself: what
//! a command leaves in the log makes another node equal, and what failed left nothing.

use crate::commands::handler::Handler;
use crate::commands::sample_calls;
use crate::commands::spec::CommandSpec;
use crate::commands::syntax;
use crate::commands::table::{self, Command};
use crate::execute::fixture::Fixture;

/// Calls of one sequence.
const LENGTH: usize = 400;
const SEQUENCES: u64 = 40;

struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

fn writes() -> Vec<&'static Command> {
    // MIGRATE and RESTORE need another server, or what DUMP gave.
    const ELSEWHERE: &[&str] = &["migrate", "restore", "restore-asking"];
    let writes = |c: &&Command| matches!(c.spec.handler, Handler::Write(_));
    let known = table::all().iter().filter(writes);
    known
        .filter(|c| !ELSEWHERE.contains(&c.name.as_str()))
        .collect()
}

/// A call whose keys mostly hold what the command works on.
fn call(command: &Command, draw: &mut Draw) -> Vec<Vec<u8>> {
    let spec: &CommandSpec = command.spec;
    let arguments = syntax::parse(spec.syntax).unwrap_or_default();
    let mut choose = |n: usize| draw.below(n);
    let words = if choose(20) == 0 {
        sample_calls::nearly_valid(&arguments, &mut choose)
    } else {
        sample_calls::valid(&arguments, &mut choose)
    };
    let group = spec.group.name().as_bytes();
    let names = command.name.split('|').map(|word| word.as_bytes().to_vec());
    let own = words.into_iter().map(|word| match &word[..] {
        [b'k', digit] if digit.is_ascii_digit() && choose(8) > 0 => {
            [group, b":", &[*digit]].concat()
        }
        _ => word,
    });
    names.chain(own).collect()
}

fn shown(words: &[Vec<u8>]) -> String {
    let words = words.iter().map(|w| format!("\"{}\"", w.escape_ascii()));
    words.collect::<Vec<_>>().join(" ")
}

fn run_sequence(seed: u64) {
    let mut draw = Draw(seed);
    let (mut primary, mut replica) = (Fixture::new(), Fixture::new());
    // The replica's clock runs ahead and must not matter.
    replica.now += 1_000_000;
    let writes = writes();
    let mut history = Vec::new();
    for _ in 0..LENGTH {
        let command = writes[draw.below(writes.len())];
        // These would leave little to look at.
        if matches!(&*command.name, "flushall" | "flushdb" | "swapdb") && draw.below(30) > 0 {
            continue;
        }
        let words = call(command, &mut draw);
        if !command.spec.arity_fits(words.len()) {
            continue;
        }
        primary.now += draw.below(40) as i64;
        let db = draw.below(5) as u32 / 4;
        let before = history.len().saturating_sub(12);
        history.push(shown(&words));
        let outcome = primary.run(db, &words);
        replica.apply(&outcome.effect);
        assert_eq!(
            primary.state(),
            replica.state(),
            "seed {seed}, db {db}, after\n{}\nwhich left {}",
            history[before..].join("\n"),
            outcome.effect_text()
        );
    }
}

#[test]
fn every_write_command_replays() {
    let fixed = std::env::var("LOCKSTEP_SEED").ok();
    if let Some(seed) = fixed.and_then(|seed| seed.parse().ok()) {
        run_sequence(seed);
        return;
    }
    let first = crate::time::unix_micros();
    for seed in (first..).take(SEQUENCES as usize) {
        run_sequence(seed);
    }
}
