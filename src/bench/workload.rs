//! Makes requests.

use super::options::{Options, Workload};
use crate::protocol::OwnedArgs;

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
        let replicas = options.replicas.to_string();
        let mut wait = Vec::new();
        OwnedArgs::of(["WAIT", &replicas, "0"])
            .view()
            .encode_into(&mut wait);
        Requests {
            workload: options.workload,
            keys: options.keys,
            sequential: options.sequential,
            next: 0,
            seed: 0x5eed,
            value: (0..options.value_size)
                .map(|i| b'a' + (i % 26) as u8)
                .collect(),
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
            Workload::Get => request(out, &[b"GET", &key(b"key:", n, 13)]),
            Workload::Set => request(out, &[b"SET", &key(b"key:", n, 13), &self.value]),
            Workload::SetEx => {
                request(
                    out,
                    &[b"SET", &key(b"key:", n, 13), &self.value, b"EX", b"3600"],
                );
            }
            Workload::SetInt => {
                request(out, &[b"SET", &key(b"n:", n, 8), n.to_string().as_bytes()]);
            }
            Workload::Incr => request(out, &[b"INCR", &key(b"count:", n, 11)]),
            Workload::Hset => {
                let field = key(b"field:", n % 10, 2);
                request(out, &[b"HSET", &key(b"hash:", n, 12), &field, &self.value]);
            }
            Workload::Subscriber => subscriber(out, n),
            Workload::SetWait => {
                request(out, &[b"SET", &key(b"key:", n, 13), &self.value]);
                out.extend_from_slice(&self.wait);
            }
            Workload::Multi => {
                request(out, &[b"MULTI"]);
                for i in 0..5 {
                    let key = key(b"key:", (n + i) % self.keys, 13);
                    request(out, &[b"SET", &key, &self.value]);
                }
                request(out, &[b"EXEC"]);
            }
            Workload::Ping => request(out, &[b"PING"]),
            Workload::Custom => {
                let value = String::from_utf8_lossy(&self.value).into_owned();
                let parts: Vec<_> = self
                    .custom
                    .iter()
                    .map(|part| {
                        part.replace("__key__", &format!("key:{n:013}"))
                            .replace("__value__", &value)
                    })
                    .collect();
                OwnedArgs::of(parts).view().encode_into(out);
            }
        }
    }

    fn choose(&mut self) -> u64 {
        if self.sequential {
            self.next += 1;
            return self.next - 1;
        }
        // splitmix64: even enough, and a few nanoseconds.
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * u128::from(self.keys)) >> 64) as u64
    }
}

/// A name and a number with leading zeros to a fixed length.
fn key(prefix: &[u8], mut n: u64, digits: usize) -> Vec<u8> {
    let mut key = vec![b'0'; prefix.len() + digits];
    key[..prefix.len()].copy_from_slice(prefix);
    for digit in key[prefix.len()..].iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
    key
}

fn request(out: &mut Vec<u8>, args: &[&[u8]]) {
    crate::protocol::encode_header(out, b'*', args.len());
    for arg in args {
        crate::protocol::encode_bulk(out, arg);
    }
}

/// A subscriber as the bytes-per-key table has it.
fn subscriber(out: &mut Vec<u8>, n: u64) {
    let (id, opens, clicks) = (n.to_string(), (n % 97).to_string(), (n % 13).to_string());
    let email = format!("user{n}@example.com");
    let fields: [&[u8]; 14] = [
        b"HSET",
        &key(b"sub:", n, 13),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_promised_length() {
        assert_eq!(key(b"key:", 42, 13), b"key:0000000000042");
        assert_eq!(key(b"key:", 42, 13).len(), 17);
        assert_eq!(key(b"n:", 7, 8).len(), 10);
    }
}
