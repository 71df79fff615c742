//! The interpreters of a worker, and the execution of scripts and functions in them.

use super::api::described;
use super::cache::{Script, Sha};
use super::errors::{ScriptError, text_of_syntax};
use super::library::functions_of;
use super::sandbox::{Kind, Sandbox};
use super::shebang::{ScriptFlags, Shebang};
use super::stack::{Entry, Kept, Outcome};
use crate::execute::{Gates, Reach, ScriptRules, ScriptRun, SessionContext};
use crate::keyspace::{FunctionInfo, Library};
use crate::net::Client;
use crate::protocol::{Args, Reply, WireError, errors};
use crate::server::{CommandCounts, Server};
use hashbrown::HashMap;
use std::cell::RefCell;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is to run.
pub enum Program {
    /// A script.
    Script(Arc<Script>),
    /// A function of a library, by its index there.
    Function(Arc<Library>, usize),
}

impl Program {
    fn kind(&self) -> Kind {
        match self {
            Program::Script(_) => Kind::Scripts,
            Program::Function(..) => Kind::Functions,
        }
    }

    /// What it declares. A function declares by its nature, if only that it has no flags.
    fn shebang(&self) -> Shebang {
        match self {
            Program::Script(script) => script.shebang,
            Program::Function(library, index) => Shebang {
                declared: true,
                flags: info(library, *index)
                    .map(|info| ScriptFlags::from_bits_truncate(info.flags))
                    .unwrap_or_default(),
            },
        }
    }

    /// Notes that it needs every database, for the next time.
    fn note_everything(&self) {
        match self {
            Program::Script(script) => script.everything.note(),
            Program::Function(library, _) => library.everything.note(),
        }
    }

    /// By what name errors call it.
    fn name(&self) -> String {
        match self {
            Program::Script(script) => script.hex(),
            Program::Function(library, index) => info(library, *index)
                .map(|info| String::from_utf8_lossy(&info.name).into_owned())
                .unwrap_or_default(),
        }
    }
}

fn info(library: &Library, index: usize) -> Option<&FunctionInfo> {
    library.functions.get(index)
}

/// A script to run.
pub struct Call<'a> {
    /// The script or function.
    pub program: Program,
    /// The whole command.
    pub command: Args<'a>,
    /// Its keys.
    pub keys: Args<'a>,
    /// Its other arguments.
    pub args: Args<'a>,
    /// Whether a command ending in `_RO` runs it.
    pub read_only: bool,
}

impl<'a> Call<'a> {
    /// What must be locked for it.
    fn reach(&self) -> Reach<'a> {
        match &self.program {
            Program::Script(script) if script.everything.is_needed() => Reach::Everything,
            Program::Script(script) if script.only_its_keys => Reach::Keys(self.keys),
            Program::Function(library, _) if library.everything.is_needed() => Reach::Everything,
            _ => Reach::Database,
        }
    }
}

/// A library in an interpreter: its functions in the order of [`Library::functions`].
struct Loaded {
    library: Arc<Library>,
    functions: Vec<Kept>,
}

struct Engine {
    sandbox: Sandbox,
    compiled: HashMap<Sha, (Arc<Script>, Kept)>,
    /// How many scripts had been forgotten when those of them that are here were given up.
    given_up_at: u64,
    loaded: HashMap<Box<[u8]>, Loaded>,
    counts: Arc<CommandCounts>,
    generation: u64,
    /// What the interpreter had after it was last cleared of garbage, in bytes.
    kept_bytes: usize,
}

thread_local! {
    static SCRIPTS: RefCell<Option<Engine>> = const { RefCell::new(None) };
    static FUNCTIONS: RefCell<Option<Engine>> = const { RefCell::new(None) };
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
    with_engine(server, call.program.kind(), |engine| {
        engine.evaluate(context, call, reply)
    })
}

/// Compiles a script without running it.
///
/// # Errors
/// When it does not compile.
pub fn check(server: &'static Server, script: &Arc<Script>) -> Result<(), WireError> {
    with_engine(server, Kind::Scripts, |engine| {
        engine.script(script).map(|_| ())
    })
}

/// Lends the thread's interpreter, made anew after `SCRIPT FLUSH`.
fn with_engine<R>(
    server: &'static Server,
    kind: Kind,
    job: impl FnOnce(&mut Engine) -> Result<R, WireError>,
) -> Result<R, WireError> {
    let (engine, generation) = match kind {
        Kind::Scripts => (&SCRIPTS, server.scripts.generation()),
        Kind::Functions => (&FUNCTIONS, 0),
    };
    engine.with(|engine| {
        // Only a script that runs on this thread holds it.
        let Ok(mut engine) = engine.try_borrow_mut() else {
            return Err(server.scripts.busy_error());
        };
        let old = engine.take().filter(|e| e.generation == generation);
        let engine = engine.insert(match old {
            Some(engine) => engine,
            None => Engine::new(server, kind, generation).map_err(|error| internal(&error))?,
        });
        job(engine)
    })
}

impl Engine {
    fn new(server: &'static Server, kind: Kind, generation: u64) -> mlua::Result<Engine> {
        Ok(Engine {
            sandbox: Sandbox::new(kind)?,
            compiled: HashMap::new(),
            given_up_at: server.scripts.forgotten(),
            loaded: HashMap::new(),
            counts: server.stats.command_stats.add_worker(),
            generation,
            kept_bytes: 0,
        })
    }

    fn evaluate(
        &mut self,
        context: &mut SessionContext<'_>,
        call: &Call<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), WireError> {
        let function = match &call.program {
            Program::Script(script) => {
                self.give_up_forgotten(context.server);
                self.script(script)?
            }
            Program::Function(library, index) => self.function(library, *index)?,
        };
        let rules = rules(context, call)?;
        let mut outcome = self.run(context, call, function, rules, call.reach(), reply);
        if self.sandbox.current.is_to_run_again() {
            call.program.note_everything();
            outcome = self.run(context, call, function, rules, Reach::Everything, reply);
        }
        let (lua, kind) = (&self.sandbox.lua, call.program.kind());
        if lua.used_memory() > self.kept_bytes + MOST_GARBAGE {
            // It would stand in the way of the next script, whose memory is limited.
            let _ = lua.gc_collect();
            self.kept_bytes = lua.used_memory();
        }
        let bytes = lua.used_memory() as u64;
        let scripts = &context.server.scripts;
        match kind {
            Kind::Scripts => scripts.interpreter_bytes.store(bytes, Ordering::Relaxed),
            Kind::Functions => scripts.function_bytes.store(bytes, Ordering::Relaxed),
        }
        match outcome {
            Ok(Outcome::Replied) => Ok(()),
            Ok(Outcome::Failed(error)) => {
                let error = described(&error);
                context.done.error_is_counted = error.is_counted;
                Err(failed(error, &call.program.name()))
            }
            Ok(Outcome::Panicked(panic)) => resume_unwind(panic),
            Err(error) => Err(internal(&error)),
        }
    }

    /// Runs a script or function under locks of its own.
    fn run(
        &self,
        context: &mut SessionContext<'_>,
        call: &Call<'_>,
        function: Kept,
        rules: ScriptRules,
        reach: Reach<'_>,
        reply: &mut Reply<'_>,
    ) -> mlua::Result<Outcome> {
        let client = Client::new(Arc::clone(&context.client.info), true);
        let counts = Arc::clone(&self.counts);
        let mut run = ScriptRun::begin(context, client, rules, reach, counts);
        let (current, lua) = (&self.sandbox.current, &self.sandbox.lua);
        match &call.program {
            Program::Script(_) => current.begins(run, None),
            Program::Function(library, index) => {
                run.depends_on_libraries();
                let name = info(library, *index).map(|info| &*info.name);
                let shown = (name.unwrap_or_default(), call.command.to_owned());
                current.begins(run, Some(shown));
            }
        }
        let entry = Entry {
            function,
            keys: call.keys,
            args: call.args,
            in_globals: call.program.kind() == Kind::Scripts,
            reply,
        };
        let outcome = self.sandbox.machine.run(lua, current, entry);
        if let Some(run) = current.ends() {
            run.end(context);
        }
        outcome
    }

    /// Gives up scripts that the server has forgotten, when there may be a number of them.
    fn give_up_forgotten(&mut self, server: &Server) {
        let forgotten = server.scripts.forgotten();
        if forgotten < self.given_up_at + MOST_FORGOTTEN {
            return;
        }
        self.given_up_at = forgotten;
        let machine = &self.sandbox.machine;
        let gone = self.compiled.extract_if(|_, (script, _)| script.is_gone());
        gone.for_each(|(_, (_, function))| machine.forget(function));
    }

    /// The compiled script.
    fn script(&mut self, script: &Arc<Script>) -> Result<Kept, WireError> {
        if let Some((_, function)) = self.compiled.get(&script.sha) {
            return Ok(*function);
        }
        let (machine, lua) = (&self.sandbox.machine, &self.sandbox.lua);
        let function = self.sandbox.compile(script.code(), "@user_script");
        match function.and_then(|function| machine.keep(lua, &function)) {
            Ok(function) => {
                self.compiled
                    .insert(script.sha, (Arc::clone(script), function));
                Ok(function)
            }
            Err(error) => {
                let text = text_of_syntax(&error);
                let text = format!("ERR Error compiling script (new function): {text}");
                Err(WireError::new(text))
            }
        }
    }

    /// The function of a library, which is loaded if it is another one than the last time.
    fn function(&mut self, library: &Arc<Library>, index: usize) -> Result<Kept, WireError> {
        let loaded = self.loaded.get(&library.name);
        let loaded = match loaded.filter(|loaded| Arc::ptr_eq(&loaded.library, library)) {
            Some(loaded) => loaded,
            None => {
                // What others have left behind goes with them.
                let (machine, lua) = (&self.sandbox.machine, &self.sandbox.lua);
                let old = self.loaded.extract_if(|name, loaded| {
                    *name == library.name || Arc::strong_count(&loaded.library) == 1
                });
                for (_, loaded) in old {
                    loaded.functions.iter().for_each(|f| machine.forget(*f));
                }
                let mut functions = functions_of(&self.sandbox, &library.code, None)?;
                functions.sort_by(|a, b| a.info.name.cmp(&b.info.name));
                let kept = functions.iter().map(|one| machine.keep(lua, &one.callback));
                let fresh = Loaded {
                    library: Arc::clone(library),
                    functions: kept
                        .collect::<mlua::Result<_>>()
                        .map_err(|error| internal(&error))?,
                };
                self.loaded
                    .entry(library.name.clone())
                    .insert(fresh)
                    .into_mut()
            }
        };
        let function = loaded.functions.get(index).copied();
        function.ok_or(WireError::fixed("ERR Function not found"))
    }
}

/// What the script may do, if it may begin at all.
fn rules(context: &SessionContext<'_>, call: &Call<'_>) -> Result<ScriptRules, WireError> {
    let shebang = call.program.shebang();
    let no_writes = shebang.flags.contains(ScriptFlags::NO_WRITES);
    let gates = context.server.gates.load();
    if !shebang.declared {
        if gates & Gates::STALE != 0 {
            return Err(errors::MASTER_DOWN);
        }
        return Ok(ScriptRules {
            read_only: call.read_only,
            ..ScriptRules::default()
        });
    }
    let allow_oom = no_writes || shebang.flags.contains(ScriptFlags::ALLOW_OOM);
    if gates & Gates::OUT_OF_MEMORY != 0 && !allow_oom {
        return Err(errors::OUT_OF_MEMORY);
    }
    if !no_writes {
        if gates & Gates::FILE_ERROR != 0 {
            return Err(context.server.file_error());
        }
        if gates & (Gates::SAVE_ERROR | Gates::READ_ONLY) == Gates::SAVE_ERROR {
            return Err(errors::SAVE_ERROR);
        }
        if gates & Gates::READ_ONLY != 0 {
            return Err(errors::READ_ONLY);
        }
        if gates & (Gates::NO_REPLICAS | Gates::TOO_FEW_REPLICAS) != 0 {
            return Err(errors::NO_REPLICAS);
        }
    }
    if gates & Gates::STALE != 0 && !shebang.flags.contains(ScriptFlags::ALLOW_STALE) {
        return Err(errors::MASTER_DOWN);
    }
    if call.read_only && !no_writes {
        return Err(WireError::fixed(
            "ERR Can not execute a script with write flag using *_ro command.",
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

/// An error of the interpreter itself.
pub(super) fn internal(error: &mlua::Error) -> WireError {
    match error {
        mlua::Error::MemoryError(_) => WireError::fixed("ERR not enough memory for the script"),
        other => WireError::new(format!("ERR {other}").replace(['\r', '\n'], " ")),
    }
}

/// How many scripts that the server has forgotten an interpreter may still have.
const MOST_FORGOTTEN: u64 = 64;
/// How much more an interpreter may have after a script than it needs, in bytes.
const MOST_GARBAGE: usize = 64 << 20;
