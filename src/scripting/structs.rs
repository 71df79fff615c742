//! The library `struct`: values packed into bytes by a format.

use super::api::{bad_argument, library_error, number_at, text_at};
use mlua::{Lua, MultiValue, Result, Table, Value};

/// Makes the library.
pub fn library(lua: &Lua) -> Result<Table> {
    let library = lua.create_table()?;
    library.raw_set("pack", lua.create_function(pack)?)?;
    library.raw_set("unpack", lua.create_function(unpack)?)?;
    library.raw_set("size", lua.create_function(size)?)?;
    Ok(library)
}

/// One item of a format.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    /// An integer of so many bytes.
    Int {
        size: usize,
        signed: bool,
    },
    Float,
    Double,
    /// A string up to its NUL.
    Zero,
    /// So many bytes; 0 for as many as the value before says, or all of a string.
    Chars(usize),
    /// One byte of padding.
    Pad,
}

struct Format<'a> {
    lua: &'a Lua,
    function: &'static str,
    text: &'a [u8],
    at: usize,
    little: bool,
    align: usize,
}

impl<'a> Format<'a> {
    fn new(lua: &'a Lua, function: &'static str, text: &'a [u8]) -> Self {
        Format {
            lua,
            function,
            text,
            at: 0,
            little: true,
            align: 1,
        }
    }

    fn number(&mut self) -> Result<Option<usize>> {
        let start = self.at;
        let mut value: usize = 0;
        while let Some(digit) = self.text.get(self.at).filter(|b| b.is_ascii_digit()) {
            value = value
                .checked_mul(10)
                .and_then(|v| v.checked_add(usize::from(digit - b'0')))
                .filter(|v| *v <= i32::MAX as usize)
                .ok_or_else(|| library_error(self.lua, "integral size overflow"))?;
            self.at += 1;
        }
        Ok((self.at > start).then_some(value))
    }

    fn integer(&mut self, default: usize, signed: bool) -> Result<Item> {
        let size = self.number()?.unwrap_or(default);
        if size > 32 {
            let text = format!("integral size {size} is larger than limit of 32");
            return Err(library_error(self.lua, text));
        }
        Ok(Item::Int { size, signed })
    }

    /// The next item; options on the way are taken in.
    fn next(&mut self) -> Result<Option<Item>> {
        while let Some(&option) = self.text.get(self.at) {
            self.at += 1;
            return Ok(Some(match option {
                b'b' => Item::Int {
                    size: 1,
                    signed: true,
                },
                b'B' => Item::Int {
                    size: 1,
                    signed: false,
                },
                b'h' => Item::Int {
                    size: 2,
                    signed: true,
                },
                b'H' => Item::Int {
                    size: 2,
                    signed: false,
                },
                b'l' => Item::Int {
                    size: 8,
                    signed: true,
                },
                b'L' | b'T' => Item::Int {
                    size: 8,
                    signed: false,
                },
                b'i' => self.integer(4, true)?,
                b'I' => self.integer(4, false)?,
                b'f' => Item::Float,
                b'd' => Item::Double,
                b's' => Item::Zero,
                b'c' => Item::Chars(self.number()?.unwrap_or(1)),
                b'x' => Item::Pad,
                b' ' => continue,
                b'<' => {
                    self.little = true;
                    continue;
                }
                b'>' => {
                    self.little = false;
                    continue;
                }
                b'!' => {
                    let align = self.number()?.unwrap_or(8);
                    if align == 0 || !align.is_power_of_two() {
                        let text = format!("alignment {align} is not a power of 2");
                        return Err(library_error(self.lua, text));
                    }
                    self.align = align;
                    continue;
                }
                // `size` takes what it does not know for nothing.
                _ if self.function == "size" => continue,
                other => {
                    let text = format!(
                        "bad argument #1 to '{}' (invalid format option '{}')",
                        self.function,
                        char::from(other)
                    );
                    return Err(library_error(self.lua, text));
                }
            }));
        }
        Ok(None)
    }

    /// How many bytes of padding come before an item at `at`.
    fn padding(&self, item: Item, at: usize) -> usize {
        let size = match item {
            Item::Int { size, .. } => size,
            Item::Float => 4,
            Item::Double => 8,
            Item::Zero | Item::Chars(_) | Item::Pad => return 0,
        };
        let align = size.min(self.align);
        if align <= 1 || !align.is_power_of_two() {
            return 0;
        }
        (align - (at & (align - 1))) & (align - 1)
    }
}

/// An argument of `pack`, for which what is missing is nil.
fn packed<T>(
    lua: &Lua,
    args: &MultiValue,
    at: usize,
    read: fn(&Lua, &MultiValue, usize, &str) -> Result<T>,
) -> Result<T> {
    if at < args.len() {
        return read(lua, args, at, "pack");
    }
    let mut args = args.clone();
    args.push_back(Value::Nil);
    read(lua, &args, at, "pack")
}

/// A number as C turns it into 64 bits.
fn bits(n: f64) -> u64 {
    const END: f64 = 18_446_744_073_709_551_616.0;
    match n {
        n if n < 0.0 => n as i64 as u64,
        n if n < END => n as u64,
        _ => 0,
    }
}

fn pack(lua: &Lua, args: MultiValue) -> Result<Value> {
    let format = text_at(lua, &args, 0, "pack")?;
    let mut format = Format::new(lua, "pack", &format);
    let (mut out, mut arg) = (Vec::new(), 1);
    while let Some(item) = format.next()? {
        out.extend(std::iter::repeat_n(0, format.padding(item, out.len())));
        match item {
            Item::Pad => {
                out.push(0);
                continue;
            }
            Item::Int { size, .. } => {
                let n = packed(lua, &args, arg, number_at)?;
                let mut bytes = bits(n).to_le_bytes().to_vec();
                bytes.resize(size.max(8), 0);
                bytes.truncate(size);
                if !format.little {
                    bytes.reverse();
                }
                out.extend_from_slice(&bytes);
            }
            Item::Float => {
                let n = packed(lua, &args, arg, number_at)? as f32;
                let bytes = if format.little {
                    n.to_le_bytes()
                } else {
                    n.to_be_bytes()
                };
                out.extend_from_slice(&bytes);
            }
            Item::Double => {
                let n = packed(lua, &args, arg, number_at)?;
                let bytes = if format.little {
                    n.to_le_bytes()
                } else {
                    n.to_be_bytes()
                };
                out.extend_from_slice(&bytes);
            }
            Item::Zero => {
                out.extend_from_slice(&packed(lua, &args, arg, text_at)?);
                out.push(0);
            }
            Item::Chars(size) => {
                let value = packed(lua, &args, arg, text_at)?;
                let size = if size == 0 { value.len() } else { size };
                let Some(part) = value.get(..size) else {
                    return Err(bad_argument(lua, arg + 1, "pack", "string too short"));
                };
                out.extend_from_slice(part);
            }
        }
        arg += 1;
    }
    lua.create_string(out).map(Value::String)
}

fn unpack(lua: &Lua, args: MultiValue) -> Result<MultiValue> {
    let format = text_at(lua, &args, 0, "unpack")?;
    let data = text_at(lua, &args, 1, "unpack")?;
    let start = match args.get(2) {
        None | Some(Value::Nil) => 1.0,
        Some(_) => number_at(lua, &args, 2, "unpack")?.trunc(),
    };
    if start == 0.0 {
        let what = "offset must be 1 or greater";
        return Err(bad_argument(lua, 2, "unpack", what));
    }
    // What is negative lies behind every end.
    let mut at = if start < 0.0 {
        usize::MAX
    } else {
        start as usize - 1
    };
    let mut format = Format::new(lua, "unpack", &format);
    let mut values: Vec<Value> = Vec::new();
    let short = || library_error(lua, "bad argument #2 to 'unpack' (data string too short)");
    while let Some(item) = format.next()? {
        at = at.saturating_add(format.padding(item, at));
        let rest = data.get(at..).ok_or_else(short)?;
        let size = match item {
            Item::Pad => 1,
            Item::Int { size, .. } => size,
            Item::Float => 4,
            Item::Double => 8,
            Item::Zero => {
                let end = memchr::memchr(0, rest)
                    .ok_or_else(|| library_error(lua, "unfinished string in data"))?;
                values.push(Value::String(lua.create_string(&rest[..end])?));
                at += end + 1;
                continue;
            }
            Item::Chars(0) => {
                let size = values
                    .pop()
                    .map_or(Ok(None), |size| lua.coerce_number(size))?;
                let Some(size) = size else {
                    return Err(library_error(lua, "format 'c0' needs a previous size"));
                };
                if size < 0.0 {
                    usize::MAX
                } else {
                    size as usize
                }
            }
            Item::Chars(size) => size,
        };
        let bytes = rest.get(..size).ok_or_else(short)?;
        at += size;
        values.push(match item {
            Item::Pad => continue,
            Item::Int { signed, .. } => Value::Number(read_int(bytes, signed, format.little)),
            Item::Float => {
                let mut raw = [0; 4];
                raw.copy_from_slice(bytes);
                let n = if format.little {
                    f32::from_le_bytes(raw)
                } else {
                    f32::from_be_bytes(raw)
                };
                Value::Number(f64::from(n))
            }
            Item::Double => {
                let mut raw = [0; 8];
                raw.copy_from_slice(bytes);
                Value::Number(if format.little {
                    f64::from_le_bytes(raw)
                } else {
                    f64::from_be_bytes(raw)
                })
            }
            Item::Zero | Item::Chars(_) => Value::String(lua.create_string(bytes)?),
        });
    }
    values.push(Value::Number((at + 1) as f64));
    Ok(MultiValue::from_vec(values))
}

/// The lowest 64 bits of an integer.
fn read_int(bytes: &[u8], signed: bool, little: bool) -> f64 {
    let mut le = bytes.to_vec();
    if !little {
        le.reverse();
    }
    let negative = signed && le.last().is_some_and(|top| top & 0x80 != 0);
    let mut raw = [if negative { 0xff } else { 0 }; 8];
    for (to, from) in raw.iter_mut().zip(&le) {
        *to = *from;
    }
    if signed {
        i64::from_le_bytes(raw) as f64
    } else {
        u64::from_le_bytes(raw) as f64
    }
}

fn size(lua: &Lua, args: MultiValue) -> Result<f64> {
    let format = text_at(lua, &args, 0, "size")?;
    let mut format = Format::new(lua, "size", &format);
    let mut total: usize = 0;
    while let Some(item) = format.next()? {
        total = total.saturating_add(format.padding(item, total));
        total = total.saturating_add(match item {
            Item::Pad => 1,
            Item::Int { size, .. } => size,
            Item::Float => 4,
            Item::Double => 8,
            Item::Zero => {
                let what = "option 's' has no fixed size";
                return Err(bad_argument(lua, 0, "size", what));
            }
            Item::Chars(0) => {
                let what = "option 'c0' has no fixed size";
                return Err(bad_argument(lua, 0, "size", what));
            }
            Item::Chars(size) => size,
        });
    }
    Ok(total as f64)
}
