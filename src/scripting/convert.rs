//! Replies as Lua values, and Lua values as replies.

use crate::protocol::{Reply, WireError};
use mlua::{Lua, Result, Table, Value};

/// A reply of our own as a Lua value. Where RESP2 was asked for, null is `false`.
///
/// # Errors
/// When the interpreter's memory is full.
pub fn to_lua(lua: &Lua, bytes: &[u8], resp3: bool) -> Result<Value> {
    Parser { lua, bytes, resp3 }.value(0)
}

struct Parser<'a> {
    lua: &'a Lua,
    bytes: &'a [u8],
    resp3: bool,
}

impl<'a> Parser<'a> {
    /// The line that begins here, without its end; the rest stays.
    fn line(&mut self) -> &'a [u8] {
        let end = memchr::memchr(b'\r', self.bytes).unwrap_or(self.bytes.len());
        let line = &self.bytes[..end];
        self.bytes = self.bytes.get(end + 2..).unwrap_or_default();
        line
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let text = self.bytes.get(..len).unwrap_or_default();
        self.bytes = self.bytes.get(len + 2..).unwrap_or_default();
        text
    }

    fn null(&self) -> Value {
        if self.resp3 {
            Value::Nil
        } else {
            Value::Boolean(false)
        }
    }

    fn tagged(&self, tag: &str, value: Value) -> Result<Value> {
        let table = self.lua.create_table()?;
        table.raw_set(tag, value)?;
        Ok(Value::Table(table))
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        let line = self.line();
        let Some((kind, text)) = line.split_first() else {
            return Ok(self.null());
        };
        let number = crate::number::parse_i64(text);
        let count = number.and_then(|n| usize::try_from(n).ok());
        Ok(match kind {
            b'+' => self.tagged("ok", self.string(text)?)?,
            b'-' => self.tagged("err", self.string(text)?)?,
            b':' => Value::Number(number.unwrap_or(0) as f64),
            b'$' => match count {
                Some(len) => self
                    .string(self.bytes.get(..len).unwrap_or_default())
                    .inspect(|_| {
                        self.take(len);
                    })?,
                None => self.null(),
            },
            b'*' => match count {
                Some(len) => Value::Table(self.array(len, depth)?),
                None => self.null(),
            },
            b'#' => Value::Boolean(text == b"t"),
            b',' => {
                let double = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
                self.tagged("double", Value::Number(double.unwrap_or(0.0)))?
            }
            b'(' => self.tagged("big_number", self.string(text)?)?,
            b'=' => {
                let whole = self.take(count.unwrap_or(0));
                let (format, rest) = whole.split_at(whole.len().min(3));
                let verbatim = self.lua.create_table()?;
                verbatim.raw_set("format", self.string(format)?)?;
                verbatim.raw_set("string", self.string(rest.get(1..).unwrap_or_default())?)?;
                self.tagged("verbatim_string", Value::Table(verbatim))?
            }
            b'%' => {
                let map = self.lua.create_table()?;
                for _ in 0..count.unwrap_or(0) {
                    let key = self.value(depth + 1)?;
                    let value = self.value(depth + 1)?;
                    if !key.is_nil() {
                        map.raw_set(key, value)?;
                    }
                }
                self.tagged("map", Value::Table(map))?
            }
            b'~' => {
                let set = self.lua.create_table()?;
                for _ in 0..count.unwrap_or(0) {
                    let member = self.value(depth + 1)?;
                    if !member.is_nil() {
                        set.raw_set(member, true)?;
                    }
                }
                self.tagged("set", Value::Table(set))?
            }
            _ => self.null(),
        })
    }

    fn array(&mut self, len: usize, depth: usize) -> Result<Table> {
        let table = self.lua.create_table_with_capacity(len.min(1 << 16), 0)?;
        for i in 1..=len {
            let value = self.value(depth + 1)?;
            table.raw_set(i, value)?;
        }
        Ok(table)
    }

    fn string(&self, text: &[u8]) -> Result<Value> {
        self.lua.create_string(text).map(Value::String)
    }
}

/// Writes what a script returned. `resp3` says which protocol the script has chosen.
pub fn write_reply(value: &Value, resp3: bool, reply: &mut Reply<'_>) {
    write_value(value, resp3, reply, 0);
}

fn write_value(value: &Value, resp3: bool, reply: &mut Reply<'_>, depth: usize) {
    if depth > DEEPEST {
        reply.error(&WireError::fixed("ERR reached lua stack limit"));
        return;
    }
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Number(n) => reply.int(*n as i64),
        Value::Integer(n) => reply.int(*n),
        Value::Boolean(b) if resp3 => reply.bool(*b),
        Value::Boolean(true) => reply.int(1),
        Value::Table(table) => write_table(table, resp3, reply, depth),
        _ => reply.null(),
    }
}

fn write_table(table: &Table, resp3: bool, reply: &mut Reply<'_>, depth: usize) {
    let field = |name: &str| table.raw_get::<Value>(name).unwrap_or(Value::Nil);
    if let Value::String(text) = field("err") {
        let text = text.as_bytes().to_vec();
        let text = text.strip_prefix(b"-").map(<[u8]>::to_vec).unwrap_or(text);
        return reply.error(&WireError::from_bytes(text));
    }
    if let Value::String(text) = field("ok") {
        let text: String = String::from_utf8_lossy(&text.as_bytes()).replace(['\r', '\n'], " ");
        return reply.simple(&text);
    }
    match field("double") {
        Value::Number(n) => return reply.double(n),
        Value::Integer(n) => return reply.double(n as f64),
        _ => {}
    }
    if let Value::Table(map) = field("map") {
        let pairs: Vec<_> = map.pairs::<Value, Value>().flatten().collect();
        reply.map(pairs.len());
        for (key, value) in &pairs {
            write_value(key, resp3, reply, depth + 1);
            write_value(value, resp3, reply, depth + 1);
        }
        return;
    }
    if let Value::Table(set) = field("set") {
        let members: Vec<_> = set.pairs::<Value, Value>().flatten().collect();
        reply.set(members.len());
        for (member, _) in &members {
            write_value(member, resp3, reply, depth + 1);
        }
        return;
    }
    if let Value::String(digits) = field("big_number") {
        let text = String::from_utf8_lossy(&digits.as_bytes()).replace(['\r', '\n'], " ");
        return reply.big_number(&text);
    }
    if let Value::Table(verbatim) = field("verbatim_string")
        && let (Ok(Value::String(text)), Ok(Value::String(format))) = (
            verbatim.raw_get::<Value>("string"),
            verbatim.raw_get::<Value>("format"),
        )
    {
        let text = String::from_utf8_lossy(&text.as_bytes()).into_owned();
        return reply.verbatim(&format.to_string_lossy(), &text);
    }
    // An array ends before its first nil.
    let mut values = Vec::new();
    for i in 1.. {
        match table.raw_get::<Value>(i) {
            Ok(Value::Nil) | Err(_) => break,
            Ok(value) => values.push(value),
        }
    }
    reply.array(values.len());
    for value in &values {
        write_value(value, resp3, reply, depth + 1);
    }
}

/// How deep a reply may nest.
const DEEPEST: usize = 1000;
