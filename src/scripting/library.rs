//! Libraries: from their text to their functions.

use super::api::described;
use super::errors::text_of_syntax;
use super::register::{BAD_NAME, Registered};
use super::sandbox::{Kind, Sandbox};
use super::shebang::{LibraryHead, is_name};
use crate::keyspace::{Conflict, Everything, Library};
use crate::protocol::WireError;
use crate::time::Duration;

/// How long a client may keep the server busy with the loading of a library.
pub const LOAD_TIMEOUT: Duration = Duration::from_millis(500);

/// Reads a library: its head, and what its text registers in an interpreter of its own.
/// Without `within` it may take any time; what comes from the log has been accepted before.
///
/// # Errors
/// In Redis's words.
pub fn read_library(code: &[u8], within: Option<Duration>) -> Result<Library, WireError> {
    let name = library_name(code)?;
    let sandbox = Sandbox::new(Kind::Functions).map_err(|error| super::engine::internal(&error))?;
    let mut functions: Vec<_> = functions_of(&sandbox, code, within)?
        .into_iter()
        .map(|registered| registered.info)
        .collect();
    if functions.is_empty() {
        return Err(WireError::fixed("ERR No functions registered"));
    }
    functions.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Library {
        name,
        code: code.into(),
        functions,
        everything: Everything::said(crate::execute::mentions_other_databases(code)),
    })
}

/// The name in a library's head.
///
/// # Errors
/// In Redis's words, when the head is wrong.
pub fn library_name(code: &[u8]) -> Result<Box<[u8]>, WireError> {
    let head = LibraryHead::of(code)?;
    if !is_name(&head.name) {
        return Err(WireError::new(format!("ERR {BAD_NAME}")));
    }
    if !head.engine.eq_ignore_ascii_case(b"lua") {
        return Err(WireError::quoting(
            "ERR Engine '",
            &head.engine,
            "' not found",
        ));
    }
    Ok(head.name)
}

/// Runs the text of a library in this interpreter.
///
/// # Errors
/// In Redis's words.
pub fn functions_of(
    sandbox: &Sandbox,
    code: &[u8],
    within: Option<Duration>,
) -> Result<Vec<Registered>, WireError> {
    let compiled = sandbox.compile(super::cache::code_of(code), "@user_function");
    let text = compiled.map_err(|error| {
        let text = text_of_syntax(&error);
        WireError::new(format!("ERR Error compiling function: {text}"))
    })?;
    match sandbox.register(text, within) {
        Ok(Ok(functions)) => Ok(functions),
        Ok(Err(error)) => {
            let mut text = b"ERR Error registering functions: ".to_vec();
            text.extend_from_slice(&described(&error).text);
            Err(WireError::from_bytes(text))
        }
        Err(error) => Err(super::engine::internal(&error)),
    }
}

/// Why a library cannot join others, as `FUNCTION LOAD` says it.
pub fn conflict_text(conflict: &Conflict) -> WireError {
    match conflict {
        Conflict::Library(name) => WireError::quoting("ERR Library '", name, "' already exists"),
        Conflict::Function(name) => WireError::quoting("ERR Function ", name, " already exists"),
    }
}
