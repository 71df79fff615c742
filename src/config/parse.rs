//! From arguments to checked values. The error texts are Redis's.

use super::spec::{Kind, Spec};
use super::value::{NotifyClass, OutputLimit, SHUTDOWN_WORDS, SavePoint, ShutdownFlags, Value};
use crate::number::parse_i64;
use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Why an option's arguments were refused.
pub(super) type Refusal = Cow<'static, str>;

const WRONG_NUMBER: &str = "wrong number of arguments";
const BAD_SAVE: &str = "Invalid save parameters";
const BAD_LIMIT_COUNT: &str = "Wrong number of arguments in buffer limit configuration.";
const BAD_LIMIT_CLASS: &str = "Invalid client class specified in buffer limit configuration.";
const BAD_LIMIT: &str =
    "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
const BAD_OOM: &str = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";

/// The locales that every system has. None has an effect, so no other is looked for.
const LOCALES: [&[u8]; 5] = [b"", b"C", b"POSIX", b"C.UTF-8", b"C.utf8"];
/// The smallest backlog, in bytes; less is raised to it.
const SMALLEST_BACKLOG: i64 = 16 << 10;
/// The bounds within which `hz` is kept.
const HZ: std::ops::RangeInclusive<i64> = 1..=500;
/// The variables that `proc-title-template` may hold.
const TITLE_VARIABLES: [&[u8]; 8] = [
    b"title",
    b"listen-addr",
    b"server-mode",
    b"port",
    b"tls-port",
    b"unixsocket",
    b"config-file",
    b"config_file",
];

impl Spec {
    /// The default. The table's test sees to it that each default passes its own checks.
    pub fn default_value(&self) -> Value {
        let args = [self.default.as_bytes().to_vec()];
        self.parse(&args, None)
            .unwrap_or_else(|_| Value::Text(self.default.into()))
    }

    /// The value that the arguments after the option's name give. `before` is the value that
    /// those options which are given in parts (`save` in a file,
    /// `client-output-buffer-limit`) add to.
    pub(super) fn parse(&self, args: &[Vec<u8>], before: Option<&Value>) -> Result<Value, Refusal> {
        if self.kind.takes_many() {
            // A single argument may hold them all: `--save "900 1"`, and all of CONFIG SET.
            let split: Vec<&[u8]> = match args {
                [one] if one.is_empty() => Vec::new(),
                [one] => one.split(|c| *c == b' ').collect(),
                several => several.iter().map(Vec::as_slice).collect(),
            };
            return parse_many(self.kind, &split, before);
        }
        let [arg] = args else {
            return Err(WRONG_NUMBER.into());
        };
        let value = self.parse_one(arg)?;
        Ok(match (self.name, value) {
            ("hz", Value::Number(hz)) => Value::Number(hz.clamp(*HZ.start(), *HZ.end())),
            ("repl-backlog-size", Value::Number(size)) => Value::Number(size.max(SMALLEST_BACKLOG)),
            (_, value) => value,
        })
    }

    fn parse_one(&self, arg: &[u8]) -> Result<Value, Refusal> {
        match self.kind {
            Kind::Bool => match arg {
                _ if arg.eq_ignore_ascii_case(b"yes") => Ok(Value::Bool(true)),
                _ if arg.eq_ignore_ascii_case(b"no") => Ok(Value::Bool(false)),
                _ => Err("argument must be 'yes' or 'no'".into()),
            },
            Kind::Number { min, max, signed } => {
                let number = parse_i64(arg).ok_or("argument couldn't be parsed into an integer")?;
                in_range(number, min, max, signed)
            }
            Kind::Memory { min, signed } => {
                let bytes = parse_memory(arg).ok_or("argument must be a memory value")?;
                // Beyond i64 Redis sees a negative number.
                in_range(i64::try_from(bytes).unwrap_or(-1), min, i64::MAX, signed)
            }
            Kind::MemoryOrPercent => memory_or_percent(arg),
            Kind::Octal => std::str::from_utf8(arg)
                .ok()
                .and_then(|text| i64::from_str_radix(text, 8).ok())
                .ok_or("argument couldn't be parsed as an octal number".into())
                .and_then(|mode| in_range(mode, 0, 0o777, false)),
            Kind::Text => Ok(Value::Text(arg.to_vec())),
            Kind::FileName(word) if arg.contains(&b'/') => {
                Err(format!("{} can't be a path, just a {word}", self.name).into())
            }
            Kind::FileName(_) if arg.is_empty() => {
                Err(format!("{} can't be empty", self.name).into())
            }
            Kind::FileName(_) => Ok(Value::Text(arg.to_vec())),
            Kind::Dir => folder(arg),
            Kind::Choice(words) => words
                .iter()
                .find(|word| word.as_bytes().eq_ignore_ascii_case(arg))
                .map(|word| Value::Choice(word))
                .ok_or_else(|| one_of(words.iter().copied())),
            Kind::Events => NotifyClass::parse(arg)
                .map(Value::Events)
                .ok_or("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
            Kind::TitleTemplate if !is_title_template(arg) => {
                Err("template format is invalid or contains unknown variables".into())
            }
            Kind::Locale if !LOCALES.contains(&arg) => Err("Invalid locale name".into()),
            Kind::Hostname if arg.len() >= 256 => {
                Err("Hostnames must be less than 256 characters".into())
            }
            Kind::Hostname if !arg.iter().all(|c| is_hostname_byte(*c)) => {
                Err("Hostnames may only contain alphanumeric characters, hyphens or dots".into())
            }
            _ => Ok(Value::Text(arg.to_vec())),
        }
    }
}

fn parse_many(kind: Kind, args: &[&[u8]], before: Option<&Value>) -> Result<Value, Refusal> {
    match kind {
        Kind::Save => save_points(args, before),
        Kind::OutputLimits => output_limits(args, before),
        Kind::OomValues => oom_values(args),
        Kind::Percentiles => percentiles(args),
        Kind::ReplicaOf => replica_of(args),
        Kind::Shutdown => shutdown_flags(args),
        _ => Ok(Value::Words(
            args.iter().map(|word| word.to_vec()).collect(),
        )),
    }
}

fn in_range(number: i64, min: i64, max: i64, signed: bool) -> Result<Value, Refusal> {
    if !signed && number < 0 {
        return Err("argument must be greater or equal to 0".into());
    }
    if !(min..=max).contains(&number) {
        return Err(format!("argument must be between {min} and {max} inclusive").into());
    }
    Ok(Value::Number(number))
}

/// Bytes, with an optional unit. Saturates.
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let (digits, unit) = text.split_at(digits);
    // As Redis reads it: no digits at all are a zero.
    let number = digits.iter().fold(0u64, |sum, c| {
        sum.saturating_mul(10).saturating_add(u64::from(c - b'0'))
    });
    let scale = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    Some(number.saturating_mul(scale))
}

fn memory_or_percent(arg: &[u8]) -> Result<Value, Refusal> {
    const NEITHER: &str = "argument must be a memory or percent value";
    let Some(percent) = arg.strip_suffix(b"%") else {
        let bytes = parse_memory(arg).ok_or(NEITHER)?;
        return in_range(i64::try_from(bytes).unwrap_or(-1), 0, i64::MAX, false);
    };
    match parse_i64(percent) {
        Some(percent) if percent > 100 => {
            Err("percentage argument must be less or equal to 100".into())
        }
        Some(percent) => u8::try_from(percent)
            .map(Value::Percent)
            .map_err(|_| NEITHER.into()),
        None => Err(NEITHER.into()),
    }
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> Refusal {
    let words = words.collect::<Vec<_>>().join(", ");
    format!("argument(s) must be one of the following: {words}").into()
}

/// A folder, as an absolute path.
fn folder(arg: &[u8]) -> Result<Value, Refusal> {
    let path = Path::new(std::ffi::OsStr::from_bytes(arg));
    let path = path
        .canonicalize()
        .map_err(|error| super::file::reason(&error))?;
    if !path.is_dir() {
        return Err("Not a directory".into());
    }
    Ok(Value::Text(path.as_os_str().as_bytes().to_vec()))
}

fn is_title_template(text: &[u8]) -> bool {
    if text.is_empty() {
        return false;
    }
    let mut rest = text;
    while let Some(open) = rest.iter().position(|c| *c == b'{') {
        let Some(close) = rest[open..].iter().position(|c| *c == b'}') else {
            return false;
        };
        if !TITLE_VARIABLES.contains(&&rest[open + 1..open + close]) {
            return false;
        }
        rest = &rest[open + close + 1..];
    }
    true
}

fn is_hostname_byte(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'-' || c == b'.'
}

fn save_points(args: &[&[u8]], before: Option<&Value>) -> Result<Value, Refusal> {
    // `save ""` and a bare `save` forget what was said before.
    if args.is_empty() || args == [b""] {
        return Ok(Value::Save(Vec::new()));
    }
    let mut points = match before {
        Some(Value::Save(points)) => points.clone(),
        _ => Vec::new(),
    };
    let number = |arg: &[u8]| parse_i64(arg).and_then(|n| u64::try_from(n).ok());
    for pair in args.chunks(2) {
        let [seconds, changes] = pair else {
            return Err(BAD_SAVE.into());
        };
        match (number(seconds), number(changes)) {
            (Some(seconds), Some(changes)) if seconds > 0 => {
                points.push(SavePoint { seconds, changes });
            }
            _ => return Err(BAD_SAVE.into()),
        }
    }
    Ok(Value::Save(points))
}

fn output_limits(args: &[&[u8]], before: Option<&Value>) -> Result<Value, Refusal> {
    if !args.len().is_multiple_of(4) {
        return Err(BAD_LIMIT_COUNT.into());
    }
    let mut limits = match before {
        Some(Value::Limits(limits)) => *limits,
        _ => [OutputLimit::default(); 3],
    };
    for four in args.chunks_exact(4) {
        let class = match four[0].to_ascii_lowercase().as_slice() {
            b"normal" => 0,
            b"slave" | b"replica" => 1,
            b"pubsub" => 2,
            _ => return Err(BAD_LIMIT_CLASS.into()),
        };
        let bytes = |arg| parse_memory(arg).and_then(|n| i64::try_from(n).ok());
        let seconds = parse_i64(four[3]).and_then(|n| u64::try_from(n).ok());
        let (Some(hard), Some(soft), Some(soft_seconds)) =
            (bytes(four[1]), bytes(four[2]), seconds)
        else {
            return Err(BAD_LIMIT.into());
        };
        limits[class] = OutputLimit {
            hard: hard as usize,
            soft: soft as usize,
            soft_seconds,
        };
    }
    Ok(Value::Limits(limits))
}

fn oom_values(args: &[&[u8]]) -> Result<Value, Refusal> {
    if args.len() != 3 {
        return Err(WRONG_NUMBER.into());
    }
    let allowed = |arg: &&[u8]| parse_i64(arg).is_some_and(|n| (-2000..=2000).contains(&n));
    if !args.iter().all(allowed) {
        return Err(BAD_OOM.into());
    }
    Ok(Value::Words(args.iter().map(|arg| arg.to_vec()).collect()))
}

fn percentiles(args: &[&[u8]]) -> Result<Value, Refusal> {
    let mut list = Vec::new();
    for arg in args {
        let number = std::str::from_utf8(arg).ok().and_then(|t| t.parse().ok());
        let number: f64 = number.ok_or("Invalid latency-tracking-info-percentiles parameters")?;
        if !(0.0..=100.0).contains(&number) {
            return Err(
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                    .into(),
            );
        }
        list.push(number);
    }
    Ok(Value::Percentiles(list))
}

fn replica_of(args: &[&[u8]]) -> Result<Value, Refusal> {
    match args {
        // Only the default and a removed line say nothing.
        [] => Ok(Value::Words(Vec::new())),
        [no, one] if no.eq_ignore_ascii_case(b"no") && one.eq_ignore_ascii_case(b"one") => {
            Ok(Value::Words(Vec::new()))
        }
        [host, port] => match parse_i64(port) {
            Some(0..=65535) => Ok(Value::Words(vec![host.to_vec(), port.to_vec()])),
            _ => Err("Invalid master port".into()),
        },
        _ => Err(WRONG_NUMBER.into()),
    }
}

fn shutdown_flags(args: &[&[u8]]) -> Result<Value, Refusal> {
    let unknown = || one_of(SHUTDOWN_WORDS.iter().map(|(word, _)| *word));
    if args.is_empty() {
        return Err(unknown());
    }
    let mut flags = ShutdownFlags::empty();
    for arg in args {
        let known = SHUTDOWN_WORDS
            .iter()
            .find(|(word, _)| word.as_bytes().eq_ignore_ascii_case(arg));
        let (_, flag) = known.ok_or_else(unknown)?;
        flags |= *flag;
    }
    if flags.contains(ShutdownFlags::SAVE | ShutdownFlags::NOSAVE) {
        return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
    }
    Ok(Value::Shutdown(flags))
}
