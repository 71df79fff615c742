//! One interpreter a worker, and the execution of a script in it.

use super::api;
use super::cache::{Script, Sha};
use super::convert::write_reply;
use super::errors::{Killed, ScriptError};
use super::shebang::ScriptFlags;
use super::{bits, json, msgpack, structs};
use crate::execute::{Gates, ScriptRules, ScriptRun, SessionContext};
use crate::net::Client;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::server::{CommandCounts, Server};
use crate::time::{Duration, Instant};
use mlua::{Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the functions that scripts call share with the engine.
pub struct Current {
    /// The script that runs.
    pub run: RefCell<Option<ScriptRun>>,
    /// The protocol in which it wants replies.
    pub resp3: Cell<bool>,
    killed: Cell<bool>,
    slow: Cell<bool>,
    started: Cell<Instant>,
    last_turn: Cell<Instant>,
}

impl Current {
    fn new() -> Self {
        Current {
            run: RefCell::new(None),
            resp3: Cell::new(false),
            killed: Cell::new(false),
            slow: Cell::new(false),
            started: Cell::new(Instant::now()),
            last_turn: Cell::new(Instant::now()),
        }
    }

    fn begins(&self, run: ScriptRun) {
        run.server.scripts.begins();
        *self.run.borrow_mut() = Some(run);
        self.resp3.set(false);
        self.killed.set(false);
        self.slow.set(false);
        let now = Instant::now();
        self.started.set(now);
        self.last_turn.set(now);
    }

    fn ends(&self) -> Option<ScriptRun> {
        let run = self.run.borrow_mut().take()?;
        run.server.scripts.ends(self.slow.get(), &run.server.gates);
        Some(run)
    }

    /// Whether the script that runs was ended from outside.
    pub fn is_killed(&self) -> bool {
        self.killed.get()
    }
}

/// A script to run.
pub struct Call<'a> {
    /// The script.
    pub script: Arc<Script>,
    /// Its keys.
    pub keys: Args<'a>,
    /// Its other arguments.
    pub args: Args<'a>,
    /// Whether a command ending in `_RO` runs it.
    pub read_only: bool,
}

struct Engine {
    lua: Lua,
    current: Rc<Current>,
    globals: Table,
    run: Function,
    compiled: HashMap<Sha, Function>,
    counts: Arc<CommandCounts>,
    generation: u64,
}

thread_local! {
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
}

/// Runs a script and writes its reply.
///
/// # Errors
/// What keeps the script from beginning, and what it ends with.
pub fn evaluate(
    context: &mut SessionContext<'_>,
    call: &Call<'_>,
    reply: &mut Reply<'_>,
) -> Result<(), WireError> {
    let server = context.server;
    with_engine(server, |engine| engine.evaluate(context, call, reply))
}

/// Compiles a script without running it.
///
/// # Errors
/// When it does not compile.
pub fn check(server: &'static Server, script: &Script) -> Result<(), WireError> {
    with_engine(server, |engine| engine.function(script).map(|_| ()))
}

/// Lends the thread's interpreter, made anew after `SCRIPT FLUSH`.
fn with_engine<R>(
    server: &'static Server,
    job: impl FnOnce(&mut Engine) -> Result<R, WireError>,
) -> Result<R, WireError> {
    ENGINE.with(|engine| {
        // Only a script that runs on this thread holds it.
        let Ok(mut engine) = engine.try_borrow_mut() else {
            return Err(errors::BUSY_SCRIPT);
        };
        let generation = server.scripts.generation();
        let old = engine.take().filter(|e| e.generation == generation);
        let engine = engine.insert(match old {
            Some(engine) => engine,
            None => Engine::new(server, generation).map_err(|error| internal(&error))?,
        });
        job(engine)
    })
}

impl Engine {
    fn new(server: &'static Server, generation: u64) -> mlua::Result<Engine> {
        let libraries = StdLib::TABLE | StdLib::OS | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        lua.set_memory_limit(MEMORY_LIMIT)?;
        let current = Rc::new(Current::new());
        let host = api::host(&lua, &current)?;
        let given = lua.create_table()?;
        given.raw_set("redis", api::redis(&lua, &current)?)?;
        given.raw_set("cjson", json::library(&lua)?)?;
        given.raw_set("cmsgpack", msgpack::library(&lua)?)?;
        given.raw_set("struct", structs::library(&lua)?)?;
        given.raw_set("bit", bits::library(&lua)?)?;
        host.raw_set("libraries", given)?;
        let prelude = lua.load(PRELUDE).set_name("=[prelude]").into_function()?;
        let sandbox: Table = prelude.call(host)?;
        let watched = Rc::clone(&current);
        let triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS);
        lua.set_global_hook(triggers, move |_, _| watch(&watched))?;
        Ok(Engine {
            globals: sandbox.raw_get("globals")?,
            run: sandbox.raw_get("run")?,
            compiled: HashMap::new(),
            lua,
            current,
            counts: server.stats.command_stats.add_worker(),
            generation,
        })
    }

    fn evaluate(
        &mut self,
        context: &mut SessionContext<'_>,
        call: &Call<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), WireError> {
        let function = self.function(&call.script)?;
        let rules = rules(context, call)?;
        let everything = call.script.everything;
        self.prepare(call).map_err(|error| internal(&error))?;
        let client = Client::new(Arc::clone(&context.client.info), true);
        let counts = Arc::clone(&self.counts);
        let run = ScriptRun::begin(context, client, rules, everything, counts);
        self.current.begins(run);
        let outcome = self.run.call::<(bool, Value)>(function);
        if let Some(run) = self.current.ends() {
            run.end(context);
        }
        let bytes = self.lua.used_memory() as u64;
        let scripts = &context.server.scripts;
        scripts.interpreter_bytes.store(bytes, Ordering::Relaxed);
        match outcome {
            Ok((true, value)) => {
                write_reply(&value, self.current.resp3.get(), reply);
                Ok(())
            }
            Ok((false, error)) => Err(failed(api::described(&error), &call.script.hex())),
            Err(error) => Err(internal(&error)),
        }
    }

    /// The compiled script.
    fn function(&mut self, script: &Script) -> Result<Function, WireError> {
        if let Some(function) = self.compiled.get(&script.sha) {
            return Ok(function.clone());
        }
        let chunk = self.lua.load(script.code());
        let compiled = chunk
            .set_name("@user_script")
            .set_mode(mlua::chunk::ChunkMode::Text)
            .into_function();
        match compiled {
            Ok(function) => {
                self.compiled.insert(script.sha, function.clone());
                Ok(function)
            }
            Err(error) => {
                let text = match &error {
                    mlua::Error::SyntaxError { message, .. } => message.clone(),
                    other => other.to_string(),
                };
                let text = format!("ERR Error compiling script (new function): {text}");
                Err(WireError::new(text))
            }
        }
    }

    fn prepare(&self, call: &Call<'_>) -> mlua::Result<()> {
        for (name, values) in [("KEYS", call.keys), ("ARGV", call.args)] {
            let table = self.lua.create_table_with_capacity(values.len(), 0)?;
            for (i, value) in values.iter().enumerate() {
                table.raw_set(i + 1, self.lua.create_string(value)?)?;
            }
            self.globals.raw_set(name, table)?;
        }
        Ok(())
    }
}

/// Looks, now and then, whether the script should end, and lets the thread's other tasks run
/// when it takes long.
fn watch(current: &Current) -> mlua::Result<VmState> {
    // Not held while others run.
    let server = match current.run.borrow().as_ref() {
        Some(run) => run.server,
        None => return Ok(VmState::Continue),
    };
    let since = current.last_turn.get();
    if !current.killed.get() && since.elapsed() < BETWEEN_TURNS {
        return Ok(VmState::Continue);
    }
    let threshold = server.config.current().busy_reply_threshold_ms;
    let took = current.started.get().elapsed();
    if !current.slow.get() && threshold > 0 && took >= Duration::from_millis(threshold) {
        current.slow.set(true);
        server.scripts.becomes_slow(&server.gates);
        tracing::warn!(
            milliseconds = took.as_millis() as u64,
            "a script is slow: clients are answered BUSY; SCRIPT KILL ends it"
        );
    }
    crate::net::let_others_run();
    current.last_turn.set(Instant::now());
    if current.killed.get() || current.slow.get() && server.scripts.kill.load(Ordering::Acquire) {
        current.killed.set(true);
        return Err(mlua::Error::external(Killed));
    }
    Ok(VmState::Continue)
}

/// What the script may do, if it may begin at all.
fn rules(context: &SessionContext<'_>, call: &Call<'_>) -> Result<ScriptRules, WireError> {
    let shebang = call.script.shebang;
    let no_writes = shebang.flags.contains(ScriptFlags::NO_WRITES);
    if !shebang.declared {
        return Ok(ScriptRules {
            read_only: call.read_only,
            ..ScriptRules::default()
        });
    }
    if call.read_only && !no_writes {
        return Err(WireError::fixed(
            "ERR Can not execute a script with write flag using *_ro command.",
        ));
    }
    let gates = context.server.gates.load();
    if gates & Gates::STALE != 0 && !shebang.flags.contains(ScriptFlags::ALLOW_STALE) {
        return Err(errors::MASTER_DOWN);
    }
    if !no_writes {
        if gates & Gates::READ_ONLY != 0 {
            return Err(WireError::fixed(
                "READONLY You can not run script with write flag on readonly replica.",
            ));
        }
        if gates & Gates::FILE_ERROR != 0 {
            return Err(context.server.file_error());
        }
        if gates & (Gates::NO_REPLICAS | Gates::TOO_FEW_REPLICAS) != 0 {
            return Err(errors::NO_REPLICAS);
        }
    }
    let allow_oom = no_writes || shebang.flags.contains(ScriptFlags::ALLOW_OOM);
    if gates & Gates::OUT_OF_MEMORY != 0 && !allow_oom {
        return Err(WireError::fixed(
            "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'",
        ));
    }
    Ok(ScriptRules {
        read_only: no_writes || call.read_only,
        allow_oom: true,
        declared: true,
    })
}

/// The error with which a script ends, and where.
fn failed(error: ScriptError, script: &str) -> WireError {
    let mut text = error.text;
    text.extend_from_slice(format!(" script: {script}").as_bytes());
    if let Some((source, line)) = error.place {
        text.extend_from_slice(format!(", on {source}:{line}.").as_bytes());
    }
    WireError::from_bytes(text)
}

fn internal(error: &mlua::Error) -> WireError {
    match error {
        mlua::Error::MemoryError(_) => WireError::fixed("ERR not enough memory for the script"),
        other => WireError::new(format!("ERR {other}").replace(['\r', '\n'], " ")),
    }
}

const PRELUDE: &str = include_str!("prelude.lua");
/// How much an interpreter may allocate, in bytes.
const MEMORY_LIMIT: usize = 1 << 30;
/// How long a script runs before the thread's other tasks get a turn.
const BETWEEN_TURNS: Duration = Duration::from_millis(20);
/// How many instructions pass between two looks at the clock.
const INSTRUCTIONS: u32 = 10_000;
