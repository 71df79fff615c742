//! What goes wrong in a script, as the script and as its caller see it.

use mlua::{Lua, Value};

/// An error with its place: `err` as scripts see it, and where it was raised.
#[derive(Clone, Debug)]
pub struct ScriptError {
    /// The text, its code first.
    pub text: Vec<u8>,
    /// The chunk and the line, if they are known.
    pub place: Option<(String, usize)>,
    /// Whether it is counted already, where errors are counted.
    pub is_counted: bool,
}

/// The innermost line of a script on the stack.
pub fn place(lua: &Lua) -> Option<(String, usize)> {
    (0..MOST_LEVELS).find_map(|level| line_at(lua, level))
}

/// The line of the script's function at this level of the stack.
fn line_at(lua: &Lua, level: usize) -> Option<(String, usize)> {
    lua.inspect_stack(level, |frame| {
        let source = frame.source();
        let line = frame.current_line()?;
        let name = source.source.filter(|_| source.what != "C")?;
        (!name.starts_with("=[")).then(|| (name.into_owned(), line))
    })?
}

/// The message with the place of the function that called, as C functions of Lua do it.
pub fn raise(lua: &Lua, message: impl AsRef<str>) -> mlua::Error {
    let message = message.as_ref();
    // Level 0 is the function that raises.
    mlua::Error::RuntimeError(match line_at(lua, 1) {
        Some((source, line)) => {
            let source = source.trim_start_matches(['@', '=']);
            format!("{source}:{line}: {message}")
        }
        None => message.to_owned(),
    })
}

/// An error of a command, which scripts see as a table.
#[derive(Clone, Debug)]
pub struct CommandError(pub Vec<u8>);

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl std::error::Error for CommandError {}

/// The script was ended from outside; it may not catch this.
#[derive(Clone, Debug)]
pub struct Killed;

impl std::fmt::Display for Killed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script killed by user with SCRIPT KILL...")
    }
}

impl std::error::Error for Killed {}

/// The text of what was raised, and whether a code comes first in it.
pub fn text_of(value: &Value) -> (Vec<u8>, bool) {
    match value {
        Value::String(text) => (text.as_bytes().to_vec(), false),
        Value::Table(table) => match table.raw_get::<Value>("err") {
            Ok(Value::String(text)) => (text.as_bytes().to_vec(), true),
            Ok(Value::Number(n)) => (crate::number::format_g(n, 14).into_bytes(), true),
            Ok(Value::Integer(n)) => (n.to_string().into_bytes(), true),
            _ => (b"unknown error".to_vec(), false),
        },
        Value::Error(error) => text_of_error(error),
        Value::Nil => (b"nil".to_vec(), false),
        Value::Number(n) => (crate::number::format_g(*n, 14).into_bytes(), false),
        Value::Integer(n) => (n.to_string().into_bytes(), false),
        Value::Boolean(b) => (b.to_string().into_bytes(), false),
        other => {
            let text = format!("{}: {:p}", other.type_name(), other.to_pointer());
            (text.into_bytes(), false)
        }
    }
}

fn text_of_error(error: &mlua::Error) -> (Vec<u8>, bool) {
    if let Some(command) = error.downcast_ref::<CommandError>() {
        return (command.0.clone(), true);
    }
    if error.downcast_ref::<Killed>().is_some() {
        return (Killed.to_string().into_bytes(), false);
    }
    match error {
        mlua::Error::CallbackError { cause, .. } => text_of_error(cause),
        mlua::Error::WithContext { cause, .. } => text_of_error(cause),
        mlua::Error::RuntimeError(text) => (text.clone().into_bytes(), false),
        mlua::Error::MemoryError(_) => (b"not enough memory".to_vec(), false),
        other => (other.to_string().into_bytes(), false),
    }
}

/// What the compiler says.
pub fn text_of_syntax(error: &mlua::Error) -> String {
    match error {
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// How deep the stack is looked at for a line of the script.
const MOST_LEVELS: usize = 24;
