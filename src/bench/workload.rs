//! Makes requests, straight into the output buffer.

use super::options::{Options, Workload};
use crate::protocol::{encode_bulk, encode_header};

/// Makes the requests of a workload.
pub struct Requests {
    workload: Workload,
    keys: u64,
    sequential: bool,
    next: u64,
    seed: u64,
    value: Vec<u8>,
    wait: Vec<u8>,
    custom: Vec<String>,
}

impl Requests {
    /// The requests that the options ask for.
    pub fn new(options: &Options) -> Self {
        let mut wait = Vec::new();
        let replicas = options.replicas.to_string();
        request(&mut wait, &[b"WAIT", replicas.as_bytes(), b"0"]);
        Requests {
            workload: options.workload,
            keys: options.key_count(),
            sequential: options.sequential,
            next: 0,
            seed: 0x5eed,
            value: (b'a'..=b'z').cycle().take(options.value_size).collect(),
            wait,
            custom: options.command.clone(),
        }
    }

    /// How many replies one operation gets.
    pub fn replies(&self) -> u32 {
        match self.workload {
            Workload::SetWait => 2,
            Workload::Multi => 7,
            _ => 1,
        }
    }

    /// Appends one operation.
    pub fn write(&mut self, out: &mut Vec<u8>) {
        let n = self.choose();
        match self.workload {
            Workload::Get => request(out, &[b"GET", &key::<17>(b"key:", n)]),
            Workload::Set => request(out, &[b"SET", &key::<17>(b"key:", n), &self.value]),
            Workload::SetEx => {
                let key = key::<17>(b"key:", n);
                request(out, &[b"SET", &key, &self.value, b"EX", b"3600"]);
            }
            Workload::SetInt => {
                let mut digits = itoa::Buffer::new();
                let integer = digits.format(n).as_bytes();
                request(out, &[b"SET", &key::<10>(b"n:", n), integer]);
            }
            Workload::Incr => request(out, &[b"INCR", &key::<17>(b"count:", n)]),
            Workload::Hset => {
                let field = key::<8>(b"field:", self.random(FIELDS));
                let key = key::<17>(b"hash:", n);
                request(out, &[b"HSET", &key, &field, &self.value]);
            }
            Workload::Subscriber => subscriber(out, n),
            Workload::SetWait => {
                request(out, &[b"SET", &key::<17>(b"key:", n), &self.value]);
                out.extend_from_slice(&self.wait);
            }
            Workload::Multi => {
                request(out, &[b"MULTI"]);
                for i in 0..5 {
                    let key = key::<17>(b"key:", (n + i) % self.keys);
                    request(out, &[b"SET", &key, &self.value]);
                }
                request(out, &[b"EXEC"]);
            }
            Workload::Ping => request(out, &[b"PING"]),
            Workload::Custom => self.custom(out, n),
        }
    }

    fn custom(&self, out: &mut Vec<u8>, n: u64) {
        encode_header(out, b'*', self.custom.len());
        for part in &self.custom {
            if !part.contains("__") {
                encode_bulk(out, part.as_bytes());
                continue;
            }
            let value = String::from_utf8_lossy(&self.value);
            let part = part
                .replace("__key__", &format!("key:{n:013}"))
                .replace("__number__", &n.to_string())
                .replace("__value__", &value);
            encode_bulk(out, part.as_bytes());
        }
    }

    fn choose(&mut self) -> u64 {
        if self.sequential {
            self.next += 1;
            return (self.next - 1) % self.keys;
        }
        self.random(self.keys)
    }

    /// A number below `end` (splitmix64: even enough, a few nanoseconds, the same each run).
    fn random(&mut self, end: u64) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * u128::from(end)) >> 64) as u64
    }
}

/// A key of `LEN` bytes: a prefix, and a number with leading zeros.
fn key<const LEN: usize>(prefix: &[u8], mut n: u64) -> [u8; LEN] {
    let mut key = [b'0'; LEN];
    key[..prefix.len()].copy_from_slice(prefix);
    for digit in key[prefix.len()..].iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
    key
}

fn request(out: &mut Vec<u8>, args: &[&[u8]]) {
    encode_header(out, b'*', args.len());
    for arg in args {
        encode_bulk(out, arg);
    }
}

/// A subscriber as the bytes-per-key table has it.
fn subscriber(out: &mut Vec<u8>, n: u64) {
    let (id, opens, clicks) = (n.to_string(), (n % 97).to_string(), (n % 13).to_string());
    let email = format!("user{n}@example.com");
    let fields: [&[u8]; 14] = [
        b"HSET",
        &key::<17>(b"sub:", n),
        b"id",
        id.as_bytes(),
        b"email",
        email.as_bytes(),
        b"status",
        b"active",
        b"opens",
        opens.as_bytes(),
        b"clicks",
        clicks.as_bytes(),
        b"segment",
        b"newsletter",
    ];
    request(out, &fields);
}

/// Fields of a hash of the workload `hset`.
const FIELDS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use redis_protocol::resp2::decode::decode;
    use std::collections::HashSet;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn requests(words: &str) -> Requests {
        let words = ["bench"].into_iter().chain(words.split_whitespace());
        Requests::new(&Cli::parse_from(words).options)
    }

    #[test]
    fn keys_have_the_promised_length() {
        assert_eq!(&key::<17>(b"key:", 42), b"key:0000000000042");
        assert_eq!(&key::<10>(b"n:", 7), b"n:00000007");
    }

    #[test]
    fn every_workload_is_as_many_requests_as_replies_are_awaited() {
        for workload in [
            "get",
            "set",
            "set-ex",
            "set-int",
            "incr",
            "hset",
            "subscriber",
            "set-wait",
            "multi",
            "ping",
            "custom -- SET __key__ v:__number__",
        ] {
            let mut requests = requests(&format!("--workload {workload}"));
            let mut out = Vec::new();
            requests.write(&mut out);
            let (mut at, mut n) = (0, 0);
            while at < out.len() {
                let (_, used) = decode(&out[at..]).unwrap().unwrap();
                at += used;
                n += 1;
            }
            assert_eq!(n, requests.replies(), "{workload}");
        }
    }

    #[test]
    fn sequential_keys_are_each_taken_once_and_random_ones_stay_below() {
        let mut sequential = requests("--sequential --keys 3");
        let taken: Vec<_> = (0..4).map(|_| sequential.choose()).collect();
        assert_eq!(taken, [0, 1, 2, 0]);
        let mut random = requests("--keys 10");
        let seen: HashSet<_> = (0..1000).map(|_| random.choose()).collect();
        assert_eq!(seen.len(), 10);
        assert!(seen.iter().all(|n| *n < 10));
    }
}
