//! The texts of scripts, by their SHA-1.

use super::reach::touches_only_its_keys;
use super::sandbox::{Kind, RunningFunction};
use super::shebang::Shebang;
use crate::execute::Gates;
use crate::protocol::{WireError, errors};
use crate::time::Duration;
use parking_lot::{Mutex, RwLock};
use sha1::{Digest as _, Sha1};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The SHA-1 of a script's text.
pub type Sha = [u8; 20];

/// A script.
pub struct Script {
    /// Its SHA-1.
    pub sha: Sha,
    /// Its text, as it came.
    pub body: Box<[u8]>,
    /// What its first line declares.
    pub shebang: Shebang,
    /// Whether it mentions commands that reach other databases.
    pub everything: bool,
    /// Whether it touches no keys but those it is given.
    pub only_its_keys: bool,
}

impl Script {
    /// The SHA-1 in hexadecimal digits.
    pub fn hex(&self) -> String {
        hex(&self.sha)
    }

    /// The text that Lua compiles: the first line is blank if it is a shebang line.
    pub fn code(&self) -> Vec<u8> {
        code_of(&self.body)
    }
}

/// The text without its first line if that is a shebang line; the line's end stays, so that
/// the numbers of the others are right.
pub fn code_of(body: &[u8]) -> Vec<u8> {
    if !body.starts_with(b"#!") {
        return body.to_vec();
    }
    let end = body.iter().position(|byte| *byte == b'\n');
    body[end.unwrap_or(body.len())..].to_vec()
}

/// All scripts of the server.
#[derive(Default)]
pub struct Scripts {
    by_sha: RwLock<HashMap<Sha, Arc<Script>>>,
    /// Counts `SCRIPT FLUSH`: interpreters start anew after one.
    generation: AtomicU64,
    bytes: AtomicU64,
    /// Memory of the interpreters, the last that each has reported.
    pub interpreter_bytes: AtomicU64,
    /// The same for those of functions.
    pub function_bytes: AtomicU64,
    /// Set by `SCRIPT KILL` or `FUNCTION KILL` for the script that runs.
    pub kill: AtomicBool,
    /// Whether a slow script has written.
    pub has_written: AtomicBool,
    /// How many scripts have been running for longer than `busy-reply-threshold`.
    slow: AtomicUsize,
    /// How many of them are functions.
    slow_functions: AtomicUsize,
    /// The function among them that became slow last.
    slow_function: Mutex<Option<RunningFunction>>,
    /// How many scripts run.
    running: AtomicUsize,
}

impl Scripts {
    /// The script with this SHA-1.
    pub fn get(&self, sha: &Sha) -> Option<Arc<Script>> {
        self.by_sha.read().get(sha).cloned()
    }

    /// All scripts that are kept.
    pub fn all(&self) -> Vec<Arc<Script>> {
        self.by_sha.read().values().cloned().collect()
    }

    /// The script with this text, which is kept.
    ///
    /// # Errors
    /// When its first line declares what does not exist.
    pub fn keep(&self, body: &[u8]) -> Result<Arc<Script>, WireError> {
        let sha: Sha = Sha1::digest(body).into();
        if let Some(script) = self.get(&sha) {
            return Ok(script);
        }
        let script = Arc::new(Script {
            sha,
            shebang: Shebang::of_script(body)?,
            everything: crate::execute::mentions_other_databases(body),
            only_its_keys: touches_only_its_keys(body),
            body: body.into(),
        });
        self.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
        self.by_sha.write().insert(sha, Arc::clone(&script));
        Ok(script)
    }

    /// Forgets a script that does not compile.
    pub fn forget(&self, script: &Script) {
        if self.by_sha.write().remove(&script.sha).is_some() {
            self.bytes
                .fetch_sub(script.body.len() as u64, Ordering::Relaxed);
        }
    }

    /// Forgets all scripts.
    pub fn flush(&self) {
        self.by_sha.write().clear();
        self.bytes.store(0, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether a script has been running for too long.
    pub fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Acquire) > 0
    }

    /// Says that a script begins.
    pub fn begins(&self) {
        self.running.fetch_add(1, Ordering::AcqRel);
    }

    /// Says that a script has been running for too long, or a function.
    pub fn becomes_slow(&self, function: Option<RunningFunction>, gates: &Gates) {
        if function.is_some() {
            *self.slow_function.lock() = function;
            self.slow_functions.fetch_add(1, Ordering::AcqRel);
        }
        self.kill.store(false, Ordering::Release);
        self.slow.fetch_add(1, Ordering::AcqRel);
        gates.set(Gates::BUSY, true);
    }

    /// Says that a script has ended, and what it was if it was slow.
    pub fn ends(&self, was_slow: Option<Kind>, gates: &Gates) {
        self.running.fetch_sub(1, Ordering::AcqRel);
        if was_slow == Some(Kind::Functions) {
            self.slow_functions.fetch_sub(1, Ordering::AcqRel);
            *self.slow_function.lock() = None;
        }
        if was_slow.is_some() && self.slow.fetch_sub(1, Ordering::AcqRel) == 1 {
            gates.set(Gates::BUSY, false);
            self.has_written.store(false, Ordering::Release);
            self.kill.store(false, Ordering::Release);
        }
    }

    /// The function that has been running for too long.
    pub fn slow_function(&self) -> Option<RunningFunction> {
        self.slow_function.lock().clone()
    }

    /// What clients are told while a script has been running for too long.
    pub fn busy_error(&self) -> WireError {
        match self.slow_functions.load(Ordering::Acquire) {
            0 => errors::BUSY_SCRIPT,
            _ => errors::BUSY_FUNCTION,
        }
    }

    /// `SCRIPT KILL` and `FUNCTION KILL`.
    ///
    /// # Errors
    /// When none of the kind is slow, or it has written.
    pub fn kill_slow(&self, kind: Kind) -> Result<(), WireError> {
        if !self.is_slow() {
            return Err(WireError::fixed(
                "NOTBUSY No scripts in execution right now.",
            ));
        }
        if self.has_written.load(Ordering::Acquire) {
            return Err(errors::UNKILLABLE);
        }
        let functions = self.slow_functions.load(Ordering::Acquire) > 0;
        if functions != (kind == Kind::Functions) {
            return Err(self.busy_error());
        }
        self.kill.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether a script runs.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire) > 0
    }

    /// Waits until no script runs. For tasks that take locks: a script holds them, and may
    /// let other tasks of its thread run in between.
    pub async fn none_running(&self) {
        while self.is_running() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// How often all scripts have been forgotten.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How many scripts there are, and the bytes of their texts.
    pub fn size(&self) -> (usize, u64) {
        (self.by_sha.read().len(), self.bytes.load(Ordering::Relaxed))
    }
}

/// Hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Forty hexadecimal digits as a SHA-1.
pub fn parse_sha(text: &[u8]) -> Option<Sha> {
    let mut sha = Sha::default();
    if text.len() != 2 * sha.len() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    for (byte, digits) in sha.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(digits[0])? << 4 | digit(digits[1])?;
    }
    Some(sha)
}
