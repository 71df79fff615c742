//! An interpreter with Redis's sandbox in it, for scripts or for functions, and the watch
//! over what runs in it.

use super::errors::{CommandError, Killed};
use super::register::{self, Registered};
use super::stack::Machine;
use super::{api, base, bits, json, msgpack, structs};
use crate::execute::ScriptRun;
use crate::protocol::{Args, OwnedArgs, WireError};
use crate::time::{Duration, Instant};
use mlua::{Function, HookTriggers, Lua, LuaOptions, StdLib, Table, VmState};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an interpreter is for: scripts and functions do not see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `EVAL` and its like.
    Scripts,
    /// Libraries of functions.
    Functions,
}

/// A function in execution, as `FUNCTION STATS` shows it.
#[derive(Clone, Debug)]
pub struct RunningFunction {
    /// Its name.
    pub name: Box<[u8]>,
    /// The command that called it.
    pub command: OwnedArgs,
    /// When it began.
    pub since: Instant,
}

/// What the functions that scripts call share with the engine.
pub struct Current {
    /// The script that runs.
    pub run: RefCell<Option<ScriptRun>>,
    /// The protocol in which it wants replies.
    pub resp3: Cell<bool>,
    /// The command that is executed; kept for its room.
    pub words: RefCell<OwnedArgs>,
    /// The error of the last command that failed.
    pub failure: RefCell<Vec<u8>>,
    /// Whether that is counted already where errors are counted.
    pub failure_is_counted: Cell<bool>,
    /// A panic of a command, which may not cross Lua.
    pub panic: RefCell<Option<Box<dyn Any + Send>>>,
    /// The functions of the library that is being loaded.
    pub loading: RefCell<Option<Vec<Registered>>>,
    /// The function that runs; `None` for scripts.
    function: RefCell<Option<RunningFunction>>,
    load_until: Cell<Option<Instant>>,
    kind: Kind,
    killed: Cell<bool>,
    again: Cell<bool>,
    slow: Cell<bool>,
    started: Cell<Instant>,
    last_turn: Cell<Instant>,
}

impl Current {
    fn new(kind: Kind) -> Self {
        Current {
            run: RefCell::new(None),
            resp3: Cell::new(false),
            words: RefCell::default(),
            failure: RefCell::default(),
            failure_is_counted: Cell::new(false),
            panic: RefCell::new(None),
            loading: RefCell::new(None),
            function: RefCell::new(None),
            load_until: Cell::new(None),
            kind,
            killed: Cell::new(false),
            again: Cell::new(false),
            slow: Cell::new(false),
            started: Cell::new(Instant::now()),
            last_turn: Cell::new(Instant::now()),
        }
    }

    /// Says that a script begins, or a function.
    pub fn begins(&self, run: ScriptRun, function: Option<(&[u8], OwnedArgs)>) {
        run.server.scripts.begins();
        *self.run.borrow_mut() = Some(run);
        self.resp3.set(false);
        self.killed.set(false);
        self.again.set(false);
        self.slow.set(false);
        let now = Instant::now();
        self.started.set(now);
        self.last_turn.set(now);
        *self.function.borrow_mut() = function.map(|(name, command)| RunningFunction {
            name: name.into(),
            command,
            since: now,
        });
    }

    /// Says that it has ended.
    pub fn ends(&self) -> Option<ScriptRun> {
        let run = self.run.borrow_mut().take()?;
        let slow = self.slow.get().then_some(self.kind);
        run.server.scripts.ends(slow, &run.server.gates);
        Some(run)
    }

    /// The next number of `math.random`, of 31 bits: Redis draws them by itself.
    pub fn draw(&self) -> u32 {
        let last = DRAWN.load(Ordering::Relaxed);
        let next = last.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & ((1 << 48) - 1);
        DRAWN.store(next, Ordering::Relaxed);
        (next >> 17) as u32
    }

    /// `math.randomseed`
    pub fn seed(&self, seed: i32) {
        DRAWN.store(u64::from(seed as u32) << 16 | 0x330E, Ordering::Relaxed);
    }

    /// Whether the script has come to an end that it may not catch.
    pub fn must_end(&self) -> bool {
        self.killed.get() || self.again.get() || self.has_panicked()
    }

    /// Whether the script has to be run again, with everything locked.
    pub fn is_to_run_again(&self) -> bool {
        self.again.get() && !self.has_panicked()
    }

    /// Executes a command of the script; its reply is in the script's buffer, in one piece.
    ///
    /// # Errors
    /// The command's.
    pub fn execute(&self, args: Args<'_>) -> Result<(), WireError> {
        self.failure_is_counted.set(false);
        if args.is_empty() {
            return Err(WireError::fixed(NO_ARGUMENTS));
        }
        let mut run = self.run.borrow_mut();
        let run = run.as_mut().ok_or(WireError::fixed(NOT_RUNNING))?;
        let done = run.call(args, self.resp3.get());
        self.failure_is_counted.set(done.is_err());
        self.again.set(run.is_to_run_again());
        done?;
        run.out.join();
        Ok(())
    }

    /// Whether a command of the script has panicked.
    pub fn has_panicked(&self) -> bool {
        self.panic.borrow().is_some()
    }

    fn has_written(&self) -> bool {
        self.run.borrow().as_ref().is_some_and(ScriptRun::wrote)
    }

    /// Lets `SCRIPT KILL` know when the script is slow and has written. The others are not
    /// asked for, and several may run at a time.
    pub fn note_write(&self) {
        if self.slow.get()
            && let Some(run) = self.run.borrow().as_ref()
            && run.wrote()
        {
            let has_written = &run.server.scripts.has_written;
            has_written.store(true, Ordering::Release);
        }
    }

    /// Looks, now and then, whether the script should end, and lets the thread's other tasks
    /// run when it takes long.
    fn watch(&self) -> mlua::Result<VmState> {
        if self.must_end() {
            // Whatever it does about it: a handler of errors runs when one is raised.
            return Err(mlua::Error::external(Killed));
        }
        if self
            .load_until
            .get()
            .is_some_and(|end| end < Instant::now())
        {
            let text = b"ERR FUNCTION LOAD timeout".to_vec();
            return Err(mlua::Error::external(CommandError(text)));
        }
        // Not held while others run.
        let server = match self.run.borrow().as_ref() {
            Some(run) => run.server,
            None => return Ok(VmState::Continue),
        };
        let since = self.last_turn.get();
        if since.elapsed() < BETWEEN_TURNS {
            return Ok(VmState::Continue);
        }
        let threshold = server.config.current().busy_reply_threshold_ms;
        let took = self.started.get().elapsed();
        if !self.slow.get() && threshold > 0 && took >= Duration::from_millis(threshold) {
            self.slow.set(true);
            let function = self.function.borrow_mut().take();
            self.note_write();
            server.scripts.becomes_slow(function, &server.gates);
            tracing::warn!(
                milliseconds = took.as_millis() as u64,
                "a script is slow: clients are answered BUSY; SCRIPT KILL or FUNCTION KILL ends it"
            );
        }
        crate::net::let_others_run();
        self.last_turn.set(Instant::now());
        let ordered = self.slow.get() && server.scripts.kill.load(Ordering::Acquire);
        // What has begun to write goes on, whatever was ordered before it did.
        if ordered && !self.has_written() {
            self.killed.set(true);
            return Err(mlua::Error::external(Killed));
        }
        Ok(VmState::Continue)
    }
}

/// See the module's documentation.
pub struct Sandbox {
    /// The interpreter.
    pub lua: Lua,
    /// What runs in it.
    pub current: Rc<Current>,
    /// Runs scripts and functions in it.
    pub machine: Machine,
    load: Function,
}

impl Sandbox {
    /// An interpreter of its own.
    pub fn new(kind: Kind) -> mlua::Result<Sandbox> {
        let libraries = StdLib::TABLE | StdLib::OS | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        let current = Rc::new(Current::new(kind));
        // The functions that hold its address live as long as the interpreter.
        lua.set_app_data(Rc::clone(&current));
        let host = api::host(&lua)?;
        let describe: Function = host.raw_get("describe")?;
        let given = lua.create_table()?;
        given.raw_set("redis", api::redis(&lua, &current, kind)?)?;
        given.raw_set("cjson", json::library(&lua)?)?;
        given.raw_set("cmsgpack", msgpack::library(&lua)?)?;
        given.raw_set("struct", structs::library(&lua)?)?;
        given.raw_set("bit", bits::library(&lua)?)?;
        host.raw_set("libraries", given)?;
        let as_table: Function = host.raw_get("as_table")?;
        host.raw_set("base", base::functions(&lua, &current, &as_table)?)?;
        if kind == Kind::Functions {
            host.raw_set("loading", register::redis(&lua, &current)?)?;
        }
        let prelude = lua.load(PRELUDE).set_name("=[prelude]").into_function()?;
        let sandbox: Table = prelude.call(host)?;
        let watched = Rc::clone(&current);
        let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
        lua.set_global_hook(triggers, move |_, _| watched.watch())?;
        Ok(Sandbox {
            machine: Machine::new(&lua, &describe, &sandbox.raw_get("globals")?)?,
            load: sandbox.raw_get("load")?,
            lua,
            current,
        })
    }

    /// Compiles a text under the name that errors show.
    pub fn compile(&self, code: Vec<u8>, name: &str) -> mlua::Result<Function> {
        let chunk = self.lua.load(code).set_name(name);
        chunk.set_mode(mlua::chunk::ChunkMode::Text).into_function()
    }

    /// Runs the text of a library; gives what it has registered, or its error.
    pub fn register(
        &self,
        text: Function,
        within: Option<Duration>,
    ) -> mlua::Result<Result<Vec<Registered>, mlua::Value>> {
        *self.current.loading.borrow_mut() = Some(Vec::new());
        let until = within.map(|within| Instant::now() + within);
        self.current.load_until.set(until);
        let limited = Limit::of_scripts(&self.lua);
        let outcome = self.load.call::<(bool, mlua::Value)>(text);
        drop(limited);
        self.current.load_until.set(None);
        let found = self.current.loading.borrow_mut().take().unwrap_or_default();
        let (ok, error) = outcome?;
        Ok(if ok { Ok(found) } else { Err(error) })
    }
}

/// A limit of what an interpreter may allocate, as long as this lives.
///
/// With a limit, the binding makes each of the host's own allocations in a protected call, which
/// costs several times as much as the allocation; so the limit is on only while a script's own
/// code runs, which alone can allocate without bound.
pub struct Limit<'l>(&'l Lua);

impl<'l> Limit<'l> {
    /// The limit of scripts and functions.
    pub fn of_scripts(lua: &'l Lua) -> Self {
        // It fails for foreign allocators only.
        let _ = lua.set_memory_limit(MEMORY_LIMIT);
        Limit(lua)
    }
}

impl Drop for Limit<'_> {
    fn drop(&mut self) {
        let _ = self.0.set_memory_limit(0);
    }
}

/// The state of `math.random`, of 48 bits: one for the process, as in Redis, and the same at
/// its start.
static DRAWN: AtomicU64 = AtomicU64::new(0x1234_ABCD_330E);
const PRELUDE: &str = include_str!("prelude.lua");
const NO_ARGUMENTS: &str = "ERR Please specify at least one argument for this redis lib call";
const NOT_RUNNING: &str = "ERR redis.call can only be called inside a script invocation";
/// How much an interpreter may allocate, in bytes.
const MEMORY_LIMIT: usize = 1 << 30;
/// How long a script runs before the thread's other tasks get a turn.
const BETWEEN_TURNS: Duration = Duration::from_millis(20);
/// How many instructions pass between two looks at the clock.
const INSTRUCTIONS: u32 = 10_000;
