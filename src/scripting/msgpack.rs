//! The library `cmsgpack`.

use super::api::{library_error, number_at, text_at};
use super::base::behind_face;
use mlua::{Lua, MultiValue, Result, Table, Value};

/// Makes the library.
pub fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    library.raw_set("_NAME", "cmsgpack")?;
    library.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    library.raw_set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    library.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    library.raw_set("pack", lua.create_function(pack)?)?;
    library.raw_set("unpack", lua.create_function(unpack_all)?)?;
    library.raw_set("unpack_one", lua.create_function(unpack_one)?)?;
    library.raw_set("unpack_limit", lua.create_function(unpack_limit)?)?;
    Ok(library)
}

fn pack(lua: &Lua, args: MultiValue) -> Result<Value> {
    if args.is_empty() {
        return Err(library_error(
            lua,
            "bad argument #0 to 'pack' (MessagePack pack needs input.)",
        ));
    }
    let mut out = Vec::new();
    for value in &args {
        write(lua, value, 0, &mut out)?;
    }
    lua.create_string(out).map(Value::String)
}

fn write(lua: &Lua, value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::String(text) => {
            let text = text.as_bytes();
            match text.len() {
                len @ 0..32 => out.push(0xa0 | len as u8),
                len @ 32..256 => out.extend_from_slice(&[0xd9, len as u8]),
                len @ 256..65_536 => {
                    out.push(0xda);
                    out.extend_from_slice(&(len as u16).to_be_bytes());
                }
                len => {
                    out.push(0xdb);
                    out.extend_from_slice(&(len as u32).to_be_bytes());
                }
            }
            out.extend_from_slice(&text);
        }
        Value::Boolean(b) => out.push(if *b { 0xc3 } else { 0xc2 }),
        Value::Integer(n) => write_int(*n, out),
        Value::Number(n) if n.fract() == 0.0 && n.abs() < 9.2e18 => write_int(*n as i64, out),
        Value::Number(n) if f64::from(*n as f32) == *n => {
            out.push(0xca);
            out.extend_from_slice(&(*n as f32).to_be_bytes());
        }
        Value::Number(n) => {
            out.push(0xcb);
            out.extend_from_slice(&n.to_be_bytes());
        }
        // Tables beyond the library's depth are packed as nil, as everything unknown is.
        Value::Table(table) if depth < MAX_NESTING => {
            let behind = behind_face(lua, table);
            write_table(lua, behind.as_ref().unwrap_or(table), depth, out)?;
        }
        _ => out.push(0xc0),
    }
    Ok(())
}

fn write_int(n: i64, out: &mut Vec<u8>) {
    match n {
        0..=127 => out.push(n as u8),
        128..=0xff => out.extend_from_slice(&[0xcc, n as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend_from_slice(&(n as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend_from_slice(&(n as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend_from_slice(&(n as u64).to_be_bytes());
        }
        -32..=-1 => out.push(n as i8 as u8),
        -128..=-33 => out.extend_from_slice(&[0xd0, n as i8 as u8]),
        -0x8000..=-129 => {
            out.push(0xd1);
            out.extend_from_slice(&(n as i16).to_be_bytes());
        }
        -0x8000_0000..=-0x8001 => {
            out.push(0xd2);
            out.extend_from_slice(&(n as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

fn write_table(lua: &Lua, table: &Table, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    let pairs: Vec<(Value, Value)> = table.pairs().collect::<Result<_>>()?;
    let mut highest = 0usize;
    let is_array = pairs.iter().all(|(key, _)| {
        let index = match key {
            Value::Integer(n) => *n as f64,
            Value::Number(n) => *n,
            _ => return false,
        };
        highest = highest.max(index as usize);
        index > 0.0 && index.fract() == 0.0
    }) && highest == pairs.len();
    let head = |out: &mut Vec<u8>, small: u8, wide: [u8; 2], len: usize| match len {
        0..16 => out.push(small | len as u8),
        16..65_536 => {
            out.push(wide[0]);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(wide[1]);
            out.extend_from_slice(&(len as u32).to_be_bytes());
        }
    };
    if is_array {
        head(out, 0x90, [0xdc, 0xdd], pairs.len());
        for i in 1..=pairs.len() {
            write(lua, &table.raw_get(i)?, depth + 1, out)?;
        }
        return Ok(());
    }
    head(out, 0x80, [0xde, 0xdf], pairs.len());
    for (key, value) in &pairs {
        write(lua, key, depth + 1, out)?;
        write(lua, value, depth + 1, out)?;
    }
    Ok(())
}

/// A whole number among the arguments; `default` where there is none.
fn whole(
    lua: &Lua,
    args: &MultiValue,
    at: usize,
    default: Option<i64>,
    function: &str,
) -> Result<i64> {
    match (args.get(at), default) {
        (None | Some(Value::Nil), Some(default)) => Ok(default),
        _ => Ok(number_at(lua, args, at, function)? as i64),
    }
}

fn unpack_all(lua: &Lua, args: MultiValue) -> Result<MultiValue> {
    let data = text_at(lua, &args, 0, "unpack")?;
    from_offset(lua, &data, 0, 0)
}

fn unpack_one(lua: &Lua, args: MultiValue) -> Result<MultiValue> {
    let name = "unpack_one";
    let data = text_at(lua, &args, 0, name)?;
    from_offset(lua, &data, 1, whole(lua, &args, 1, Some(0), name)?)
}

fn unpack_limit(lua: &Lua, args: MultiValue) -> Result<MultiValue> {
    let name = "unpack_limit";
    let data = text_at(lua, &args, 0, name)?;
    let limit = whole(lua, &args, 1, None, name)?;
    from_offset(lua, &data, limit, whole(lua, &args, 2, Some(0), name)?)
}

/// Some values, and in front of them where the next one begins; -1 at the end. No limit and no
/// offset: all values, and nothing in front.
fn from_offset(lua: &Lua, data: &[u8], limit: i64, offset: i64) -> Result<MultiValue> {
    if limit < 0 || offset < 0 {
        let text = format!(
            "Invalid request to unpack with offset of {offset} and limit of {}.",
            data.len()
        );
        return Err(library_error(lua, text));
    }
    let start = offset as usize;
    if start > data.len() {
        let text = format!(
            "Start offset {offset} greater than input length {}.",
            data.len()
        );
        return Err(library_error(lua, text));
    }
    if limit == 0 && offset == 0 {
        let (values, _) = unpack(lua, data, 0, usize::MAX)?;
        return Ok(MultiValue::from_vec(values));
    }
    let (mut values, end) = unpack(lua, data, start, limit as usize)?;
    let next = if end == data.len() { -1.0 } else { end as f64 };
    values.insert(0, Value::Number(next));
    Ok(MultiValue::from_vec(values))
}

fn unpack(lua: &Lua, data: &[u8], from: usize, most: usize) -> Result<(Vec<Value>, usize)> {
    let mut reader = Reader {
        lua,
        data,
        at: from,
    };
    let mut values = Vec::new();
    while reader.at < data.len() && values.len() < most {
        if values.len() == MOST_VALUES {
            return Err(library_error(lua, TOO_MANY));
        }
        values.push(reader.value(0)?);
    }
    Ok((values, reader.at))
}

struct Reader<'a> {
    lua: &'a Lua,
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(len);
        let bytes = end.and_then(|end| self.data.get(self.at..end));
        let bytes = bytes.ok_or_else(|| library_error(self.lua, "Missing bytes in input."))?;
        self.at += len;
        Ok(bytes)
    }

    fn uint(&mut self, len: usize) -> Result<u64> {
        let bytes = self.take(len)?;
        Ok(bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        let first = self.take(1)?[0];
        Ok(match first {
            0x00..=0x7f => Value::Number(f64::from(first)),
            0xe0..=0xff => Value::Number(f64::from(first as i8)),
            0x80..=0x8f => self.map(usize::from(first & 0x0f), depth)?,
            0x90..=0x9f => self.array(usize::from(first & 0x0f), depth)?,
            0xa0..=0xbf => self.string(usize::from(first & 0x1f))?,
            0xc0 => Value::Nil,
            0xc2 => Value::Boolean(false),
            0xc3 => Value::Boolean(true),
            0xca => Value::Number(f64::from(f32::from_bits(self.uint(4)? as u32))),
            0xcb => Value::Number(f64::from_bits(self.uint(8)?)),
            0xcc..=0xce => Value::Number(self.uint(1 << (first - 0xcc))? as f64),
            // As the library has it: with a sign.
            0xcf => Value::Number(self.uint(8)? as i64 as f64),
            0xd0..=0xd3 => {
                let len = 1 << (first - 0xd0);
                let shift = 64 - 8 * len as u32;
                Value::Number(((self.uint(len)? << shift) as i64 >> shift) as f64)
            }
            0xd9..=0xdb => {
                let len = self.uint(1 << (first - 0xd9))? as usize;
                self.string(len)?
            }
            0xdc | 0xdd => {
                let len = self.uint(2 << (first - 0xdc))? as usize;
                self.array(len, depth)?
            }
            0xde | 0xdf => {
                let len = self.uint(2 << (first - 0xde))? as usize;
                self.map(len, depth)?
            }
            _ => return Err(library_error(self.lua, "Bad data format in input.")),
        })
    }

    fn string(&mut self, len: usize) -> Result<Value> {
        let bytes = self.take(len)?;
        self.lua.create_string(bytes).map(Value::String)
    }

    fn array(&mut self, len: usize, depth: usize) -> Result<Value> {
        if depth >= DEEPEST {
            let text = "stack overflow (in function mp_decode_to_lua_array)";
            return Err(library_error(self.lua, text));
        }
        let table = self.lua.create_table()?;
        for i in 1..=len {
            let value = self.value(depth + 1)?;
            table.raw_set(i, value)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: usize, depth: usize) -> Result<Value> {
        if depth >= DEEPEST {
            return Err(library_error(self.lua, TOO_MANY));
        }
        let table = self.lua.create_table()?;
        for _ in 0..len {
            let key = self.value(depth + 1)?;
            let value = self.value(depth + 1)?;
            let fault = match &key {
                Value::Nil => "table index is nil",
                Value::Number(n) if n.is_nan() => "table index is NaN",
                _ => {
                    table.raw_set(key, value)?;
                    continue;
                }
            };
            return Err(mlua::Error::RuntimeError(fault.into()));
        }
        Ok(Value::Table(table))
    }
}

/// How deep tables are packed.
const MAX_NESTING: usize = 16;
/// How deep data from outside may nest; a worker's stack has room for several times that.
const DEEPEST: usize = 3999;
/// How many values there is room for on Lua's stack, with what is on it besides.
const MOST_VALUES: usize = 7990;
const TOO_MANY: &str = "stack overflow (too many return values at once; use unpack_one or \
     unpack_limit instead.)";
