//! The library `cjson`.

use super::api::library_error;
use crate::number::format_g;
use mlua::{LightUserData, Lua, MultiValue, Result, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// What the library's settings functions change; each has the defaults of lua-cjson.
#[derive(Clone)]
struct Options {
    sparse_convert: Cell<bool>,
    sparse_ratio: Cell<i64>,
    sparse_safe: Cell<i64>,
    encode_depth: Cell<usize>,
    decode_depth: Cell<usize>,
    precision: Cell<usize>,
    keep_buffer: Cell<bool>,
    encode_invalid: Cell<Invalid>,
    decode_invalid: Cell<bool>,
}

/// What becomes of NaN and the infinities.
#[derive(Clone, Copy, PartialEq)]
enum Invalid {
    Refuse,
    Print,
    Null,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            sparse_convert: Cell::new(false),
            sparse_ratio: Cell::new(2),
            sparse_safe: Cell::new(10),
            encode_depth: Cell::new(1000),
            decode_depth: Cell::new(1000),
            precision: Cell::new(14),
            keep_buffer: Cell::new(true),
            encode_invalid: Cell::new(Invalid::Refuse),
            decode_invalid: Cell::new(true),
        }
    }
}

/// Makes the library.
pub fn library(lua: &Lua) -> Result<Table> {
    let json = lua.create_table()?;
    let options = Rc::new(Options::default());
    json.raw_set("_NAME", "cjson")?;
    json.raw_set("_VERSION", "2.1.0")?;
    json.raw_set("null", NULL)?;
    let o = Rc::clone(&options);
    let encode = move |lua: &Lua, args: MultiValue| encode(lua, &o, &args);
    json.raw_set("encode", lua.create_function(encode)?)?;
    let o = Rc::clone(&options);
    let decode = move |lua: &Lua, args: MultiValue| decode(lua, &o, &args);
    json.raw_set("decode", lua.create_function(decode)?)?;
    json.raw_set("new", lua.create_function(|lua, ()| library(lua))?)?;
    settings(lua, &json, &options)?;
    Ok(json)
}

fn settings(lua: &Lua, json: &Table, options: &Rc<Options>) -> Result<()> {
    let o = Rc::clone(options);
    let sparse = move |lua: &Lua, args: MultiValue| {
        if let Some(Value::Boolean(convert)) = args.front() {
            o.sparse_convert.set(*convert);
        }
        if let Some(n) = integer(lua, &args, 1, 0)? {
            o.sparse_ratio.set(n);
        }
        if let Some(n) = integer(lua, &args, 2, 0)? {
            o.sparse_safe.set(n);
        }
        Ok((
            o.sparse_convert.get(),
            o.sparse_ratio.get(),
            o.sparse_safe.get(),
        ))
    };
    json.raw_set("encode_sparse_array", lua.create_function(sparse)?)?;
    type Depth = fn(&Options) -> &Cell<usize>;
    let numbers: [(&str, Depth, i64); 3] = [
        ("encode_max_depth", |o| &o.encode_depth, i64::from(i32::MAX)),
        ("decode_max_depth", |o| &o.decode_depth, i64::from(i32::MAX)),
        ("encode_number_precision", |o| &o.precision, 16),
    ];
    for (name, cell, most) in numbers {
        let o = Rc::clone(options);
        let set = move |lua: &Lua, args: MultiValue| {
            if let Some(n) = integer(lua, &args, 0, 1)? {
                if n > most {
                    let text = format!(
                        "bad argument #1 to '{name}' (expected integer between 1 and {most})"
                    );
                    return Err(library_error(lua, text));
                }
                cell(&o).set(n as usize);
            }
            Ok(cell(&o).get() as i64)
        };
        json.raw_set(name, lua.create_function(set)?)?;
    }
    let o = Rc::clone(options);
    let keep = move |_: &Lua, args: MultiValue| {
        if let Some(Value::Boolean(keep)) = args.front() {
            o.keep_buffer.set(*keep);
        }
        Ok(o.keep_buffer.get())
    };
    json.raw_set("encode_keep_buffer", lua.create_function(keep)?)?;
    let o = Rc::clone(options);
    let invalid = move |lua: &Lua, args: MultiValue| {
        match args.front() {
            Some(Value::Boolean(true)) => o.encode_invalid.set(Invalid::Print),
            Some(Value::Boolean(false)) => o.encode_invalid.set(Invalid::Refuse),
            Some(Value::String(word)) if *word.as_bytes() == b"null"[..] => {
                o.encode_invalid.set(Invalid::Null);
            }
            _ => {}
        }
        match o.encode_invalid.get() {
            Invalid::Refuse => Ok(Value::Boolean(false)),
            Invalid::Print => Ok(Value::Boolean(true)),
            Invalid::Null => lua.create_string("null").map(Value::String),
        }
    };
    json.raw_set("encode_invalid_numbers", lua.create_function(invalid)?)?;
    let o = Rc::clone(options);
    let invalid = move |_: &Lua, args: MultiValue| {
        if let Some(Value::Boolean(allowed)) = args.front() {
            o.decode_invalid.set(*allowed);
        }
        Ok(o.decode_invalid.get())
    };
    json.raw_set("decode_invalid_numbers", lua.create_function(invalid)?)
}

fn integer(lua: &Lua, args: &MultiValue, at: usize, least: i64) -> Result<Option<i64>> {
    let n = match args.get(at) {
        None | Some(Value::Nil) => return Ok(None),
        Some(Value::Integer(n)) => *n,
        Some(Value::Number(n)) => *n as i64,
        Some(_) => least - 1,
    };
    if n < least {
        let at = at + 1;
        return Err(library_error(
            lua,
            format!("bad argument #{at} (expected integer of at least {least})"),
        ));
    }
    Ok(Some(n))
}

fn encode(lua: &Lua, options: &Options, args: &MultiValue) -> Result<Value> {
    if args.len() != 1 {
        return Err(library_error(
            lua,
            "bad argument #1 to 'encode' (expected 1 argument)",
        ));
    }
    let mut out = Vec::new();
    write(lua, options, &args[0], 0, &mut out)?;
    lua.create_string(out).map(Value::String)
}

fn write(
    lua: &Lua,
    options: &Options,
    value: &Value,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    match value {
        Value::String(text) => write_string(&text.as_bytes(), out),
        Value::Number(n) => write_number(lua, options, *n, out)?,
        Value::Integer(n) => write_number(lua, options, *n as f64, out)?,
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Nil => out.extend_from_slice(b"null"),
        Value::LightUserData(pointer) if pointer.0.is_null() => out.extend_from_slice(b"null"),
        Value::Table(table) => {
            let depth = depth + 1;
            if depth > options.encode_depth.get().min(DEEPEST) {
                let text = format!("Cannot serialise, excessive nesting ({depth})");
                return Err(library_error(lua, text));
            }
            match array_length(lua, options, table)? {
                Some(len) => {
                    out.push(b'[');
                    for i in 1..=len {
                        if i > 1 {
                            out.push(b',');
                        }
                        write(lua, options, &table.raw_get(i)?, depth, out)?;
                    }
                    out.push(b']');
                }
                None => write_object(lua, options, table, depth, out)?,
            }
        }
        other => {
            let text = format!("Cannot serialise {}: type not supported", other.type_name());
            return Err(library_error(lua, text));
        }
    }
    Ok(())
}

fn write_object(
    lua: &Lua,
    options: &Options,
    table: &Table,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    out.push(b'{');
    let mut first = true;
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        if !first {
            out.push(b',');
        }
        first = false;
        match key {
            Value::String(text) => write_string(&text.as_bytes(), out),
            Value::Number(_) | Value::Integer(_) => {
                out.push(b'"');
                write(lua, options, &key, depth, out)?;
                out.push(b'"');
            }
            _ => {
                let text = format!(
                    "Cannot serialise {}: table key must be a number or string",
                    key.type_name()
                );
                return Err(library_error(lua, text));
            }
        }
        out.push(b':');
        write(lua, options, &value, depth, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// How long the array is; `None` for a table that is none.
fn array_length(lua: &Lua, options: &Options, table: &Table) -> Result<Option<i64>> {
    let (mut highest, mut items) = (0i64, 0i64);
    for pair in table.pairs::<Value, Value>() {
        let index = match pair?.0 {
            Value::Integer(n) => n,
            Value::Number(n) if n.fract() == 0.0 => n as i64,
            _ => return Ok(None),
        };
        if index < 1 {
            return Ok(None);
        }
        highest = highest.max(index);
        items += 1;
    }
    let ratio = options.sparse_ratio.get();
    if ratio > 0 && highest > items.saturating_mul(ratio) && highest > options.sparse_safe.get() {
        if !options.sparse_convert.get() {
            return Err(library_error(
                lua,
                "Cannot serialise table: excessively sparse array",
            ));
        }
        return Ok(None);
    }
    // An empty table is an object.
    Ok((items > 0).then_some(highest))
}

fn write_number(lua: &Lua, options: &Options, n: f64, out: &mut Vec<u8>) -> Result<()> {
    if !n.is_finite() {
        match options.encode_invalid.get() {
            Invalid::Refuse => {
                return Err(library_error(
                    lua,
                    "Cannot serialise number: must not be NaN or Inf",
                ));
            }
            Invalid::Null => {
                out.extend_from_slice(b"null");
                return Ok(());
            }
            Invalid::Print if n.is_nan() => {
                out.extend_from_slice(b"nan");
                return Ok(());
            }
            Invalid::Print => {}
        }
    }
    out.extend_from_slice(format_g(n, options.precision.get()).as_bytes());
    Ok(())
}

fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'/' => out.extend_from_slice(b"\\/"),
            8 => out.extend_from_slice(b"\\b"),
            9 => out.extend_from_slice(b"\\t"),
            10 => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            13 => out.extend_from_slice(b"\\r"),
            0..=31 | 127 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn decode(lua: &Lua, options: &Options, args: &MultiValue) -> Result<Value> {
    let text = match args.front() {
        Some(Value::String(text)) if args.len() == 1 => text.as_bytes().to_vec(),
        Some(Value::Integer(n)) if args.len() == 1 => n.to_string().into_bytes(),
        Some(Value::Number(n)) if args.len() == 1 => format_g(*n, 14).into_bytes(),
        other => {
            let got = other.map_or("no value", Value::type_name);
            let text = format!("bad argument #1 to 'decode' (string expected, got {got})");
            return Err(library_error(lua, text));
        }
    };
    if text.get(..2).is_some_and(|head| head.contains(&0)) {
        return Err(library_error(
            lua,
            "JSON parser does not support UTF-16 or UTF-32",
        ));
    }
    let mut parser = Parser {
        lua,
        text: &text,
        at: 0,
        broken_at: 0,
        invalid: options.decode_invalid.get(),
        most: options.decode_depth.get(),
    };
    let token = parser.token()?;
    let value = parser.value(token, 0)?;
    let (end, place) = parser.token()?;
    match end {
        Token::End => Ok(value),
        other => Err(parser.expected("the end", &other, place)),
    }
}

enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Broken(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::String(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Broken(what) => what,
        }
    }
}

struct Parser<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
    /// Where a string was found to be broken.
    broken_at: usize,
    invalid: bool,
    most: usize,
}

impl Parser<'_> {
    fn expected(&self, what: &str, found: &Token, place: usize) -> mlua::Error {
        let text = format!(
            "Expected {what} but found {} at character {}",
            found.name(),
            place + 1
        );
        library_error(self.lua, text)
    }

    fn value(&mut self, (token, place): (Token, usize), depth: usize) -> Result<Value> {
        match token {
            Token::String(text) => self.lua.create_string(text).map(Value::String),
            Token::Number(n) => Ok(Value::Number(n)),
            Token::Boolean(b) => Ok(Value::Boolean(b)),
            Token::Null => Ok(Value::LightUserData(NULL)),
            Token::ObjectBegin => self.object(self.deeper(depth)?),
            Token::ArrayBegin => self.array(self.deeper(depth)?),
            other => Err(self.expected("value", &other, place)),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize> {
        let depth = depth + 1;
        if depth > self.most.min(DEEPEST) {
            let text = format!(
                "Found too many nested data structures ({depth}) at character {}",
                self.at
            );
            return Err(library_error(self.lua, text));
        }
        Ok(depth)
    }

    fn object(&mut self, depth: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        let (mut token, mut place) = self.token()?;
        if matches!(token, Token::ObjectEnd) {
            return Ok(Value::Table(table));
        }
        loop {
            let Token::String(key) = token else {
                return Err(self.expected("object key string", &token, place));
            };
            (token, place) = self.token()?;
            if !matches!(token, Token::Colon) {
                return Err(self.expected("colon", &token, place));
            }
            let next = self.token()?;
            let value = self.value(next, depth)?;
            table.raw_set(self.lua.create_string(key)?, value)?;
            (token, place) = self.token()?;
            match token {
                Token::ObjectEnd => return Ok(Value::Table(table)),
                Token::Comma => (token, place) = self.token()?,
                other => return Err(self.expected("comma or object end", &other, place)),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        let mut next = self.token()?;
        if matches!(next.0, Token::ArrayEnd) {
            return Ok(Value::Table(table));
        }
        for i in 1.. {
            let value = self.value(next, depth)?;
            table.raw_set(i, value)?;
            let (token, place) = self.token()?;
            match token {
                Token::ArrayEnd => break,
                Token::Comma => {}
                other => return Err(self.expected("comma or array end", &other, place)),
            }
            next = self.token()?;
        }
        Ok(Value::Table(table))
    }

    /// The next token, and where it begins.
    fn token(&mut self) -> Result<(Token, usize)> {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        let place = self.at;
        let Some(&first) = self.text.get(self.at) else {
            return Ok((Token::End, place));
        };
        let single = match first {
            b'{' => Some(Token::ObjectBegin),
            b'}' => Some(Token::ObjectEnd),
            b'[' => Some(Token::ArrayBegin),
            b']' => Some(Token::ArrayEnd),
            b':' => Some(Token::Colon),
            b',' => Some(Token::Comma),
            _ => None,
        };
        if let Some(token) = single {
            self.at += 1;
            return Ok((token, place));
        }
        if first == b'"' {
            let token = self.string();
            // What is wrong in a string is told with its own place.
            let place = match token {
                Token::Broken(_) => self.broken_at,
                _ => place,
            };
            return Ok((token, place));
        }
        if first == b'-' || first.is_ascii_digit() {
            return Ok((self.number(), place));
        }
        for (word, token) in [
            (&b"true"[..], Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok((token, place));
            }
        }
        let word = self.text[self.at..].iter().take(3);
        let word: Vec<u8> = word.map(u8::to_ascii_lowercase).collect();
        if self.invalid && (word == b"nan" || word == b"inf") {
            return Ok((self.number(), place));
        }
        Ok((Token::Broken("invalid token"), place))
    }

    fn number(&mut self) -> Token {
        let rest = &self.text[self.at..];
        let len = rest
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))
            .unwrap_or(rest.len());
        let word = String::from_utf8_lossy(&rest[..len]).to_ascii_lowercase();
        let plain = word.trim_start_matches('-');
        let odd = plain.starts_with("0x")
            || plain.starts_with("inf")
            || plain.starts_with("nan")
            || plain.len() > 1 && plain.starts_with('0') && plain.as_bytes()[1].is_ascii_digit();
        if odd && !self.invalid {
            return Token::Broken("invalid number");
        }
        let value = match plain.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok().map(|n| {
                if word.starts_with('-') {
                    -(n as f64)
                } else {
                    n as f64
                }
            }),
            None => word.parse().ok(),
        };
        match value {
            Some(value) => {
                self.at += len;
                Token::Number(value)
            }
            None => Token::Broken("invalid number"),
        }
    }

    fn string(&mut self) -> Token {
        let mut out = Vec::new();
        self.at += 1;
        loop {
            self.broken_at = self.at;
            let Some(&byte) = self.text.get(self.at) else {
                return Token::Broken("unexpected end of string");
            };
            self.at += 1;
            match byte {
                b'"' => return Token::String(out),
                b'\\' => {
                    let Some(&escape) = self.text.get(self.at) else {
                        return Token::Broken("unexpected end of string");
                    };
                    self.at += 1;
                    match escape {
                        b'"' | b'\\' | b'/' => out.push(escape),
                        b'b' => out.push(8),
                        b'f' => out.push(12),
                        b'n' => out.push(b'\n'),
                        b'r' => out.push(b'\r'),
                        b't' => out.push(b'\t'),
                        b'u' => match self.unicode() {
                            Some(c) => out.extend_from_slice(&c),
                            None => return Token::Broken("invalid unicode escape code"),
                        },
                        _ => return Token::Broken("invalid escape code"),
                    }
                }
                0..=31 => return Token::Broken("invalid token"),
                _ => out.push(byte),
            }
        }
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        let digits = std::str::from_utf8(digits).ok()?;
        let value = u32::from_str_radix(digits, 16).ok()?;
        self.at += 4;
        Some(value)
    }

    fn unicode(&mut self) -> Option<Vec<u8>> {
        let high = self.four_digits()?;
        let code = match high {
            0xd800..=0xdbff => {
                if self.text.get(self.at..self.at + 2)? != b"\\u" {
                    return None;
                }
                self.at += 2;
                let low = self.four_digits()?;
                if !(0xdc00..=0xdfff).contains(&low) {
                    return None;
                }
                0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
            }
            0xdc00..=0xdfff => return None,
            code => code,
        };
        char::from_u32(code).map(|c| c.to_string().into_bytes())
    }
}

/// However the settings are, nothing nests deeper: the parser's own stack is bounded.
const DEEPEST: usize = 1000;
/// What `null` is for scripts.
const NULL: LightUserData = LightUserData(std::ptr::null_mut());
