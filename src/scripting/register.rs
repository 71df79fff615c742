//! The table `redis` while a library is loaded: it registers functions, and little else.

use super::api::log_and_version;
use super::errors::CommandError;
use super::sandbox::Current;
use super::shebang::{ScriptFlags, is_name};
use crate::keyspace::FunctionInfo;
use crate::number::format_g;
use mlua::{Function, Lua, MultiValue, Result, Table, Value};
use std::rc::Rc;

/// A function that a library has registered.
pub struct Registered {
    /// What is known of it.
    pub info: FunctionInfo,
    /// The function.
    pub callback: Function,
}

/// Makes the table.
pub fn redis(lua: &Lua, current: &Rc<Current>) -> Result<Table> {
    let redis = lua.create_table()?;
    log_and_version(lua, &redis)?;
    let current = Rc::clone(current);
    let register = lua.create_function(move |_, args: MultiValue| {
        register(&current, args).map_err(|text| {
            let text = [b"ERR ", text.as_bytes()].concat();
            mlua::Error::external(CommandError(text))
        })
    })?;
    redis.raw_set("register_function", register)?;
    Ok(redis)
}

type Refused = &'static str;

fn register(current: &Current, args: MultiValue) -> std::result::Result<(), Refused> {
    let mut loading = current.loading.borrow_mut();
    let Some(functions) = loading.as_mut() else {
        return Err("redis.register_function can only be called on FUNCTION LOAD command");
    };
    let mut args = args.into_iter();
    let registered = match (args.next(), args.next(), args.next()) {
        (Some(Value::Table(named)), None, None) => by_names(&named)?,
        (Some(_), None, None) => {
            return Err(
                "calling redis.register_function with a single argument is only applicable to Lua \
                 table (representing named arguments).",
            );
        }
        (Some(name), Some(callback), None) => {
            let name =
                text(&name).ok_or("first argument to redis.register_function must be a string")?;
            let Value::Function(callback) = callback else {
                return Err("second argument to redis.register_function must be a function");
            };
            Registered {
                info: FunctionInfo {
                    name,
                    description: None,
                    flags: 0,
                },
                callback,
            }
        }
        _ => return Err("wrong number of arguments to redis.register_function"),
    };
    if !is_name(&registered.info.name) {
        return Err(BAD_NAME);
    }
    if functions
        .iter()
        .any(|one| one.info.name == registered.info.name)
    {
        return Err("Function already exists in the library");
    }
    functions.push(registered);
    Ok(())
}

/// The named form: `function_name`, `callback`, `description`, `flags`.
fn by_names(named: &Table) -> std::result::Result<Registered, Refused> {
    let (mut name, mut callback) = (None, None);
    let (mut description, mut flags) = (None, ScriptFlags::empty());
    for pair in named.pairs::<Value, Value>() {
        let (key, value) = pair.map_err(|_| UNREADABLE)?;
        let key = text(&key)
            .ok_or("named argument key given to redis.register_function is not a string")?;
        match &*key.to_ascii_lowercase() {
            b"function_name" => {
                let given = text(&value).ok_or(
                    "function_name argument given to redis.register_function must be a string",
                )?;
                name = Some(given);
            }
            b"description" => {
                let given = text(&value).ok_or(
                    "description argument given to redis.register_function must be a string",
                )?;
                description = Some(given);
            }
            b"callback" => match value {
                Value::Function(function) => callback = Some(function),
                _ => {
                    return Err(
                        "callback argument given to redis.register_function must be a function",
                    );
                }
            },
            b"flags" => match &value {
                Value::Table(list) => flags = flags_of(list)?,
                _ => {
                    return Err("flags argument to redis.register_function must be a table \
                                representing function flags");
                }
            },
            _ => return Err("unknown argument given to redis.register_function"),
        }
    }
    Ok(Registered {
        info: FunctionInfo {
            name: name.ok_or("redis.register_function must get a function name argument")?,
            description,
            flags: flags.bits(),
        },
        callback: callback.ok_or("redis.register_function must get a callback argument")?,
    })
}

fn flags_of(list: &Table) -> std::result::Result<ScriptFlags, Refused> {
    let mut flags = ScriptFlags::empty();
    for index in 1.. {
        match list.raw_get::<Value>(index).map_err(|_| UNREADABLE)? {
            Value::Nil => break,
            Value::String(name) => {
                flags |= ScriptFlags::by_name(&name.as_bytes().to_ascii_lowercase())
                    .ok_or("unknown flag given")?;
            }
            _ => return Err("unknown flag given"),
        }
    }
    Ok(flags)
}

/// A string, or a number as Lua turns it into one.
fn text(value: &Value) -> Option<Box<[u8]>> {
    match value {
        Value::String(text) => Some((*text.as_bytes()).into()),
        Value::Integer(n) => Some(n.to_string().into_bytes().into()),
        Value::Number(n) => Some(format_g(*n, 14).into_bytes().into()),
        _ => None,
    }
}

/// What names may be made of.
pub const BAD_NAME: &str = "Library names can only contain letters, numbers, or underscores(_) and must be at \
                            least one character long";
const UNREADABLE: &str = "the argument given to redis.register_function cannot be read";
