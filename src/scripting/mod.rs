//! Scripts: Lua 5.1 in Redis's sandbox.
//!
//! Each worker has one interpreter for scripts and one for functions ([`engine`]), made when
//! the first comes. The texts are the server's ([`cache`], `keyspace::Functions`), compiled by
//! each interpreter that needs them. `sandbox` makes interpreters, `library` and `register`
//! read libraries; `reach` says which
//! keys a script can touch. `stack` runs scripts and their commands, on Lua's own stack; `api`
//! holds the other functions of the table `redis`, `base` what Lua's own library has to be for
//! scripts; `json`, `msgpack`, `structs` and `bits` are the libraries that Redis gives its scripts.
//!
//! What must stay true: a script leaves nothing behind in the interpreter that another one
//! could see, but for what it puts into tables of its own; only text is compiled.

mod api;
mod base;
mod bits;
mod cache;
mod engine;
mod errors;
mod json;
mod json_number;
mod json_settings;
mod library;
mod msgpack;
mod reach;
mod register;
mod sandbox;
mod shebang;
mod stack;
#[cfg(test)]
mod stack_tests;
mod structs;

pub use cache::{Script, Scripts, Sha, parse_sha};
pub use engine::{Call, Program, check, evaluate};
pub use library::{LOAD_TIMEOUT, conflict_text, library_name, read_library};
pub use sandbox::{Kind, RunningFunction};
pub use shebang::{ScriptFlags, Shebang};
