//! Random commands from the server's own command table, for as many connections as wanted.
//!
//! What a connection sends depends on its seed alone. How connections interleave does not,
//! so that a failure replays best with one connection.

use lockstep::commands::sample_calls;
use lockstep::commands::spec::{Flags, Group};
use lockstep::commands::syntax;
use lockstep::commands::table::{self, Command};
use lockstep::protocol::OwnedArgs;
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A seeded generator.
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        Draw(seed)
    }

    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// The seed of a run: `LOCKSTEP_SEED`, or one from the clock. It is printed.
pub fn seed() -> u64 {
    let given = std::env::var("LOCKSTEP_SEED").ok();
    let seed = given.and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.as_micros() as u64)
    });
    println!("replay with LOCKSTEP_SEED={seed}");
    seed
}

/// How long to go on: a few seconds, or the share of a soak.
pub fn duration(seconds: u64) -> Duration {
    let minutes = std::env::var("SOAK_MINUTES").ok();
    match minutes.and_then(|minutes| minutes.parse::<u64>().ok()) {
        Some(minutes) => Duration::from_secs(minutes * 60 / 4),
        None => Duration::from_secs(seconds),
    }
}

/// The commands about keys and values that one server can execute by itself.
fn commands() -> Vec<&'static Command> {
    const NOT_HERE: &[&str] = &["migrate", "restore", "restore-asking", "wait", "waitaof"];
    let about_data = |c: &&Command| {
        matches!(
            c.spec.group,
            Group::Bitmap
                | Group::Generic
                | Group::Geo
                | Group::Hash
                | Group::HyperLogLog
                | Group::List
                | Group::Set
                | Group::SortedSet
                | Group::Stream
                | Group::String
        )
    };
    let callable = |c: &&Command| c.subcommands().is_empty();
    let known = table::all().iter().filter(about_data).filter(callable);
    known
        .filter(|c| !NOT_HERE.contains(&c.name.as_str()))
        .collect()
}

/// A sequence of requests.
pub struct Requests {
    draw: Draw,
    reads: Vec<&'static Command>,
    writes: Vec<&'static Command>,
}

impl Requests {
    pub fn new(seed: u64) -> Self {
        let (writes, reads) = commands()
            .into_iter()
            .partition(|c| c.flags.contains(Flags::WRITE));
        Requests {
            draw: Draw::new(seed),
            reads,
            writes,
        }
    }

    /// A few requests that belong together; mostly one.
    pub fn next(&mut self) -> Vec<Vec<Vec<u8>>> {
        let word = |text: &str| text.as_bytes().to_vec();
        match self.draw.below(100) {
            0 => return vec![vec![word("FLUSHDB")]],
            1 => return vec![vec![word("SWAPDB"), word("0"), word("1")]],
            2..6 => {
                let db = self.draw.below(2).to_string();
                return vec![vec![word("SELECT"), word(&db)]];
            }
            6..20 => {
                let mut all = vec![vec![word("MULTI")]];
                all.extend((0..=self.draw.below(5)).map(|_| self.one()));
                let ends = ["EXEC", "EXEC", "EXEC", "DISCARD"];
                all.push(vec![word(ends[self.draw.below(ends.len())])]);
                return all;
            }
            20..26 => return vec![self.script()],
            26..28 => return vec![self.restore()],
            _ => {}
        }
        vec![self.one()]
    }

    /// A script that writes, by chance, and sometimes fails half-way.
    fn script(&mut self) -> Vec<Vec<u8>> {
        let text = SCRIPTS[self.draw.below(SCRIPTS.len())];
        let groups = ["string", "list", "set", "sorted-set", "stream", "hash"];
        let key = |draw: &mut Draw| {
            let group = groups[draw.below(groups.len())];
            format!("{group}:{}", draw.below(8)).into_bytes()
        };
        let (one, other) = (key(&mut self.draw), key(&mut self.draw));
        vec![b"EVAL".to_vec(), text.into(), b"2".to_vec(), one, other]
    }

    /// A value that comes as a whole, with every option of `RESTORE`.
    fn restore(&mut self) -> Vec<Vec<u8>> {
        let draw = &mut self.draw;
        let key = format!("string:{}", draw.below(8)).into_bytes();
        let ttl = ["0", "1", "50", "100000"][draw.below(4)];
        let mut words = vec![b"RESTORE".to_vec(), key, ttl.into(), DUMPED.to_vec()];
        let options: [&[&str]; 4] = [
            &["REPLACE"],
            &["ABSTTL"],
            &["IDLETIME", "7"],
            &["FREQ", "9"],
        ];
        for option in options {
            if draw.below(2) == 0 {
                words.extend(option.iter().map(|word| word.as_bytes().to_vec()));
            }
        }
        words
    }

    /// One call of a command, whose keys mostly hold what it works on.
    fn one(&mut self) -> Vec<Vec<u8>> {
        let draw = &mut self.draw;
        let from = if draw.below(5) == 0 {
            &self.reads
        } else {
            &self.writes
        };
        let command = from[draw.below(from.len())];
        let arguments = syntax::parse(command.spec.syntax).unwrap_or_default();
        let mut choose = |n: usize| draw.below(n);
        // A 0 in the wrong place makes a wait without an end.
        let waits = command.flags.contains(Flags::BLOCKING);
        let words = if choose(20) == 0 && !waits {
            sample_calls::nearly_valid(&arguments, &mut choose)
        } else {
            sample_calls::valid(&arguments, &mut choose)
        };
        let group = command.spec.group.name().as_bytes();
        let names = command.name.split('|').map(|word| word.as_bytes().to_vec());
        let own = words.into_iter().map(|word| match &word[..] {
            [b'k', digit] if digit.is_ascii_digit() && choose(8) > 0 => {
                [group, b":", &[*digit]].concat()
            }
            _ => word,
        });
        names.chain(own).collect()
    }
}

/// Sends random requests in pipelines.
pub struct Sender {
    stream: TcpStream,
    buffer: Vec<u8>,
    requests: Requests,
    /// The last requests, to be shown when something goes wrong.
    pub history: VecDeque<String>,
    pub sent: usize,
}

impl Sender {
    pub fn new(port: u16, seed: u64) -> Sender {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        let patience = Some(super::PATIENCE);
        stream.set_read_timeout(patience).expect("a timeout");
        Sender {
            stream,
            buffer: Vec::new(),
            requests: Requests::new(seed),
            history: VecDeque::new(),
            sent: 0,
        }
    }

    /// Sends for a time; replies are read and forgotten.
    pub fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.batch();
        }
    }

    /// Sends one pipeline and reads its replies.
    pub fn batch(&mut self) {
        let (mut bytes, mut expected) = (Vec::new(), 0);
        for _ in 0..16 {
            for words in self.requests.next() {
                OwnedArgs::of(&words).view().encode_into(&mut bytes);
                expected += 1;
                self.remember(&words);
            }
        }
        self.stream.write_all(&bytes).expect("the server reads");
        self.sent += expected;
        for _ in 0..expected {
            self.reply();
        }
    }

    fn remember(&mut self, words: &[Vec<u8>]) {
        if self.history.len() >= HISTORY {
            self.history.pop_front();
        }
        let words = words.iter().map(|w| format!("\"{}\"", w.escape_ascii()));
        self.history.push_back(words.collect::<Vec<_>>().join(" "));
    }

    fn reply(&mut self) -> OwnedFrame {
        loop {
            if let Some((frame, used)) = decode(&self.buffer).expect("a reply") {
                self.buffer.drain(..used);
                return frame;
            }
            let mut space = [0u8; 64 * 1024];
            let n = self.stream.read(&mut space).unwrap_or_else(|error| {
                panic!("no reply in time: {error}; last {:#?}", self.last(40))
            });
            assert!(n > 0, "the server closed; last {:#?}", self.last(20));
            // An error may name a key, which is any bytes; `decode` wants text there. Nothing
            // that is compared is read through this connection.
            let text = space[..n]
                .iter()
                .map(|b| if b.is_ascii() { *b } else { b'?' });
            self.buffer.extend(text);
        }
    }

    fn last(&self, n: usize) -> Vec<&String> {
        let skipped = self.history.len().saturating_sub(n);
        self.history.iter().skip(skipped).collect()
    }
}

const HISTORY: usize = 200_000;

/// What `DUMP` gives for the text `x`.
const DUMPED: &[u8] = b"\x00\x01x\x0b\x00\xbe\x11\xc6\x80e\xb3\x1d\xbe";

/// What they leave depends on chance, on the clock and on what the keys hold.
const SCRIPTS: &[&str] = &[
    "redis.call('SET', KEYS[1], math.random()) return redis.call('GETEX', KEYS[1], 'PX', 5)",
    "redis.call('SADD', KEYS[1], 1, 2, 3, 'x') return redis.call('SPOP', KEYS[1], 2)",
    "redis.call('XADD', KEYS[1], '*', 'a', 'b') redis.pcall('INCR', KEYS[1]) return redis.call('TIME')",
    "redis.call('SET', KEYS[1], 'x', 'PX', 1) return redis.error_reply('ERR half-way')",
    "redis.call('RENAME', KEYS[1], KEYS[2]) redis.call('RPUSH', KEYS[2], 1) redis.call('LPOP', KEYS[2])",
    "for i = 1, 50 do redis.call('ZADD', KEYS[1], math.random(), i) end redis.call('ZPOPMAX', KEYS[1], 49)",
    "redis.call('DEL', KEYS[1]) redis.call('HSET', KEYS[1], 'f', 1) redis.call('HPEXPIRE', KEYS[1], 1, 'FIELDS', 1, 'f') return redis.call('HINCRBYFLOAT', KEYS[1], 'f', 0.1)",
    "redis.call('APPEND', KEYS[1], redis.call('RANDOMKEY') or '') redis.call('SORT', KEYS[2], 'BY', 'nosort', 'STORE', KEYS[1])",
    "redis.call('COPY', KEYS[1], KEYS[2], 'REPLACE') redis.call('SELECT', 1) redis.call('UNLINK', KEYS[1])",
];
