//! The texts of scripts, by their SHA-1.

use super::reach::touches_only_its_keys;
use super::sandbox::{Kind, RunningFunction};
use super::shebang::Shebang;
use crate::execute::Gates;
use crate::keyspace::Everything;
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
    /// Whether it needs all databases.
    pub everything: Everything,
    /// Whether it touches no keys but those it is given.
    pub only_its_keys: bool,
    /// When it was last used, in [`Scripts::clock`]'s time.
    used: AtomicU64,
    /// Whether it was forgotten: interpreters need not keep it either.
    gone: AtomicBool,
}

impl Script {
    /// Reads a text.
    ///
    /// # Errors
    /// When its first line declares what does not exist.
    pub fn new(body: &[u8]) -> Result<Script, WireError> {
        Ok(Script {
            sha: Sha1::digest(body).into(),
            shebang: Shebang::of_script(body)?,
            everything: Everything::said(crate::execute::mentions_other_databases(body)),
            only_its_keys: touches_only_its_keys(body),
            body: body.into(),
            used: AtomicU64::new(0),
            gone: AtomicBool::new(false),
        })
    }

    /// Whether it was forgotten.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

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
    /// Those that were only ever evaluated, and not loaded. Locked after the others.
    evaluated: Mutex<Vec<Arc<Script>>>,
    /// Goes on by two when a script is kept. What is used between is one later than what was
    /// kept before: exact enough to know what was used last, and nearly free.
    clock: AtomicU64,
    /// How many scripts were forgotten so far.
    forgotten: AtomicU64,
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

    /// The same, which is used now.
    pub fn used(&self, sha: &Sha) -> Option<Arc<Script>> {
        let script = self.get(sha)?;
        let now = self.clock.load(Ordering::Relaxed) + 1;
        if script.used.load(Ordering::Relaxed) != now {
            script.used.store(now, Ordering::Relaxed);
        }
        Some(script)
    }

    /// The script of this text, used now.
    pub fn of_text(&self, body: &[u8]) -> Option<Arc<Script>> {
        self.used(&Sha1::digest(body).into())
    }

    /// How many scripts were forgotten so far.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// All scripts that are kept.
    pub fn all(&self) -> Vec<Arc<Script>> {
        self.by_sha.read().values().cloned().collect()
    }

    /// Keeps a script that `SCRIPT LOAD` has brought, for good.
    pub fn keep_loaded(&self, script: &Arc<Script>) {
        let mut by_sha = self.by_sha.write();
        self.evaluated.lock().retain(|one| one.sha != script.sha);
        self.insert(&mut by_sha, script);
    }

    /// Keeps a script that `EVAL` has brought, until enough others have been evaluated later.
    /// Gives how many were forgotten for it.
    pub fn keep_evaluated(&self, script: &Arc<Script>) -> u64 {
        let mut by_sha = self.by_sha.write();
        if !self.insert(&mut by_sha, script) {
            return 0;
        }
        let mut evaluated = self.evaluated.lock();
        let mut forgotten = 0;
        while evaluated.len() >= MOST_EVALUATED {
            let ages = evaluated.iter().enumerate();
            let oldest = ages.min_by_key(|(_, script)| script.used.load(Ordering::Relaxed));
            let Some(at) = oldest.map(|(at, _)| at) else {
                break;
            };
            let old = evaluated.remove(at);
            by_sha.remove(&old.sha);
            old.gone.store(true, Ordering::Relaxed);
            self.bytes
                .fetch_sub(old.body.len() as u64, Ordering::Relaxed);
            forgotten += 1;
        }
        evaluated.push(Arc::clone(script));
        self.forgotten.fetch_add(forgotten, Ordering::Relaxed);
        forgotten
    }

    /// Whether it was not there yet.
    fn insert(&self, by_sha: &mut HashMap<Sha, Arc<Script>>, script: &Arc<Script>) -> bool {
        if let Some(kept) = by_sha.get(&script.sha) {
            // Two have brought it at once: interpreters need not keep the other.
            let is_other = !Arc::ptr_eq(kept, script);
            script.gone.store(is_other, Ordering::Relaxed);
            return false;
        }
        let now = self.clock.fetch_add(2, Ordering::Relaxed) + 2;
        script.used.store(now, Ordering::Relaxed);
        self.bytes
            .fetch_add(script.body.len() as u64, Ordering::Relaxed);
        by_sha.insert(script.sha, Arc::clone(script));
        true
    }

    /// Forgets all scripts.
    pub fn flush(&self) {
        let mut by_sha = self.by_sha.write();
        self.evaluated.lock().clear();
        by_sha.clear();
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

/// How many scripts are kept that were only evaluated, as in Redis.
const MOST_EVALUATED: usize = 500;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Arc<Script> {
        Arc::new(Script::new(text.as_bytes()).expect("no shebang line"))
    }

    /// Scripts that were evaluated stayed for ever: a client that builds its texts filled the
    /// memory with them.
    #[test]
    fn what_was_evaluated_long_ago_is_forgotten() {
        let scripts = Scripts::default();
        let loaded = script("return 'loaded'");
        scripts.keep_loaded(&loaded);
        let first: Vec<_> = (0..MOST_EVALUATED)
            .map(|i| script(&format!("return {i}")))
            .collect();
        let forgotten = first
            .iter()
            .map(|one| scripts.keep_evaluated(one))
            .sum::<u64>();
        assert_eq!((forgotten, scripts.size().0), (0, MOST_EVALUATED + 1));
        // The first is used once more, the second is loaded.
        assert!(scripts.of_text(b"return 0").is_some());
        scripts.keep_loaded(&first[1]);
        assert_eq!(scripts.keep_evaluated(&script("return 'a'")), 0);
        assert_eq!(scripts.keep_evaluated(&script("return 'b'")), 1);
        assert!(first[2].is_gone() && !first[0].is_gone() && !first[1].is_gone());
        assert!(scripts.get(&first[2].sha).is_none());
        assert_eq!(scripts.keep_evaluated(&first[0]), 0, "it is there");
        assert_eq!(scripts.size().0, MOST_EVALUATED + 2);
        let bytes: usize = scripts.all().iter().map(|one| one.body.len()).sum();
        assert_eq!(scripts.size().1, bytes as u64);
        scripts.flush();
        assert_eq!(scripts.size(), (0, 0));
        assert!(!loaded.is_gone());
    }
}
