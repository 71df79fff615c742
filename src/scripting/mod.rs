//! Scripts: Lua 5.1 in Redis's sandbox.
//!
//! Each worker has one interpreter ([`engine`]), made when its first script comes. The texts
//! are the server's ([`cache`]), compiled by each interpreter that needs them. `api` holds
//! the functions of the table `redis`, `convert` the way between replies and Lua values;
//! `json`, `msgpack`, `structs` and `bits` are the libraries that Redis gives its scripts.
//!
//! What must stay true: a script leaves nothing behind in the interpreter that another one
//! could see, but for what it puts into tables of its own; only text is compiled.

mod api;
mod bits;
mod cache;
mod convert;
mod engine;
mod errors;
mod json;
mod msgpack;
mod shebang;
mod structs;

pub use cache::{Script, Scripts, Sha, parse_sha};
pub use engine::{Call, check, evaluate};
pub use shebang::{ScriptFlags, Shebang};
