//! The request reader against the redis-protocol crate.
//!
//! - Whatever comes, the reader does not panic, and what it allocates is in proportion to
//!   what has come.
//! - However the bytes are split, the same requests are read, and the same fault is found.
//! - What is handed to the write log is a RESP array that redis-protocol decodes to the
//!   arguments that were executed.
//! - A request in canonical form is read by both alike: same arguments, same length.

use crate::allocations::peak_of;
use lockstep::protocol::{Limits, Parsed, RequestReader};
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

/// One request as it was read.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    start: usize,
    len: usize,
    args: Vec<Vec<u8>>,
    raw: Vec<u8>,
}

/// What became of an input: its requests, where the rest begins, and the fault if any.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    requests: Vec<Read>,
    rest: usize,
    fault: Option<String>,
}

/// Panics if the reader does something wrong with this input.
pub fn check(input: &[u8]) {
    let (whole, peak) = peak_of(|| read(input, |have| have.max(1) + input.len()));
    assert!(
        peak <= 64 * input.len() + 4096,
        "{peak} bytes for an input of {}",
        input.len()
    );
    for request in &whole.requests {
        let (args, used) = decoded(&request.raw).expect("the log's form must be decoded");
        assert_eq!(used, request.raw.len());
        assert_eq!(args, request.args);
    }
    compare_with_redis_protocol(input, &whole);
    let mut state = input.len() as u64 ^ 0x9e37_79b9;
    for step in [1, 2, 3, 7, 0] {
        let split = read(input, |have| match step {
            0 => {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                have + 1 + (state >> 59) as usize
            }
            step => have + step,
        });
        assert_eq!(split, whole, "split by {step}");
    }
}

/// Reads an input of which more and more is there: `grow` gives the next length.
fn read(input: &[u8], mut grow: impl FnMut(usize) -> usize) -> Outcome {
    let mut reader = RequestReader::default();
    let limits = Limits::default();
    let (mut start, mut have) = (0, 0);
    let mut requests = Vec::new();
    while have < input.len() {
        have = grow(have).min(input.len());
        while start < have {
            let buf = &input[start..have];
            match reader.parse(buf, &limits) {
                Ok(Parsed::Incomplete) => break,
                Ok(Parsed::Nothing(len)) => start += len,
                Ok(Parsed::Request(len)) => {
                    requests.push(Read {
                        start,
                        len,
                        args: reader.args(buf).iter().map(<[u8]>::to_vec).collect(),
                        raw: reader.raw(buf, len).to_vec(),
                    });
                    start += len;
                }
                Err(fault) => {
                    return Outcome {
                        requests,
                        rest: start,
                        fault: Some(fault.to_string()),
                    };
                }
            }
            assert!(start <= have, "more was taken than was there");
        }
        // As a connection does after every batch.
        reader.shrink();
    }
    Outcome {
        requests,
        rest: start,
        fault: None,
    }
}

/// An array of bulk strings as redis-protocol reads it, and its length.
fn decoded(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let (frame, used) = decode(bytes).ok()??;
    let OwnedFrame::Array(items) = frame else {
        return None;
    };
    let args = items.into_iter().map(|item| match item {
        OwnedFrame::BulkString(arg) => Some(arg),
        _ => None,
    });
    Some((args.collect::<Option<_>>()?, used))
}

fn compare_with_redis_protocol(input: &[u8], ours: &Outcome) {
    let mut requests = ours.requests.iter();
    let mut next = requests.next();
    // Wherever one of our requests begins, or where we stopped, both look at the same bytes.
    let starts = ours.requests.iter().map(|r| r.start).chain([ours.rest]);
    for start in starts {
        let read = next.filter(|read| read.start == start);
        if read.is_some() {
            next = requests.next();
        }
        let rest = &input[start..];
        if rest.first() != Some(&b'*') {
            continue;
        }
        let Some((args, used)) = decoded(rest) else {
            continue;
        };
        // It also takes what Redis refuses, such as a length with a plus sign.
        if args.is_empty() || encoded(&args) != rest[..used] {
            continue;
        }
        let read = read.expect("redis-protocol finds a request here");
        assert_eq!((&read.args, read.len), (&args, used));
        assert_eq!(read.raw, rest[..used]);
    }
}

/// The canonical form of a request.
pub fn encoded(args: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
