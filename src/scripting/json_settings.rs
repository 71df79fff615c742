//! The settings of `cjson`, and the functions with which scripts change them.

use super::api::{bad_argument, number_at, text_at};
use mlua::{Lua, MultiValue, Result, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// What the library's settings functions change; each has the defaults of lua-cjson.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) sparse_convert: Cell<bool>,
    pub(super) sparse_ratio: Cell<i64>,
    pub(super) sparse_safe: Cell<i64>,
    pub(super) encode_depth: Cell<usize>,
    pub(super) decode_depth: Cell<usize>,
    pub(super) precision: Cell<usize>,
    keep_buffer: Cell<bool>,
    pub(super) encode_invalid: Cell<Invalid>,
    pub(super) decode_invalid: Cell<bool>,
}

/// What becomes of NaN and the infinities.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Invalid {
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

/// Adds the functions to the library.
pub(super) fn add(lua: &Lua, json: &Table, options: &Rc<Options>) -> Result<()> {
    let o = Rc::clone(options);
    let sparse = move |lua: &Lua, args: MultiValue| {
        let name = "encode_sparse_array";
        at_most(lua, &args, 3, name)?;
        if let Some(choice) = choose(lua, &args, &["off", "on"], name)? {
            o.sparse_convert.set(choice == 1);
        }
        if let Some(ratio) = integer(lua, &args, 1, (0, MOST), name)? {
            o.sparse_ratio.set(ratio);
        }
        if let Some(safe) = integer(lua, &args, 2, (0, MOST), name)? {
            o.sparse_safe.set(safe);
        }
        Ok((
            o.sparse_convert.get(),
            o.sparse_ratio.get(),
            o.sparse_safe.get(),
        ))
    };
    json.raw_set("encode_sparse_array", lua.create_function(sparse)?)?;
    type Number = fn(&Options) -> &Cell<usize>;
    let numbers: [(&str, Number, i64); 3] = [
        ("encode_max_depth", |o| &o.encode_depth, MOST),
        ("decode_max_depth", |o| &o.decode_depth, MOST),
        ("encode_number_precision", |o| &o.precision, 14),
    ];
    for (name, cell, most) in numbers {
        let o = Rc::clone(options);
        let set = move |lua: &Lua, args: MultiValue| {
            at_most(lua, &args, 1, name)?;
            if let Some(n) = integer(lua, &args, 0, (1, most), name)? {
                cell(&o).set(n as usize);
            }
            Ok(cell(&o).get() as i64)
        };
        json.raw_set(name, lua.create_function(set)?)?;
    }
    switches(lua, json, options)
}

fn switches(lua: &Lua, json: &Table, options: &Rc<Options>) -> Result<()> {
    type Switch = fn(&Options) -> &Cell<bool>;
    let both: [(&str, Switch); 2] = [
        ("encode_keep_buffer", |o| &o.keep_buffer),
        ("decode_invalid_numbers", |o| &o.decode_invalid),
    ];
    for (name, cell) in both {
        let o = Rc::clone(options);
        let set = move |lua: &Lua, args: MultiValue| {
            at_most(lua, &args, 1, name)?;
            if let Some(choice) = choose(lua, &args, &["off", "on"], name)? {
                cell(&o).set(choice == 1);
            }
            Ok(cell(&o).get())
        };
        json.raw_set(name, lua.create_function(set)?)?;
    }
    let o = Rc::clone(options);
    let invalid = move |lua: &Lua, args: MultiValue| {
        let name = "encode_invalid_numbers";
        at_most(lua, &args, 1, name)?;
        match choose(lua, &args, &["off", "on", "null"], name)? {
            Some(0) => o.encode_invalid.set(Invalid::Refuse),
            Some(1) => o.encode_invalid.set(Invalid::Print),
            Some(_) => o.encode_invalid.set(Invalid::Null),
            None => {}
        }
        match o.encode_invalid.get() {
            Invalid::Refuse => Ok(Value::Boolean(false)),
            Invalid::Print => Ok(Value::Boolean(true)),
            Invalid::Null => lua.create_string("null").map(Value::String),
        }
    };
    json.raw_set("encode_invalid_numbers", lua.create_function(invalid)?)
}

fn at_most(lua: &Lua, args: &MultiValue, most: usize, function: &str) -> Result<()> {
    match args.len() <= most {
        true => Ok(()),
        false => Err(bad_argument(
            lua,
            most,
            function,
            "found too many arguments",
        )),
    }
}

/// A number among the arguments, if it is given, between two others. The library complains of
/// its first argument, whichever is out of bounds.
fn integer(
    lua: &Lua,
    args: &MultiValue,
    at: usize,
    (least, most): (i64, i64),
    function: &str,
) -> Result<Option<i64>> {
    if matches!(args.get(at), None | Some(Value::Nil)) {
        return Ok(None);
    }
    let n = i64::from(number_at(lua, args, at, function)? as i64 as i32);
    if !(least..=most).contains(&n) {
        let what = format!("expected integer between {least} and {most}");
        return Err(bad_argument(lua, 0, function, &what));
    }
    Ok(Some(n))
}

/// Which of the words is given, the first two of them also as false and true.
fn choose(lua: &Lua, args: &MultiValue, words: &[&str], function: &str) -> Result<Option<usize>> {
    match args.front() {
        None | Some(Value::Nil) => return Ok(None),
        Some(Value::Boolean(on)) => return Ok(Some(usize::from(*on))),
        _ => {}
    }
    let given = text_at(lua, args, 0, function)?;
    match words.iter().position(|word| word.as_bytes() == given) {
        None => {
            let what = format!("invalid option '{}'", String::from_utf8_lossy(&given));
            Err(bad_argument(lua, 0, function, &what))
        }
        choice => Ok(choice),
    }
}

/// The largest number of C's.
const MOST: i64 = i32::MAX as i64;
