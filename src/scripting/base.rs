//! Functions of Lua's own library as scripts get them.
//!
//! Scripts hold faces of the protected tables: empty tables that show the contents of others
//! and refuse to be written. Lua's own functions know nothing of them, so each that could write
//! to a table passes a guard first, and each that would find a face empty is given what is
//! behind it. A guard calls the original in its own frame, so that errors name the function and
//! the line as if there was none. `pcall` and its like hand on what may not be caught, and show
//! errors of the host as Redis does; `unpack` and `math.random` are Redis's.
//!
//! What must stay true: as in [`super::stack`], no frame under which Lua may raise an error
//! holds anything that must be dropped.

use super::sandbox::Current;
use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Result, Table};
use std::ffi::{c_int, c_void};
use std::rc::Rc;

/// The functions that the prelude puts in the place of Lua's, by their names there.
///
/// # Errors
/// When memory is full.
pub fn functions(lua: &Lua, current: &Rc<Current>, as_table: &Function) -> Result<Table> {
    let all = lua.create_table()?;
    let frozen = weak_table(lua)?;
    let shown = weak_table(lua)?;
    lua.set_named_registry_value(FROZEN, &frozen)?;
    let original = |library: Option<&str>, name: &str| -> Result<Function> {
        match library {
            Some(library) => lua.globals().get::<Table>(library)?.get(name),
            None => lua.globals().get(name),
        }
    };
    let guards: [(Option<&str>, &str, ffi::lua_CFunction); 8] = [
        (None, "next", through_face),
        (None, "rawget", through_face),
        (Some("table"), "foreach", through_face),
        (Some("table"), "insert", insert),
        (None, "rawset", rawset),
        (None, "setmetatable", setmetatable),
        (None, "load", load),
        (None, "loadstring", loadstring),
    ];
    for (library, name, guard) in guards {
        let function = original(library, name)?;
        all.raw_set(name, closure(lua, (&frozen, function), guard, 2)?)?;
    }
    let next: Function = all.raw_get("next")?;
    all.raw_set("pairs", closure(lua, next, pairs, 1)?)?;
    let function = original(None, "getmetatable")?;
    let seen = (&frozen, &shown, function);
    all.raw_set("getmetatable", closure(lua, seen, getmetatable, 3)?)?;
    all.raw_set("unpack", closure(lua, (), unpack, 0)?)?;
    let resume: Function = original(Some("coroutine"), "resume")?;
    for (name, body, function) in [
        ("pcall", pcall as ffi::lua_CFunction, None),
        ("xpcall", xpcall, None),
        ("resume", coresume, Some(resume)),
        ("random", random, None),
        ("randomseed", randomseed, None),
    ] {
        all.raw_set(name, host_closure(lua, current, as_table, function, body)?)?;
    }
    all.raw_set("frozen", frozen)?;
    all.raw_set("shown", shown)?;
    Ok(all)
}

/// What is behind a face.
pub fn behind_face(lua: &Lua, table: &Table) -> Option<Table> {
    // Faces have a metatable, what scripts encode has none as a rule.
    table.metatable()?;
    let frozen: Table = lua.named_registry_value(FROZEN).ok()?;
    frozen.raw_get(table).ok()
}

fn weak_table(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    let meta = lua.create_table()?;
    meta.raw_set("__mode", "k")?;
    table.set_metatable(Some(meta))?;
    Ok(table)
}

/// Where the table of faces is kept: from each to what is behind it.
const FROZEN: &str = "lockstep.frozen";

/// The upvalues of guards: the table of faces, then the original.
const FACES: c_int = 1;
const ORIGINAL: c_int = 2;
/// [`getmetatable`] has this one between them, and the original after it.
const SHOWN: c_int = 2;
const GETMETATABLE: c_int = 3;
/// Those of functions of the host, `resume`'s original after them.
const CURRENT: c_int = 1;
const AS_TABLE: c_int = 2;
const RESUME: c_int = 3;
/// Those of [`handle`]: the script's own handler, then the host's.
const HANDLER: c_int = 1;
const HANDLE_AS_TABLE: c_int = 2;
const HANDLE_CURRENT: c_int = 3;

fn closure(
    lua: &Lua,
    upvalues: impl mlua::IntoLuaMulti,
    body: ffi::lua_CFunction,
    count: c_int,
) -> Result<Function> {
    // SAFETY: the arguments are on the stack and become the upvalues; the closure holds copies.
    unsafe { lua.exec_raw(upvalues, |state| ffi::lua_pushcclosure(state, body, count)) }
}

fn host_closure(
    lua: &Lua,
    current: &Rc<Current>,
    as_table: &Function,
    original: Option<Function>,
    body: ffi::lua_CFunction,
) -> Result<Function> {
    let place = Rc::as_ptr(current).cast_mut().cast::<c_void>();
    // SAFETY: as in `closure`; a missing original is nil. The sandbox keeps `current` for as
    // long as the interpreter.
    unsafe {
        lua.exec_raw((as_table, original), |state| {
            ffi::lua_pushlightuserdata(state, place);
            ffi::lua_insert(state, 1);
            ffi::lua_pushcclosure(state, body, 3);
        })
    }
}

/// What runs, for functions of the host.
///
/// # Safety
/// Called in a function whose upvalue `at` is the address that [`host_closure`] has put there.
unsafe fn current<'c>(state: *mut lua_State, at: c_int) -> &'c Current {
    // SAFETY: by the contract; see `host_closure` for how long it lives.
    unsafe { &*ffi::lua_touserdata(state, ffi::lua_upvalueindex(at)).cast::<Current>() }
}

/// Goes on as the original function, in this frame.
///
/// # Safety
/// The upvalue is a C function of Lua's that has no upvalues of its own.
unsafe fn go_on(state: *mut lua_State, original: c_int) -> c_int {
    // SAFETY: by the contract.
    unsafe {
        match ffi::lua_tocfunction(state, ffi::lua_upvalueindex(original)) {
            Some(function) => function(state),
            None => 0,
        }
    }
}

/// Pushes what is behind the first argument if it is a face.
///
/// # Safety
/// Called in a function that has the table of faces as its upvalue [`FACES`].
unsafe fn push_content(state: *mut lua_State) -> bool {
    // SAFETY: there is room for three values; what is pushed is taken off again.
    unsafe {
        if ffi::lua_type(state, 1) != ffi::LUA_TTABLE || ffi::lua_getmetatable(state, 1) == 0 {
            return false;
        }
        ffi::lua_pop(state, 1);
        ffi::lua_pushvalue(state, 1);
        ffi::lua_rawget(state, ffi::lua_upvalueindex(FACES));
        let found = ffi::lua_type(state, -1) == ffi::LUA_TTABLE;
        if !found {
            ffi::lua_pop(state, 1);
        }
        found
    }
}

/// # Safety
/// As for [`push_content`]. Raises an error.
unsafe fn refuse_faces(state: *mut lua_State) {
    // SAFETY: by the contract.
    unsafe {
        if push_content(state) {
            let text = b"Attempt to modify a readonly table";
            ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len());
            ffi::lua_error(state);
        }
    }
}

/// A function that reads its first argument, through its face.
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn through_face(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those of guards.
    unsafe {
        if push_content(state) {
            ffi::lua_replace(state, 1);
        }
        go_on(state, ORIGINAL)
    }
}

/// `table.insert`
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn insert(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those of guards.
    unsafe {
        match ffi::lua_gettop(state) {
            2 => refuse_faces(state),
            3 if ffi::lua_type(state, 1) == ffi::LUA_TTABLE => {
                ffi::luaL_checkinteger(state, 2);
                refuse_faces(state);
            }
            _ => {}
        }
        go_on(state, ORIGINAL)
    }
}

/// `rawset`
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn rawset(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those of guards.
    unsafe {
        if ffi::lua_gettop(state) >= 3 {
            refuse_faces(state);
        }
        go_on(state, ORIGINAL)
    }
}

/// `setmetatable`
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn setmetatable(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those of guards.
    unsafe {
        if matches!(ffi::lua_type(state, 2), ffi::LUA_TNIL | ffi::LUA_TTABLE) {
            refuse_faces(state);
        }
        go_on(state, ORIGINAL)
    }
}

/// `getmetatable`: of a face, what a script may see.
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn getmetatable(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are the table of faces, that of what they show, and the original.
    unsafe {
        if push_content(state) {
            ffi::lua_pushvalue(state, 1);
            ffi::lua_rawget(state, ffi::lua_upvalueindex(SHOWN));
            return 1;
        }
        go_on(state, GETMETATABLE)
    }
}

/// `pairs`: what is behind a face is not handed out.
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn pairs(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalue is `next` with its guard; there is room.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_pushvalue(state, 1);
        ffi::lua_pushnil(state);
    }
    3
}

/// Whether the text at this place of the stack begins as compiled code does: it can break the
/// interpreter.
///
/// # Safety
/// The place is a valid one.
unsafe fn is_compiled(state: *mut lua_State, at: c_int) -> bool {
    // SAFETY: by the contract; the text stays where it is.
    unsafe {
        if ffi::lua_type(state, at) != ffi::LUA_TSTRING {
            return false;
        }
        let mut len = 0;
        let bytes = ffi::lua_tolstring(state, at, &mut len);
        len > 0 && bytes.cast::<u8>().read() == COMPILED
    }
}

/// Puts a space in front of a text on top of the stack: what was compiled code is a text then,
/// which the compiler refuses.
///
/// # Safety
/// There is room for a value more.
unsafe fn spoil(state: *mut lua_State) {
    // SAFETY: by the contract.
    unsafe {
        ffi::lua_pushlstring_(state, c" ".as_ptr(), 1);
        ffi::lua_insert(state, -2);
        ffi::lua_concat(state, 2);
    }
}

/// `loadstring`, of text only.
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn loadstring(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those of guards; there is room.
    unsafe {
        if is_compiled(state, 1) {
            ffi::lua_settop(state, 2);
            if ffi::lua_type(state, 2) == ffi::LUA_TNIL {
                // It is its own name.
                ffi::lua_pushvalue(state, 1);
                ffi::lua_replace(state, 2);
            }
            ffi::lua_pushvalue(state, 1);
            spoil(state);
            ffi::lua_replace(state, 1);
        }
        go_on(state, ORIGINAL)
    }
}

/// `load`, of text only: the pieces pass [`piece`].
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn load(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those of guards; there is room.
    unsafe {
        if ffi::lua_type(state, 1) == ffi::LUA_TFUNCTION {
            ffi::lua_pushvalue(state, 1);
            ffi::lua_pushboolean(state, 1);
            ffi::lua_pushcclosure(state, piece, 2);
            ffi::lua_replace(state, 1);
        }
        go_on(state, ORIGINAL)
    }
}

/// The next piece of a text from the script's function.
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn piece(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those that `load` has given.
    unsafe {
        ffi::lua_settop(state, 0);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
        ffi::lua_call(state, 0, 1);
        if ffi::lua_toboolean(state, ffi::lua_upvalueindex(2)) != 0
            && ffi::lua_type(state, 1) == ffi::LUA_TSTRING
        {
            if is_compiled(state, 1) {
                spoil(state);
            }
            ffi::lua_pushboolean(state, 0);
            ffi::lua_replace(state, ffi::lua_upvalueindex(2));
        }
    }
    1
}

/// `unpack`, which counts without overflow.
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn unpack(state: *mut lua_State) -> c_int {
    // SAFETY: room for the values is made before they are pushed.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TTABLE);
        let from = match ffi::lua_type(state, 2) {
            ffi::LUA_TNIL | ffi::LUA_TNONE => 1,
            _ => ffi::luaL_checkinteger(state, 2) as i32,
        };
        let to = match ffi::lua_type(state, 3) {
            ffi::LUA_TNIL | ffi::LUA_TNONE => ffi::lua_rawlen(state, 1) as i32,
            _ => ffi::luaL_checkinteger(state, 3) as i32,
        };
        if from > to {
            return 0;
        }
        let count = i64::from(to) - i64::from(from) + 1;
        let count = c_int::try_from(count).unwrap_or(c_int::MAX);
        if count == c_int::MAX || ffi::lua_checkstack(state, count) == 0 {
            return ffi::luaL_error(state, c"too many results to unpack".as_ptr());
        }
        for i in from..=to {
            ffi::lua_rawgeti(state, 1, i.into());
        }
        count
    }
}

/// Makes the error on top of the stack one that scripts may see; what must end a script is
/// raised again.
///
/// # Safety
/// Called in a function of the host, or in [`handle`], by the places of their upvalues.
unsafe fn show_error(state: *mut lua_State, at: c_int, as_table: c_int) {
    // SAFETY: by the contract; there is room for one value more.
    unsafe {
        if current(state, at).must_end() {
            ffi::lua_error(state);
        }
        if ffi::lua_type(state, -1) == ffi::LUA_TUSERDATA {
            ffi::lua_pushvalue(state, ffi::lua_upvalueindex(as_table));
            ffi::lua_insert(state, -2);
            ffi::lua_call(state, 1, 1);
        }
    }
}

/// `pcall`: of an error that is a table, its text.
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those of the host's functions.
    unsafe {
        let count = ffi::lua_gettop(state);
        // As in Redis, what comes first is called if there is nothing.
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 1);
        if count == 0 {
            ffi::lua_pushvalue(state, 1);
        }
        let failed = ffi::lua_pcall(state, (count - 1).max(0), ffi::LUA_MULTRET, 0);
        if failed == ffi::LUA_OK {
            return ffi::lua_gettop(state);
        }
        show_error(state, CURRENT, AS_TABLE);
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            let text = b"err";
            ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len());
            ffi::lua_rawget(state, -2);
            match ffi::lua_type(state, -1) {
                ffi::LUA_TSTRING | ffi::LUA_TNUMBER => ffi::lua_replace(state, -2),
                _ => ffi::lua_pop(state, 1),
            }
        }
        ffi::lua_pushboolean(state, 0);
        ffi::lua_replace(state, 1);
        2
    }
}

/// `xpcall`
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn xpcall(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those of the host's functions.
    unsafe {
        ffi::luaL_checkany(state, 2);
        ffi::lua_settop(state, 2);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(AS_TABLE));
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(CURRENT));
        ffi::lua_pushcclosure(state, handle, 3);
        ffi::lua_insert(state, 1);
        let failed = ffi::lua_pcall(state, 0, ffi::LUA_MULTRET, 1);
        if failed != ffi::LUA_OK && current(state, CURRENT).must_end() {
            ffi::lua_error(state);
        }
        ffi::lua_pushboolean(state, (failed == ffi::LUA_OK).into());
        ffi::lua_replace(state, 1);
        ffi::lua_gettop(state)
    }
}

/// Calls a script's own handler of errors with the error.
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn handle(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those that `xpcall` has given.
    unsafe {
        ffi::lua_settop(state, 1);
        if current(state, HANDLE_CURRENT).must_end() {
            return 1;
        }
        show_error(state, HANDLE_CURRENT, HANDLE_AS_TABLE);
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(HANDLER));
        ffi::lua_insert(state, 1);
        ffi::lua_call(state, 1, 1);
    }
    1
}

/// `coroutine.resume`
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn coresume(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those of the host's functions and the original.
    unsafe {
        let count = go_on(state, RESUME);
        if count == 2 && ffi::lua_toboolean(state, -2) == 0 {
            show_error(state, CURRENT, AS_TABLE);
        }
        count
    }
}

/// `math.random`
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn random(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those of the host's functions.
    unsafe {
        let drawn = current(state, CURRENT).draw() % MOST_DRAWN;
        let share = f64::from(drawn) / f64::from(MOST_DRAWN);
        let (from, to) = match ffi::lua_gettop(state) {
            0 => {
                ffi::lua_pushnumber(state, share);
                return 1;
            }
            1 => {
                let to = ffi::luaL_checkinteger(state, 1) as i32;
                if to < 1 {
                    return ffi::luaL_argerror(state, 1, c"interval is empty".as_ptr());
                }
                (1, to)
            }
            2 => {
                let from = ffi::luaL_checkinteger(state, 1) as i32;
                let to = ffi::luaL_checkinteger(state, 2) as i32;
                if from > to {
                    return ffi::luaL_argerror(state, 2, c"interval is empty".as_ptr());
                }
                (from, to)
            }
            _ => return ffi::luaL_error(state, c"wrong number of arguments".as_ptr()),
        };
        let width = to.wrapping_sub(from).wrapping_add(1);
        let within = (share * f64::from(width)).floor();
        ffi::lua_pushnumber(state, within + f64::from(from));
    }
    1
}

/// `math.randomseed`
///
/// # Safety
/// Called by Lua only, with the upvalues that it was given here.
unsafe extern "C-unwind" fn randomseed(state: *mut lua_State) -> c_int {
    // SAFETY: the upvalues are those of the host's functions.
    unsafe {
        let seed = ffi::luaL_checkinteger(state, 1) as i32;
        current(state, CURRENT).seed(seed);
    }
    0
}

/// With what compiled code begins.
const COMPILED: u8 = 27;
/// One more than the largest number that [`random`] makes use of.
const MOST_DRAWN: u32 = i32::MAX as u32;
