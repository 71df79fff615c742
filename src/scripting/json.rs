//! The library `cjson`.

use super::api::{bad_argument, library_error, text_at};
use super::base::behind_face;
use super::json_number;
use super::json_settings::{self, Invalid, Options};
use crate::number::format_g;
use mlua::{LightUserData, Lua, MultiValue, Result, Table, Value};
use std::rc::Rc;

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
    json_settings::add(lua, &json, &options)?;
    Ok(json)
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
            let behind = behind_face(lua, table);
            let table = behind.as_ref().unwrap_or(table);
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
        // What is beyond the library's own integers is no index either.
        if !(1..=i64::from(i32::MAX)).contains(&index) {
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
    if args.len() != 1 {
        return Err(bad_argument(lua, 0, "decode", "expected 1 argument"));
    }
    let text = text_at(lua, args, 0, "decode")?;
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
        // A text of C ends with its first NUL.
        let first = match self.text.get(self.at) {
            None | Some(0) => return Ok((Token::End, place)),
            Some(first) => *first,
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
        if matches!(first, b'-' | b'+') || first.is_ascii_digit() {
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

    /// A number, as far as C reads one; the rest is the next token.
    fn number(&mut self) -> Token {
        let rest = &self.text[self.at..];
        let plain = rest.strip_prefix(b"-").unwrap_or(rest);
        let odd = match plain {
            [b'0', b'x' | b'X' | b'0'..=b'9', ..] => true,
            [first, ..] => !first.is_ascii_digit(),
            [] => true,
        };
        if odd && !self.invalid {
            return Token::Broken("invalid number");
        }
        match json_number::read(rest) {
            Some((value, len)) => {
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
                0 => return Token::Broken("unexpected end of string"),
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
