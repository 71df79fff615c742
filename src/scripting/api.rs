//! The table `redis`.

use super::errors::{CommandError, ScriptError, place, raise, text_of};
use super::sandbox::{Current, Kind};
use super::stack;
use crate::commands::table;
use crate::number::format_g;
use crate::protocol::OwnedArgs;
use mlua::{Lua, MultiValue, Result, Table, Value};
use sha1::{Digest as _, Sha1};
use std::rc::Rc;

/// Makes the table as scripts see it, or functions.
pub fn redis(lua: &Lua, current: &Rc<Current>, kind: Kind) -> Result<Table> {
    let redis = lua.create_table()?;
    for (name, raises) in [("call", true), ("pcall", false)] {
        let call = stack::command(lua, current, raises)?;
        redis.raw_set(name, call)?;
    }
    redis.raw_set("error_reply", lua.create_function(error_reply)?)?;
    redis.raw_set("status_reply", lua.create_function(status_reply)?)?;
    redis.raw_set("sha1hex", lua.create_function(sha1hex)?)?;
    if kind == Kind::Scripts {
        redis.raw_set("breakpoint", lua.create_function(|_, ()| Ok(false))?)?;
        redis.raw_set("debug", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
        redis.raw_set("replicate_commands", lua.create_function(|_, ()| Ok(true))?)?;
    }
    redis.raw_set("set_repl", lua.create_function(set_repl)?)?;
    redis.raw_set("acl_check_cmd", lua.create_function(acl_check_cmd)?)?;
    let choosing = Rc::clone(current);
    redis.raw_set(
        "setresp",
        lua.create_function(move |lua, args: MultiValue| setresp(lua, &choosing, args))?,
    )?;
    for (name, flag) in [
        ("REPL_NONE", 0),
        ("REPL_AOF", 1),
        ("REPL_SLAVE", 2),
        ("REPL_REPLICA", 2),
        ("REPL_ALL", 3),
    ] {
        redis.raw_set(name, flag)?;
    }
    log_and_version(lua, &redis)?;
    Ok(redis)
}

/// What libraries see of the table even while they are loaded.
pub fn log_and_version(lua: &Lua, redis: &Table) -> Result<()> {
    redis.raw_set("log", lua.create_function(log)?)?;
    for (name, value) in [
        ("LOG_DEBUG", 0),
        ("LOG_VERBOSE", 1),
        ("LOG_NOTICE", 2),
        ("LOG_WARNING", 3),
        ("REDIS_VERSION_NUM", VERSION_NUMBER),
    ] {
        redis.raw_set(name, value)?;
    }
    redis.raw_set("REDIS_VERSION", crate::server::COMPATIBLE_VERSION)
}

/// The functions with which the prelude looks at errors.
pub fn host(lua: &Lua) -> Result<Table> {
    let host = lua.create_table()?;
    host.raw_set("describe", lua.create_function(describe)?)?;
    host.raw_set("as_table", lua.create_function(as_table)?)?;
    Ok(host)
}

fn error_table(lua: &Lua, text: &[u8]) -> Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

fn error_reply(lua: &Lua, args: MultiValue) -> Result<Value> {
    let Some(text) = only_string(&args) else {
        return error_table(lua, WRONG_ARGUMENTS);
    };
    // As Redis takes it: as a text of C, without the ends of lines behind it.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let len = text
        .iter()
        .rposition(|byte| !is_end(byte))
        .map_or(0, |last| last + 1);
    let mut text = text[..len].to_vec();
    if !text.contains(&b' ') {
        // A text without a code gets one.
        text.splice(0..0, b"ERR ".iter().copied());
    }
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

fn status_reply(lua: &Lua, args: MultiValue) -> Result<Value> {
    let Some(text) = only_string(&args) else {
        return error_table(lua, WRONG_ARGUMENTS);
    };
    let table = lua.create_table()?;
    table.raw_set("ok", lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

fn only_string(args: &MultiValue) -> Option<Vec<u8>> {
    match args.front() {
        Some(Value::String(text)) if args.len() == 1 => Some(text.as_bytes().to_vec()),
        _ => None,
    }
}

fn sha1hex(lua: &Lua, args: MultiValue) -> Result<Value> {
    if args.len() != 1 {
        return Err(mlua::Error::external(CommandError(
            b"ERR wrong number of arguments".to_vec(),
        )));
    }
    let text = match args.front() {
        Some(Value::String(text)) => text.as_bytes().to_vec(),
        Some(Value::Integer(n)) => n.to_string().into_bytes(),
        Some(Value::Number(n)) => format_g(*n, 14).into_bytes(),
        _ => Vec::new(),
    };
    let digest = super::cache::hex(&Sha1::digest(&text));
    lua.create_string(digest).map(Value::String)
}

fn log(lua: &Lua, args: MultiValue) -> Result<()> {
    let fail = |text: &[u8]| Err(mlua::Error::external(CommandError(text.to_vec())));
    if args.len() < 2 {
        return fail(b"ERR redis.log() requires two arguments or more.");
    }
    let mut args = args.into_iter();
    let level = args.next().unwrap_or(Value::Nil);
    let level = match lua.coerce_number(level)? {
        Some(n) => n.trunc(),
        None => return fail(b"ERR First argument must be a number (log level)."),
    };
    if !(0.0..=3.0).contains(&level) {
        return fail(b"ERR Invalid log level.");
    }
    let words: Vec<String> = args
        .filter_map(|value| match value {
            Value::String(text) => Some(text.to_string_lossy().to_string()),
            Value::Integer(n) => Some(n.to_string()),
            Value::Number(n) => Some(format_g(n, 14)),
            _ => None,
        })
        .collect();
    let text = words.join(" ");
    match level as u8 {
        0 => tracing::debug!(target: "script", "{text}"),
        1 => tracing::info!(target: "script", verbose = true, "{text}"),
        2 => tracing::info!(target: "script", "{text}"),
        _ => tracing::warn!(target: "script", "{text}"),
    }
    Ok(())
}

/// A number, or a text that is one, without what follows its point; 0 for everything else.
fn whole(lua: &Lua, value: &Value) -> i64 {
    let number = lua.coerce_number(value.clone()).ok().flatten();
    number.unwrap_or(0.0) as i64
}

/// Effects are always replicated: a script cannot keep its writes from the replicas.
fn set_repl(lua: &Lua, args: MultiValue) -> Result<()> {
    let flags = match args.front() {
        // What is no number is zero for Redis: it changes nothing here.
        Some(Value::String(_) | Value::Table(_)) if args.len() == 1 => return Ok(()),
        Some(value) if args.len() == 1 => whole(lua, value),
        _ => {
            return Err(mlua::Error::external(CommandError(
                b"ERR redis.set_repl() requires one argument.".to_vec(),
            )));
        }
    };
    match flags {
        3 => Ok(()),
        0..=2 => Err(mlua::Error::external(CommandError(
            b"ERR redis.set_repl() cannot keep writes from the replicas or the append-only file here."
                .to_vec(),
        ))),
        _ => Err(mlua::Error::external(CommandError(
            b"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE."
                .to_vec(),
        ))),
    }
}

/// There are no users with fewer rights: every command that exists is allowed.
fn acl_check_cmd(_: &Lua, args: MultiValue) -> Result<bool> {
    let mut words = OwnedArgs::default();
    for value in &args {
        match value {
            Value::String(text) => words.push(&text.as_bytes()),
            Value::Integer(n) => words.push(n.to_string().as_bytes()),
            Value::Number(n) => words.push(format_g(*n, 17).as_bytes()),
            _ => {
                return Err(mlua::Error::external(CommandError(
                    b"ERR Lua redis lib command arguments must be strings or integers".to_vec(),
                )));
            }
        }
    }
    if args.is_empty() {
        return Err(mlua::Error::external(CommandError(NO_ARGUMENTS.to_vec())));
    }
    if table::find(words.view()).is_err() {
        return Err(mlua::Error::external(CommandError(
            b"ERR Invalid command passed to redis.acl_check_cmd()".to_vec(),
        )));
    }
    Ok(true)
}

fn setresp(lua: &Lua, current: &Current, args: MultiValue) -> Result<()> {
    if args.len() != 1 {
        return Err(mlua::Error::external(CommandError(
            b"ERR redis.setresp() requires one argument.".to_vec(),
        )));
    }
    let version = match args.front() {
        Some(value) => whole(lua, value),
        None => 0,
    };
    if version != 2 && version != 3 {
        return Err(mlua::Error::external(CommandError(
            b"ERR RESP version must be 2 or 3.".to_vec(),
        )));
    }
    current.resp3.set(version == 3);
    Ok(())
}

/// What an error becomes at the end of a script: a table with text and place.
fn describe(lua: &Lua, value: Value) -> Result<Value> {
    let (mut text, has_code) = text_of(&value);
    if !has_code {
        text.splice(0..0, b"ERR ".iter().copied());
    }
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(&text)?)?;
    if let Value::Table(raised) = &value {
        table.raw_set(COUNTED, raised.raw_get::<Value>(COUNTED)?)?;
    }
    if let Some((source, line)) = place(lua) {
        table.raw_set("source", source)?;
        table.raw_set("line", line)?;
    }
    Ok(Value::Table(table))
}

/// The table that `describe` made.
pub fn described(value: &Value) -> ScriptError {
    let Value::Table(table) = value else {
        let (text, has_code) = text_of(value);
        let text = if has_code {
            text
        } else {
            [b"ERR ", &text[..]].concat()
        };
        return ScriptError {
            text,
            place: None,
            is_counted: false,
        };
    };
    let text = match table.raw_get::<Value>("err") {
        Ok(Value::String(text)) => text.as_bytes().to_vec(),
        _ => b"ERR unknown error".to_vec(),
    };
    let source = table.raw_get::<String>("source").ok();
    ScriptError {
        text,
        place: source.zip(table.raw_get::<usize>("line").ok()),
        is_counted: matches!(table.raw_get(COUNTED), Ok(Value::Boolean(true))),
    }
}

/// An error as scripts may handle it: errors of commands are tables, others texts.
fn as_table(lua: &Lua, value: Value) -> Result<Value> {
    match &value {
        Value::Error(_) => {
            let (text, has_code) = text_of(&value);
            if has_code {
                return error_table(lua, &text);
            }
            lua.create_string(text).map(Value::String)
        }
        _ => Ok(value),
    }
}

/// A number among the arguments of a library's function, or a text that is one.
pub fn number_at(lua: &Lua, args: &MultiValue, at: usize, function: &str) -> Result<f64> {
    let given = args.get(at).cloned();
    match given.map_or(Ok(None), |value| lua.coerce_number(value))? {
        Some(number) => Ok(number),
        None => Err(wrong_type(lua, args, at, function, "number")),
    }
}

/// A text among the arguments of a library's function, or a number as a text.
pub fn text_at(lua: &Lua, args: &MultiValue, at: usize, function: &str) -> Result<Vec<u8>> {
    match args.get(at) {
        Some(Value::String(text)) => Ok(text.as_bytes().to_vec()),
        Some(Value::Integer(n)) => Ok(n.to_string().into_bytes()),
        Some(Value::Number(n)) => Ok(format_g(*n, 14).into_bytes()),
        _ => Err(wrong_type(lua, args, at, function, "string")),
    }
}

/// The error of Lua's own library for an argument.
pub fn bad_argument(lua: &Lua, at: usize, function: &str, what: &str) -> mlua::Error {
    let at = at + 1;
    library_error(lua, format!("bad argument #{at} to '{function}' ({what})"))
}

fn wrong_type(
    lua: &Lua,
    args: &MultiValue,
    at: usize,
    function: &str,
    wanted: &str,
) -> mlua::Error {
    let got = match args.get(at) {
        None => "no value",
        Some(Value::Integer(_)) => "number",
        Some(value) => value.type_name(),
    };
    let what = format!("{wanted} expected, got {got}");
    bad_argument(lua, at, function, &what)
}

/// Raises with the caller's place; for the libraries.
pub fn library_error(lua: &Lua, text: impl AsRef<str>) -> mlua::Error {
    raise(lua, text)
}

/// Says of an error that it is counted already, where errors are counted.
const COUNTED: &str = "ignore_error_stats_update";
const WRONG_ARGUMENTS: &[u8] = b"ERR wrong number or type of arguments";
const NO_ARGUMENTS: &[u8] = b"ERR Please specify at least one argument for this redis lib call";
/// 8.2.3 as `REDIS_VERSION_NUM` has it.
const VERSION_NUMBER: i64 = 0x0008_0203;
