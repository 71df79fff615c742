//! The way into Lua and back that every script takes, on the interpreter's own stack.
//!
//! What passes through the binding is kept in a second stack of references, value by value,
//! which cost more than the whole rest of a small script. Here a script's keys and arguments
//! are laid out, its commands get theirs and give their replies, and its result becomes the
//! client's reply, all where Lua has them.
//!
//! What must stay true: Lua raises errors with `longjmp`, over the frames of this file. A frame
//! under which Lua may raise (memory is full, the stack too deep, an error is passed on) holds
//! nothing that must be dropped, no guard of a `RefCell` either. A panic never crosses a frame
//! of Lua: it is caught where Lua has called, and is handed to the caller of [`Machine::run`].

use super::sandbox::{Current, Limit};
use crate::number::{format_double, parse_i64};
use crate::protocol::{Args, Reply, WireError};
use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Result, Table, Value};
use std::any::Any;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// An interpreter's entrance.
pub struct Machine {
    /// The main thread of the interpreter to which the sandbox belongs.
    state: *mut lua_State,
    /// [`enter`], in the registry.
    entrance: c_int,
    /// Where it leaves the error with which a script ends.
    failure: Table,
}

/// A function that the interpreter keeps until it is told to forget it.
#[derive(Clone, Copy, Debug)]
pub struct Kept(c_int);

/// What is to run.
pub struct Entry<'a, 'r> {
    /// The function.
    pub function: Kept,
    /// Its keys.
    pub keys: Args<'a>,
    /// Its other arguments.
    pub args: Args<'a>,
    /// Whether it finds them in its globals; otherwise it gets them.
    pub in_globals: bool,
    /// Where its result goes.
    pub reply: &'a mut Reply<'r>,
}

/// How it ended.
pub enum Outcome {
    /// With a reply, which is written.
    Replied,
    /// With this error.
    Failed(Value),
    /// With a panic, which the caller has to pass on.
    Panicked(Box<dyn Any + Send>),
}

/// What [`enter`] needs and gives; lies on the stack of [`Machine::run`].
struct Passage<'a, 'r> {
    entry: Entry<'a, 'r>,
    lua: &'a Lua,
    current: &'a Current,
    end: End,
}

enum End {
    /// It has not come to its end: Lua's memory is full.
    Never,
    Replied,
    Failed,
    Panicked(Box<dyn Any + Send>),
}

impl Machine {
    /// Makes the entrance. `describe` is called with an error where it is raised, `globals`
    /// are those of scripts.
    ///
    /// # Errors
    /// When memory is full.
    pub fn new(lua: &Lua, describe: &Function, globals: &Table) -> Result<Machine> {
        let failure = lua.create_table()?;
        let (mut at, mut entrance) = (std::ptr::null_mut(), 0);
        let upvalues = (describe, globals, &failure, names(lua)?);
        // SAFETY: the closure holds references only. Its arguments are on the stack, and become
        // the upvalues that `enter` knows by their order, which is `names`' after the first
        // three; Lua has made room for them and for one more.
        let made = unsafe {
            lua.exec_raw::<()>(upvalues, |state| {
                ffi::lua_pushcclosure(state, enter, ENTER_UPVALUES);
                entrance = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
                at = state;
            })
        };
        made.map(|()| Machine {
            state: at,
            entrance,
            failure,
        })
    }

    /// Keeps a function.
    ///
    /// # Errors
    /// When memory is full.
    pub fn keep(&self, lua: &Lua, function: &Function) -> Result<Kept> {
        let mut kept = 0;
        // SAFETY: the closure holds a reference only; the function is on top of the stack.
        let done = unsafe {
            lua.exec_raw::<()>(function, |state| {
                kept = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
            })
        };
        done.map(|()| Kept(kept))
    }

    /// Keeps it no longer.
    pub fn forget(&self, kept: Kept) {
        // SAFETY: the state lives as long as the sandbox, which owns this. What is written into
        // the registry replaces what is there, so that nothing is allocated.
        unsafe { ffi::luaL_unref(self.state, ffi::LUA_REGISTRYINDEX, kept.0) }
    }

    /// Runs a script or a function.
    ///
    /// # Errors
    /// Those of the interpreter itself.
    pub fn run(&self, lua: &Lua, current: &Current, entry: Entry<'_, '_>) -> Result<Outcome> {
        let mut passage = Passage {
            entry,
            lua,
            current,
            end: End::Never,
        };
        let place: *mut Passage<'_, '_> = &mut passage;
        // SAFETY: nothing runs in the interpreter (the engine is borrowed for one script at a
        // time), so its main stack is at rest and has room for the twenty values that Lua
        // guarantees. No error leaves a protected call. `place` outlives it, and is used by
        // nothing else meanwhile.
        unsafe {
            ffi::lua_rawgeti(self.state, ffi::LUA_REGISTRYINDEX, self.entrance.into());
            ffi::lua_pushlightuserdata(self.state, place.cast::<c_void>());
            if ffi::lua_pcall(self.state, 1, 0, 0) != ffi::LUA_OK {
                ffi::lua_pop(self.state, 1);
            }
        }
        match passage.end {
            End::Replied => Ok(Outcome::Replied),
            End::Failed => {
                let error = self.failure.raw_get(1)?;
                self.failure.raw_set(1, Value::Nil)?;
                Ok(Outcome::Failed(error))
            }
            End::Never => Err(mlua::Error::MemoryError("not enough memory".into())),
            End::Panicked(panic) => Ok(Outcome::Panicked(panic)),
        }
    }
}

/// `redis.call` or `redis.pcall`. The sandbox keeps `current` for as long as the interpreter.
///
/// # Errors
/// When memory is full.
pub fn command(lua: &Lua, current: &Rc<Current>, raises: bool) -> Result<Function> {
    let place: *const Current = Rc::as_ptr(current);
    // SAFETY: the closure holds copies of pointers only. The upvalues are in the order of
    // `call`'s; there is room for two more than the arguments.
    unsafe {
        lua.exec_raw(names(lua)?, |state| {
            ffi::lua_pushboolean(state, raises.into());
            ffi::lua_pushlightuserdata(state, place.cast_mut().cast::<c_void>());
            ffi::lua_pushcclosure(state, call, CALL_UPVALUES);
        })
    }
}

/// The texts by which tables tell what they stand for, so that none is made for a reply.
fn names(lua: &Lua) -> Result<mlua::Variadic<mlua::LuaString>> {
    NAMES.iter().map(|name| lua.create_string(name)).collect()
}

/// See [`names`]; their places among the upvalues, from the first on, are [`Name`].
const NAMES: [&str; 12] = [
    "ok",
    "err",
    "double",
    "map",
    "set",
    "big_number",
    "verbatim_string",
    "string",
    "format",
    "ignore_error_stats_update",
    "KEYS",
    "ARGV",
];

#[derive(Clone, Copy)]
enum Name {
    Ok,
    Err,
    Double,
    Map,
    Set,
    BigNumber,
    VerbatimString,
    String,
    Format,
    IsCounted,
    Keys,
    Argv,
}

/// The upvalues of [`enter`]: these, then the names.
const DESCRIBE: c_int = 1;
const GLOBALS: c_int = 2;
const FAILURE: c_int = 3;
const ENTER_UPVALUES: c_int = 3 + NAMES.len() as c_int;
/// Where a function's names begin.
const ENTER_NAMES: Names = Names(4);

/// The upvalues of [`call`]: the names, then these.
const CALL_NAMES: Names = Names(1);
const RAISES: c_int = 1 + NAMES.len() as c_int;
const CURRENT: c_int = RAISES + 1;
const CALL_UPVALUES: c_int = CURRENT;

/// Where the names begin among the upvalues of the function that runs.
#[derive(Clone, Copy)]
struct Names(c_int);

impl Names {
    fn at(self, name: Name) -> c_int {
        ffi::lua_upvalueindex(self.0 + name as c_int)
    }
}

/// Calls a script within a protected call.
///
/// # Safety
/// Called by Lua for [`Machine::run`] only: its argument is the address of a [`Passage`], its
/// upvalues are those of [`Machine::new`].
unsafe extern "C-unwind" fn enter(state: *mut lua_State) -> c_int {
    // SAFETY: `Machine::run` passes the address of its passage and does nothing until this
    // returns. Lua gives every C function room for twenty values; eight are used. This frame
    // and those of `lay_out` hold no value that must be dropped but for the limit, which goes
    // before anything can be raised: a protected call raises nothing.
    unsafe {
        let passage = &mut *ffi::lua_touserdata(state, 1).cast::<Passage<'_, '_>>();
        let entry = &mut passage.entry;
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(DESCRIBE));
        ffi::lua_rawgeti(state, ffi::LUA_REGISTRYINDEX, entry.function.0.into());
        let mut arguments = 0;
        if entry.in_globals {
            for (name, values) in [(Name::Keys, entry.keys), (Name::Argv, entry.args)] {
                ffi::lua_pushvalue(state, ENTER_NAMES.at(name));
                lay_out(state, values);
                ffi::lua_rawset(state, ffi::lua_upvalueindex(GLOBALS));
            }
        } else {
            lay_out(state, entry.keys);
            lay_out(state, entry.args);
            arguments = 2;
        }
        let limited = Limit::of_scripts(passage.lua);
        let status = ffi::lua_pcall(state, arguments, 1, 2);
        drop(limited);
        if status == ffi::LUA_OK && !passage.current.must_end() {
            let current = passage.current;
            let mut out = Out {
                resp3: current.resp3.get(),
                reply: &mut *entry.reply,
                current,
            };
            let written = catch_unwind(AssertUnwindSafe(|| write_value(state, &mut out, 0)));
            passage.end = match written {
                Ok(()) => End::Replied,
                Err(panic) => End::Panicked(panic),
            };
        } else if let Some(panic) = passage.current.panic.take() {
            passage.end = End::Panicked(panic);
        } else {
            ffi::lua_rawseti(state, ffi::lua_upvalueindex(FAILURE), 1);
            passage.end = End::Failed;
        }
    }
    0
}

/// Pushes a table of texts.
///
/// # Safety
/// There is room for two values on the stack. Lua may raise an error.
unsafe fn lay_out(state: *mut lua_State, values: Args<'_>) {
    // SAFETY: by the contract.
    unsafe {
        ffi::lua_createtable(state, c_int::try_from(values.len()).unwrap_or(0), 0);
        for (i, value) in values.iter().enumerate() {
            push_text(state, value);
            ffi::lua_rawseti(state, -2, i as ffi::lua_Integer + 1);
        }
    }
}

/// # Safety
/// There is room for a value on the stack. Lua may raise an error.
unsafe fn push_text(state: *mut lua_State, text: &[u8]) {
    // SAFETY: Lua copies the bytes; the rest is the contract.
    unsafe {
        ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len());
    }
}

/// The text at a place of the stack; `None` if there is none.
///
/// # Safety
/// The place is a valid one, and what is there stays on the stack for as long as the text is
/// used. Raises nothing: numbers are left as they are.
unsafe fn text_at<'s>(state: *mut lua_State, at: c_int) -> Option<&'s [u8]> {
    // SAFETY: of a string, Lua gives where its bytes are and how many; it does not move them.
    unsafe {
        if ffi::lua_type(state, at) != ffi::LUA_TSTRING {
            return None;
        }
        let mut len = 0;
        let bytes = ffi::lua_tolstring(state, at, &mut len);
        Some(std::slice::from_raw_parts(bytes.cast::<u8>(), len))
    }
}

/// `redis.call` and `redis.pcall`: any number of arguments, one result.
///
/// # Safety
/// Called by Lua only, as the closure that [`command`] has made.
unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those that `command` has given. When a command has been executed, its reply is not touched before
    // the next one. Nothing here must be dropped where Lua may raise.
    unsafe {
        let current = ffi::lua_touserdata(state, ffi::lua_upvalueindex(CURRENT));
        let current = &*current.cast::<Current>();
        let done = catch_unwind(AssertUnwindSafe(|| execute(state, current)));
        let done = done.unwrap_or_else(|panic| {
            current.panic.replace(Some(panic));
            false
        });
        if done {
            if let Some(run) = &*current.run.as_ptr() {
                // The arguments may be so many that there is no room for anything else.
                ffi::lua_settop(state, 0);
                let mut replied = Replied {
                    bytes: &run.out.buf,
                    resp3: current.resp3.get(),
                    depth: 0,
                };
                replied.push(state);
                return 1;
            }
            return 0;
        }
        ffi::lua_settop(state, 0);
        if current.must_end() {
            ffi::lua_pushnil(state);
            ffi::lua_error(state);
        }
        ffi::lua_createtable(state, 0, 2);
        ffi::lua_pushvalue(state, CALL_NAMES.at(Name::Err));
        push_text(state, &*current.failure.as_ptr());
        ffi::lua_rawset(state, -3);
        if current.failure_is_counted.get() {
            ffi::lua_pushvalue(state, CALL_NAMES.at(Name::IsCounted));
            ffi::lua_pushboolean(state, 1);
            ffi::lua_rawset(state, -3);
        }
        if ffi::lua_toboolean(state, ffi::lua_upvalueindex(RAISES)) != 0 {
            ffi::lua_error(state);
        }
    }
    1
}

/// Executes the command on the stack. Its reply is in the script's buffer, or its error in
/// [`Current::failure`] if it has failed.
///
/// # Safety
/// The stack is that of [`call`]. Raises nothing.
unsafe fn execute(state: *mut lua_State, current: &Current) -> bool {
    let mut words = current.words.borrow_mut();
    words.clear();
    // SAFETY: these are places on the stack, and raise nothing.
    let complete = unsafe {
        (1..=ffi::lua_gettop(state)).all(|at| match text_at(state, at) {
            Some(text) => {
                words.push(text);
                true
            }
            None if ffi::lua_type(state, at) == ffi::LUA_TNUMBER => {
                push_number(&mut words, ffi::lua_tonumber(state, at));
                true
            }
            None => false,
        })
    };
    let done = match complete {
        true => current.execute(words.view()),
        false => {
            current.failure_is_counted.set(false);
            Err(WireError::fixed(BAD_ARGUMENTS))
        }
    };
    current.note_write();
    if let Err(error) = &done {
        let mut failure = current.failure.borrow_mut();
        failure.clear();
        failure.extend_from_slice(error.bytes());
    }
    done.is_ok()
}

/// Whole numbers come without a point, and zero without a sign.
fn push_number(words: &mut crate::protocol::OwnedArgs, n: f64) {
    const BOUND: f64 = 4_611_686_018_427_387_904.0;
    if n.trunc() == n && n.abs() <= BOUND {
        words.push(itoa::Buffer::new().format(n as i64).as_bytes());
    } else if n.is_nan() && n.is_sign_negative() {
        words.push(b"-nan");
    } else {
        words.push(format_double(n).as_bytes());
    }
}

/// A command's reply, which becomes a Lua value. Where RESP2 was asked for, null is `false`.
struct Replied<'a> {
    bytes: &'a [u8],
    resp3: bool,
    depth: usize,
}

impl<'a> Replied<'a> {
    /// The line that begins here, without its end; the rest stays.
    fn line(&mut self) -> &'a [u8] {
        let end = memchr::memchr(b'\r', self.bytes).unwrap_or(self.bytes.len());
        let line = &self.bytes[..end];
        self.bytes = self.bytes.get(end + 2..).unwrap_or_default();
        line
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let text = self.bytes.get(..len).unwrap_or_default();
        self.bytes = self.bytes.get(len + 2..).unwrap_or_default();
        text
    }

    /// Pushes the value; says whether it is not nil.
    ///
    /// # Safety
    /// Called by [`call`] only, whose upvalues it uses. Lua may raise an error.
    unsafe fn push(&mut self, state: *mut lua_State) -> bool {
        // SAFETY: by the contract; room for what is pushed at one level is made first.
        unsafe {
            let message = c"the reply is nested too deeply".as_ptr();
            self.depth += 1;
            if self.depth > DEEPEST_REPLY {
                ffi::luaL_error(state, message);
            }
            ffi::luaL_checkstack(state, 5, message);
            let line = self.line();
            let (kind, text) = line.split_first().unwrap_or((&b'_', b""));
            let number = parse_i64(text);
            let count = number.and_then(|n| usize::try_from(n).ok());
            match (kind, count) {
                (b'+', _) => self.tagged(state, Name::Ok, |_| push_text(state, text)),
                (b'-', _) => self.tagged(state, Name::Err, |_| push_text(state, text)),
                (b':', _) => ffi::lua_pushnumber(state, number.unwrap_or(0) as f64),
                (b'$', Some(len)) => push_text(state, self.take(len)),
                (b'*', Some(len)) => self.elements(state, len),
                (b'#', _) => ffi::lua_pushboolean(state, (text == b"t").into()),
                (b',', _) => {
                    let double = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
                    let double = double.unwrap_or(0.0);
                    self.tagged(state, Name::Double, |_| ffi::lua_pushnumber(state, double));
                }
                (b'(', _) => self.tagged(state, Name::BigNumber, |_| push_text(state, text)),
                (b'=', _) => {
                    let whole = self.take(count.unwrap_or(0));
                    let (format, rest) = whole.split_at(whole.len().min(3));
                    let text = rest.get(1..).unwrap_or_default();
                    self.tagged(state, Name::VerbatimString, |_| {
                        ffi::lua_createtable(state, 0, 2);
                        for (name, text) in [(Name::Format, format), (Name::String, text)] {
                            ffi::lua_pushvalue(state, CALL_NAMES.at(name));
                            push_text(state, text);
                            ffi::lua_rawset(state, -3);
                        }
                    });
                }
                (b'%', _) => {
                    let pairs = count.unwrap_or(0);
                    self.tagged(state, Name::Map, |this| this.pairs(state, pairs, true));
                }
                (b'~', _) => {
                    let members = count.unwrap_or(0);
                    self.tagged(state, Name::Set, |this| this.pairs(state, members, false));
                }
                _ if self.resp3 => ffi::lua_pushnil(state),
                _ => ffi::lua_pushboolean(state, 0),
            }
            self.depth -= 1;
            ffi::lua_type(state, -1) != ffi::LUA_TNIL
        }
    }

    /// Pushes a table with one field, whose value `push` pushes.
    ///
    /// # Safety
    /// As for [`Replied::push`], with room for three values.
    unsafe fn tagged(&mut self, state: *mut lua_State, name: Name, push: impl FnOnce(&mut Self)) {
        // SAFETY: by the contract.
        unsafe {
            ffi::lua_createtable(state, 0, 1);
            ffi::lua_pushvalue(state, CALL_NAMES.at(name));
            push(self);
            ffi::lua_rawset(state, -3);
        }
    }

    /// Pushes an array.
    ///
    /// # Safety
    /// As for [`Replied::push`], with room for two values.
    unsafe fn elements(&mut self, state: *mut lua_State, len: usize) {
        // SAFETY: by the contract.
        unsafe {
            ffi::lua_createtable(state, len.min(MOST_AT_ONCE) as c_int, 0);
            for i in 1..=len {
                if self.bytes.is_empty() {
                    break;
                }
                self.push(state);
                ffi::lua_rawseti(state, -2, i as ffi::lua_Integer);
            }
        }
    }

    /// Pushes the table of a map, or of a set, whose members have the value `true`.
    ///
    /// # Safety
    /// As for [`Replied::push`], with room for three values.
    unsafe fn pairs(&mut self, state: *mut lua_State, count: usize, have_values: bool) {
        // SAFETY: by the contract.
        unsafe {
            ffi::lua_createtable(state, 0, count.min(MOST_AT_ONCE) as c_int);
            for _ in 0..count {
                if self.bytes.is_empty() {
                    break;
                }
                let is_key = self.push(state);
                match have_values {
                    true => {
                        self.push(state);
                    }
                    false => ffi::lua_pushboolean(state, 1),
                }
                match is_key {
                    true => ffi::lua_rawset(state, -3),
                    false => ffi::lua_pop(state, 2),
                }
            }
        }
    }
}

/// Where a script's result goes.
struct Out<'a, 'r> {
    resp3: bool,
    reply: &'a mut Reply<'r>,
    current: &'a Current,
}

/// A number as C turns it into an integer of 64 bits: what has no place there becomes the lowest.
fn whole(n: f64) -> i64 {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    match (-BOUND..BOUND).contains(&n) {
        true => n as i64,
        false => i64::MIN,
    }
}

/// Writes the value on top of the stack and takes it off.
///
/// # Safety
/// Called by [`enter`] only, whose upvalues it uses. Lua is asked for nothing but room on the
/// stack, and raises an error only when the process has no memory left.
unsafe fn write_value(state: *mut lua_State, out: &mut Out<'_, '_>, depth: usize) {
    // SAFETY: by the contract; there is a value.
    unsafe {
        match ffi::lua_type(state, -1) {
            _ if depth > DEEPEST => out.error(&WireError::fixed(TOO_DEEP), false),
            ffi::LUA_TSTRING => out.reply.bulk(text_at(state, -1).unwrap_or_default()),
            ffi::LUA_TNUMBER => out.reply.int(whole(ffi::lua_tonumber(state, -1))),
            ffi::LUA_TBOOLEAN => match ffi::lua_toboolean(state, -1) != 0 {
                truth if out.resp3 => out.reply.bool(truth),
                true => out.reply.int(1),
                false => out.reply.null(),
            },
            ffi::LUA_TTABLE => match ffi::lua_checkstack(state, 5) != 0 {
                true => write_table(state, out, depth),
                false => out.error(&WireError::fixed(TOO_DEEP), false),
            },
            _ => out.reply.null(),
        }
        ffi::lua_pop(state, 1);
    }
}

/// Pushes a field of the table on top of the stack if it is of this type.
///
/// # Safety
/// As for [`write_value`], with room for two values.
unsafe fn field(state: *mut lua_State, name: Name, kind: c_int) -> bool {
    // SAFETY: by the contract; the table is below the name.
    unsafe {
        ffi::lua_pushvalue(state, ENTER_NAMES.at(name));
        ffi::lua_rawget(state, -2);
        let found = ffi::lua_type(state, -1) == kind;
        if !found {
            ffi::lua_pop(state, 1);
        }
        found
    }
}

/// Writes the table on top of the stack, which stays there.
///
/// # Safety
/// As for [`write_value`], with room for five values.
unsafe fn write_table(state: *mut lua_State, out: &mut Out<'_, '_>, depth: usize) {
    // SAFETY: by the contract: each field is taken off again before the next is looked for.
    unsafe {
        if field(state, Name::Err, ffi::LUA_TSTRING) {
            let error = error_line(text_at(state, -1).unwrap_or_default());
            ffi::lua_pop(state, 1);
            let counted = field(state, Name::IsCounted, ffi::LUA_TBOOLEAN);
            out.error(&error, counted && ffi::lua_toboolean(state, -1) != 0);
            if !counted {
                return;
            }
        } else if field(state, Name::Ok, ffi::LUA_TSTRING) {
            let text = until_nul(text_at(state, -1).unwrap_or_default());
            out.reply.simple(&one_line(text));
        } else if field(state, Name::Double, ffi::LUA_TNUMBER) {
            out.reply.double(ffi::lua_tonumber(state, -1));
        } else if field(state, Name::Map, ffi::LUA_TTABLE) {
            out.reply.map(count_pairs(state));
            ffi::lua_pushnil(state);
            while ffi::lua_next(state, -2) != 0 {
                // The key is written from a copy: it is needed for the next.
                ffi::lua_pushvalue(state, -2);
                write_value(state, out, depth + 1);
                write_value(state, out, depth + 1);
            }
        } else if field(state, Name::Set, ffi::LUA_TTABLE) {
            out.reply.set(count_pairs(state));
            ffi::lua_pushnil(state);
            while ffi::lua_next(state, -2) != 0 {
                ffi::lua_pop(state, 1);
                ffi::lua_pushvalue(state, -1);
                write_value(state, out, depth + 1);
            }
        } else if field(state, Name::BigNumber, ffi::LUA_TSTRING) {
            out.reply
                .big_number(&one_line(text_at(state, -1).unwrap_or_default()));
        } else if !write_verbatim(state, out.reply) {
            return write_array(state, out, depth);
        }
        ffi::lua_pop(state, 1);
    }
}

/// Writes the table on top of the stack if it is a text with its format; leaves one value
/// above it then.
///
/// # Safety
/// As for [`write_table`].
unsafe fn write_verbatim(state: *mut lua_State, reply: &mut Reply<'_>) -> bool {
    // SAFETY: by the contract. The text is still in its table when it is off the stack, and
    // nothing runs that could take it away.
    unsafe {
        if !field(state, Name::VerbatimString, ffi::LUA_TTABLE) {
            return false;
        }
        let mut parts: [&[u8]; 2] = [b"", b""];
        for (part, name) in parts.iter_mut().zip([Name::String, Name::Format]) {
            if !field(state, name, ffi::LUA_TSTRING) {
                ffi::lua_pop(state, 1);
                return false;
            }
            *part = text_at(state, -1).unwrap_or_default();
            ffi::lua_pop(state, 1);
        }
        let [text, format] = parts;
        // Three letters, whatever is given.
        let mut letters = [b' '; 3];
        for (letter, given) in letters.iter_mut().zip(until_nul(format)) {
            *letter = *given;
        }
        reply.verbatim_bytes(letters, text);
    }
    true
}

/// How many pairs the table on top of the stack has.
///
/// # Safety
/// As for [`write_table`], with room for two values.
unsafe fn count_pairs(state: *mut lua_State) -> usize {
    let mut count = 0;
    // SAFETY: by the contract; keys are those that Lua gives.
    unsafe {
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            ffi::lua_pop(state, 1);
            count += 1;
        }
    }
    count
}

/// Writes an array, which ends before its first nil.
///
/// # Safety
/// As for [`write_table`].
unsafe fn write_array(state: *mut lua_State, out: &mut Out<'_, '_>, depth: usize) {
    // SAFETY: by the contract.
    unsafe {
        let mut len = 0;
        loop {
            ffi::lua_rawgeti(state, -1, len as ffi::lua_Integer + 1);
            let ends = ffi::lua_type(state, -1) == ffi::LUA_TNIL;
            ffi::lua_pop(state, 1);
            if ends {
                break;
            }
            len += 1;
        }
        out.reply.array(len);
        for i in 1..=len {
            ffi::lua_rawgeti(state, -1, i as ffi::lua_Integer);
            write_value(state, out, depth + 1);
        }
    }
}

impl Out<'_, '_> {
    /// Writes an error. Whether it is counted where errors are counted already: it is what a
    /// command has answered.
    fn error(&mut self, error: &WireError, is_counted: bool) {
        self.reply.error(error);
        if let Some(run) = &mut *self.current.run.borrow_mut() {
            run.note_error_reply(error, is_counted);
        }
    }
}

/// An error as Redis writes a script's: as a text of C, without the ends of lines behind it.
fn error_line(text: &[u8]) -> WireError {
    let text = until_nul(text);
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let len = text.iter().rposition(|byte| !is_end(byte));
    WireError::from_bytes(text[..len.map_or(0, |last| last + 1)].to_vec())
}

fn until_nul(text: &[u8]) -> &[u8] {
    &text[..memchr::memchr(0, text).unwrap_or(text.len())]
}

/// A text for a reply that has one line.
fn one_line(text: &[u8]) -> String {
    String::from_utf8_lossy(text).replace(['\r', '\n'], " ")
}

/// A function that turns a RESP3 reply into a value, for tests.
#[cfg(test)]
pub(super) fn parser(lua: &Lua) -> Result<Function> {
    /// # Safety
    /// Called by Lua only, with a text; its upvalues are those of [`call`].
    unsafe extern "C-unwind" fn parse(state: *mut lua_State) -> c_int {
        // SAFETY: the text stays on the stack.
        unsafe {
            let bytes = text_at(state, 1).unwrap_or_default();
            let mut replied = Replied {
                bytes,
                resp3: true,
                depth: 0,
            };
            replied.push(state);
        }
        1
    }
    // SAFETY: the closure captures nothing.
    unsafe {
        lua.exec_raw(names(lua)?, |state| {
            ffi::lua_pushcclosure(state, parse, RAISES - 1);
        })
    }
}

const BAD_ARGUMENTS: &str = "ERR Lua redis lib command arguments must be strings or integers";
const TOO_DEEP: &str = "ERR reached lua stack limit";
/// For how many elements a table gets room before they come.
const MOST_AT_ONCE: usize = 1 << 16;
/// How deep a command's reply may nest, several times what any does.
const DEEPEST_REPLY: usize = 50;
/// How deep a script's reply may nest.
const DEEPEST: usize = 1000;
