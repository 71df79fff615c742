//! The table `redis`.

use super::errors::{CommandError, Killed, ScriptError, is_killed, place, raise, text_of};
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
        let failing = Rc::clone(current);
        let fail = lua.create_function(move |_, ()| Err::<(), _>(failing.error()))?;
        let call = stack::command(lua, current, raises, fail)?;
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
pub fn host(lua: &Lua, current: &Rc<Current>) -> Result<Table> {
    let host = lua.create_table()?;
    host.raw_set("describe", lua.create_function(describe)?)?;
    host.raw_set("as_table", lua.create_function(as_table)?)?;
    let killed = Rc::clone(current);
    host.raw_set(
        "outcome",
        lua.create_function(move |lua, values: MultiValue| outcome(lua, &killed, values))?,
    )?;
    let killed = Rc::clone(current);
    host.raw_set(
        "uncaught",
        lua.create_function(move |_, values: MultiValue| {
            if matches!(values.front(), Some(Value::Boolean(false))) && killed.is_killed() {
                return Err(mlua::Error::external(Killed));
            }
            Ok(values)
        })?,
    )?;
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
    let mut text = text.strip_prefix(b"-").unwrap_or(&text).to_vec();
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

fn log(_: &Lua, args: MultiValue) -> Result<()> {
    let fail = |text: &[u8]| Err(mlua::Error::external(CommandError(text.to_vec())));
    if args.len() < 2 {
        return fail(b"ERR redis.log() requires two arguments or more.");
    }
    let mut args = args.into_iter();
    let level = match args.next() {
        Some(Value::Integer(n)) => n as f64,
        Some(Value::Number(n)) => n,
        _ => return fail(b"ERR First argument must be a number (log level)."),
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

/// Effects are always replicated: a script cannot keep its writes from the replicas.
fn set_repl(_: &Lua, args: MultiValue) -> Result<()> {
    let flags = match args.front() {
        Some(Value::Integer(n)) if args.len() == 1 => *n,
        Some(Value::Number(n)) if args.len() == 1 => *n as i64,
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
                    b"ERR redis.acl_check_cmd() command arguments must be strings or integers"
                        .to_vec(),
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

fn setresp(_: &Lua, current: &Current, args: MultiValue) -> Result<()> {
    if args.len() != 1 {
        return Err(mlua::Error::external(CommandError(
            b"ERR redis.setresp() requires one argument.".to_vec(),
        )));
    }
    let version = match args.front() {
        Some(Value::Integer(n)) => *n as f64,
        Some(Value::Number(n)) => *n,
        _ => 0.0,
    };
    if version != 2.0 && version != 3.0 {
        return Err(mlua::Error::external(CommandError(
            b"ERR RESP version must be 2 or 3.".to_vec(),
        )));
    }
    current.resp3.set(version == 3.0);
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
    let given = match &value {
        Value::Table(raised) => raised
            .raw_get::<String>("source")
            .ok()
            .zip(raised.raw_get::<usize>("line").ok()),
        _ => None,
    };
    if let Some((source, line)) = given.or_else(|| place(lua)) {
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
        return ScriptError { text, place: None };
    };
    let text = match table.raw_get::<Value>("err") {
        Ok(Value::String(text)) => text.as_bytes().to_vec(),
        _ => b"ERR unknown error".to_vec(),
    };
    let source = table.raw_get::<String>("source").ok();
    ScriptError {
        text,
        place: source.zip(table.raw_get::<usize>("line").ok()),
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

/// What `pcall` gives: an error is its text, as in Redis; the end of a killed script cannot
/// be caught.
fn outcome(lua: &Lua, current: &Current, mut values: MultiValue) -> Result<MultiValue> {
    if !matches!(values.front(), Some(Value::Boolean(false))) {
        return Ok(values);
    }
    if current.is_killed() || values.get(1).is_some_and(is_killed) {
        return Err(mlua::Error::external(Killed));
    }
    if let Some(value) = values.get_mut(1) {
        let plain = match value {
            Value::Error(_) => true,
            Value::Table(table) => table.raw_get::<Value>("err").is_ok_and(|v| v.is_string()),
            _ => false,
        };
        if plain {
            let (text, _) = text_of(value);
            *value = Value::String(lua.create_string(text)?);
        }
    }
    Ok(values)
}

/// Raises with the caller's place; for the libraries.
pub fn library_error(lua: &Lua, text: impl AsRef<str>) -> mlua::Error {
    raise(lua, text)
}

const WRONG_ARGUMENTS: &[u8] = b"ERR wrong number or type of arguments";
const NO_ARGUMENTS: &[u8] = b"ERR Please specify at least one argument for this redis lib call";
/// 8.2.3 as `REDIS_VERSION_NUM` has it.
const VERSION_NUMBER: i64 = 0x0008_0203;
