//! One file from its beginning to its first fault, as a stream.

use crate::aof::{Annotation, Piece, next_piece};
use crate::execute::Settings;
use crate::protocol::{Limits, RequestReader};
use crate::rdb::{self, FileReader, Item, Problem, RdbError, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What was found in a file.
#[derive(Debug, Default)]
pub struct Report {
    /// Bytes of the file.
    pub size: u64,
    /// Bytes up to the end of the last whole unit: a command, a transaction, the RDB data.
    pub whole: u64,
    /// What its RDB data holds, where it begins with such.
    pub rdb: Option<RdbReport>,
    /// Whole commands.
    pub commands: u64,
    /// Where the history of Lockstep stands in it, if it says so.
    pub annotation: Option<Annotation>,
    /// What is wrong first.
    pub fault: Option<Fault>,
}

/// What RDB data holds.
#[derive(Debug, Default)]
pub struct RdbReport {
    /// The version of the format.
    pub version: u32,
    /// Facts about the file.
    pub facts: Vec<(String, String)>,
    /// Keys of each type.
    pub keys: BTreeMap<&'static str, u64>,
    /// Keys that expire.
    pub expires: u64,
    /// Libraries of functions.
    pub libraries: u64,
}

/// What is wrong, and where.
#[derive(Debug)]
pub struct Fault {
    /// Where it was noticed.
    pub offset: u64,
    /// What it is.
    pub what: String,
    /// Whether cutting after the last whole unit loses nothing but what is torn, or what is
    /// later than the user asked for.
    pub kind: FaultKind,
}

/// What can be done about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The file ends within a unit: nothing whole comes after it.
    Torn,
    /// Something else stands where a command should; what comes after it would be lost.
    Corrupt,
    /// Written after the time that was asked for.
    Later,
    /// Cutting does not help.
    Hopeless,
}

/// Reads a file to its end or its first fault; `until` is the Unix time after which nothing
/// counts.
///
/// # Errors
/// When the operating system refuses.
pub fn scan(path: &Path, until: Option<i64>) -> io::Result<Report> {
    let mut file = File::open(path)?;
    let mut report = Report {
        size: file.metadata()?.len(),
        ..Report::default()
    };
    let mut input = Vec::new();
    let mut head = file.by_ref().take(READ_AT_ONCE as u64);
    head.read_to_end(&mut input)?;
    if rdb::is_head(&input) {
        match scan_rdb(&mut file, input, &mut report) {
            Ok(rest) => input = rest,
            Err(RdbError {
                what: Problem::Io(error),
                ..
            }) => return Err(error),
            Err(error) => {
                report.fault = Some(Fault {
                    offset: error.offset,
                    what: error.what.to_string(),
                    kind: FaultKind::Hopeless,
                });
                return Ok(report);
            }
        }
    }
    scan_commands(&mut file, input, until, &mut report)?;
    Ok(report)
}

/// Reads RDB data, of which `begun` was read already. Answers what was read behind it.
fn scan_rdb(file: &mut File, begun: Vec<u8>, report: &mut Report) -> Result<Vec<u8>, RdbError> {
    let settings = Settings::default();
    let mut reader = FileReader::new(begun.as_slice().chain(file), true)?;
    let found = report.rdb.insert(RdbReport {
        version: reader.version(),
        ..RdbReport::default()
    });
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Aux(name, value) if found.facts.len() < MOST_FACTS => {
                let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
                found.facts.push((text(&name), text(&value)));
            }
            Item::Aux(..) | Item::Sizes(..) => {}
            Item::Function(_) => found.libraries += 1,
            Item::Key(key) => {
                let (kind, offset) = (type_name(&key.value), key.offset);
                let expires = key.expires_at.is_some();
                // Versions of Redis with a fault have written collections without elements,
                // which the loader leaves out.
                if !key.value.is_empty_collection() {
                    let kept = rdb::entry_of(&key.name, key.expires_at, key.value, &settings);
                    kept.map_err(|why| RdbError {
                        offset,
                        what: Problem::Malformed(why),
                    })?;
                }
                *found.keys.entry(kind).or_default() += 1;
                found.expires += u64::from(expires);
                report.whole = reader.offset();
            }
        }
    }
    report.whole = reader.offset();
    let (mut rest, mut chain) = reader.into_rest();
    rest.extend_from_slice(chain.get_mut().0);
    Ok(rest)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::List(_) => "list",
        Value::Set(..) => "set",
        Value::SortedSet(..) => "zset",
        Value::Hash(..) => "hash",
        Value::Stream(_) => "stream",
    }
}

/// Reads commands from `report.whole` on, of which `input` was read already.
fn scan_commands(
    file: &mut File,
    mut input: Vec<u8>,
    until: Option<i64>,
    report: &mut Report,
) -> io::Result<()> {
    let mut units = Units {
        start: report.whole,
        until,
        in_transaction: None,
        reader: RequestReader::default(),
        limits: Limits {
            // The file may have been written under any limit.
            max_bulk: u64::from(u32::MAX >> 1),
            ..Limits::default()
        },
    };
    loop {
        match units.take(&input, report) {
            Ok(taken) => drop(input.drain(..taken)),
            Err(fault) => {
                report.fault = Some(fault);
                return Ok(());
            }
        }
        let chunk = READ_AT_ONCE.max(units.reader.missing(input.len()));
        let more = file.by_ref().take(chunk as u64).read_to_end(&mut input)?;
        if more == 0 {
            report.fault = units.torn(&input, report.whole);
            return Ok(());
        }
    }
}

struct Units {
    /// The file's offset of the first byte that is not taken.
    start: u64,
    until: Option<i64>,
    /// Where `MULTI` stands, and commands since.
    in_transaction: Option<(u64, u64)>,
    reader: RequestReader,
    limits: Limits,
}

impl Units {
    /// Takes what is whole, and answers how many bytes that was.
    fn take(&mut self, input: &[u8], report: &mut Report) -> Result<usize, Fault> {
        let mut at = 0;
        loop {
            let (rest, offset) = (&input[at..], self.start);
            let fault = |what: String, kind| Fault { offset, what, kind };
            let piece = next_piece(&mut self.reader, &self.limits, rest)
                .map_err(|what| fault(what, FaultKind::Corrupt))?;
            let n = match piece {
                None => return Ok(at),
                Some(Piece::Comment(n)) => {
                    if self.is_later(&rest[..n]) {
                        let what = "what follows is later than the time asked for".into();
                        return Err(fault(what, FaultKind::Later));
                    }
                    if let Some(found) = Annotation::parse(&rest[..n]) {
                        report.annotation = Some(found);
                    }
                    n
                }
                Some(Piece::Command(n)) => {
                    let done = self.command(rest, offset);
                    let done = done.map_err(|what| fault(what.into(), FaultKind::Corrupt))?;
                    report.commands += done;
                    n
                }
            };
            at += n;
            self.start += n as u64;
            if self.in_transaction.is_none() {
                report.whole = self.start;
            }
        }
    }

    /// How many commands are whole with this one.
    fn command(&mut self, rest: &[u8], offset: u64) -> Result<u64, &'static str> {
        let args = self.reader.args(rest);
        let name = args.iter().next().unwrap_or_default();
        match self.in_transaction {
            None if name.eq_ignore_ascii_case(b"multi") => {
                self.in_transaction = Some((offset, 1));
                Ok(0)
            }
            None if name.eq_ignore_ascii_case(b"exec") => Err("EXEC without MULTI"),
            None => Ok(1),
            Some(_) if name.eq_ignore_ascii_case(b"multi") => Err("MULTI within MULTI"),
            Some((_, count)) if name.eq_ignore_ascii_case(b"exec") => {
                self.in_transaction = None;
                Ok(count + 1)
            }
            Some((begun, count)) => {
                self.in_transaction = Some((begun, count + 1));
                Ok(0)
            }
        }
    }

    /// Whether a comment says that what follows was written after the time asked for.
    fn is_later(&self, line: &[u8]) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        let time = line.strip_prefix(b"#TS:").map(<[u8]>::trim_ascii);
        let time = time.and_then(crate::number::parse_i64);
        time.is_some_and(|time| time > until)
    }

    /// The fault of a file that ends here, with `left` behind what was taken.
    fn torn(&self, left: &[u8], whole: u64) -> Option<Fault> {
        // A damaged length swallows what comes after it; see the loader.
        if Annotation::is_in(left) {
            return Some(Fault {
                offset: self.start,
                what: "the length of an argument reaches beyond what was written after it".into(),
                kind: FaultKind::Corrupt,
            });
        }
        let end = self.start + left.len() as u64;
        let what = match self.in_transaction {
            _ if whole == end => return None,
            Some((begun, _)) => {
                format!("the transaction that begins at {begun} has no end")
            }
            None => "the file ends within a command".into(),
        };
        Some(Fault {
            offset: self.start,
            what,
            kind: FaultKind::Torn,
        })
    }
}

const READ_AT_ONCE: usize = 1 << 20;
/// Facts kept of a file; a file of nothing else must not fill the memory.
const MOST_FACTS: usize = 64;
