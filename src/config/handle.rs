//! The configuration as all threads share it.
//!
//! Readers take a snapshot; writers replace it, one at a time, and move a version by which
//! those who copy values out see that there is something new.

use super::resolved::{Config, Exposure};
use super::spec::{Flags, Kind, Spec};
use super::table;
use super::value::Value;
use crate::glob;
use parking_lot::{Mutex, RwLock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Refused. Displayed as the error that the client gets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// There is no such option.
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// The option does not take this, or not now.
    #[error("ERR CONFIG SET failed (possibly related to argument '{argument}') - {reason}")]
    Refused {
        /// The option, as the table spells what was asked for.
        argument: String,
        /// Why.
        reason: String,
    },
    /// There is nothing to rewrite.
    #[error("ERR The server is running without a config file")]
    NoFile,
    /// The file could not be written.
    #[error("ERR Rewriting config file: {0}")]
    Rewrite(String),
}

/// What a `set` changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// What was in force.
    pub old: Arc<Config>,
    /// What is now.
    pub new: Arc<Config>,
    /// The options whose value differs.
    pub names: Vec<&'static str>,
    /// Those among them that do nothing here.
    pub inert: Vec<&'static str>,
}

impl Change {
    /// Whether the option's value differs.
    pub fn includes(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
}

/// A handle on the configuration; clones share it.
#[derive(Clone, Debug)]
pub struct ConfigHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    current: RwLock<Arc<Config>>,
    version: AtomicU64,
    /// Held while a change is made and applied, so that changes come one after the other.
    changing: Mutex<()>,
    file: Option<PathBuf>,
}

impl Default for ConfigHandle {
    fn default() -> ConfigHandle {
        ConfigHandle::new(Config::default(), None)
    }
}

impl ConfigHandle {
    /// A handle on `config`; `file` is where `CONFIG REWRITE` writes it.
    pub fn new(config: Config, file: Option<PathBuf>) -> ConfigHandle {
        ConfigHandle(Arc::new(Shared {
            current: RwLock::new(Arc::new(config)),
            version: AtomicU64::new(1),
            changing: Mutex::new(()),
            file,
        }))
    }

    /// What is in force.
    pub fn current(&self) -> Arc<Config> {
        self.0.current.read().clone()
    }

    /// Grows with every change.
    #[inline]
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// The absolute path of the configuration file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    /// The options that match any of the patterns, each once, with their values. An option
    /// asked for by name is answered under the name as asked.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let config = self.current();
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |name: &[u8], spec: &Spec, value: &Value| {
            if !found
                .iter()
                .any(|(seen, _)| seen.eq_ignore_ascii_case(name))
            {
                found.push((name.to_vec(), value.shown(spec.kind)));
            }
        };
        for pattern in patterns {
            if !pattern.iter().any(|c| matches!(c, b'*' | b'?' | b'[')) {
                if let Some((index, _)) = table::find(pattern)
                    && let Some(spec) = table::options().nth(index)
                {
                    add(pattern, spec, &config.values[index]);
                }
                continue;
            }
            for (spec, value) in table::options().zip(&config.values) {
                if spec.flags.contains(Flags::HIDDEN) {
                    continue;
                }
                for name in std::iter::once(&spec.name).chain(spec.aliases) {
                    if glob::matches(pattern, name.as_bytes(), true) {
                        add(name.as_bytes(), spec, value);
                    }
                }
            }
        }
        found
    }

    /// Sets all the options or none. `apply` sees the change once it is in force and may
    /// still refuse it, naming an option and the reason: then the old values are restored,
    /// and it is up to `apply` to have undone what it did. `local` says that the client is
    /// on this machine.
    ///
    /// # Errors
    /// With the text for the client.
    pub fn set(
        &self,
        pairs: &[(&[u8], &[u8])],
        local: bool,
        apply: impl FnOnce(&Change) -> Result<(), (&'static str, String)>,
    ) -> Result<Change, ConfigError> {
        let _changing = self.0.changing.lock();
        let old = self.current();
        let allowed = match old.enable_protected_configs {
            Exposure::No => false,
            Exposure::Yes => true,
            Exposure::Local => local,
        };
        let targets = targets(pairs, allowed)?;
        let mut values = old.values.clone();
        for (target, (_, arg)) in targets.iter().zip(pairs) {
            let before = match target.spec.kind {
                // Classes that are not named stay; save points are replaced.
                Kind::OutputLimits => Some(&values[target.index]),
                _ => None,
            };
            let value = target.spec.parse(&[arg.to_vec()], before);
            values[target.index] = value.map_err(|reason| refused(target.name, reason))?;
        }
        let change = self.replace(old, values);
        if let Err((name, reason)) = apply(&change) {
            self.publish(change.old);
            return Err(refused(name, reason));
        }
        Ok(change)
    }

    /// Notes a value that another command has settled, such as `REPLICAOF`, whatever its
    /// option's flags say.
    ///
    /// # Errors
    /// When there is no such option or it does not take the value.
    pub fn note(&self, name: &str, args: &[&[u8]]) -> Result<Change, ConfigError> {
        let _changing = self.0.changing.lock();
        let old = self.current();
        let unknown = || ConfigError::Unknown(name.to_owned());
        let (index, name) = table::find(name.as_bytes()).ok_or_else(unknown)?;
        let spec = table::options().nth(index).ok_or_else(unknown)?;
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
        let mut values = old.values.clone();
        values[index] = spec
            .parse(&args, None)
            .map_err(|reason| refused(name, reason))?;
        Ok(self.replace(old, values))
    }

    /// Writes the values in force to the configuration file, keeping its comments and order.
    ///
    /// # Errors
    /// When there is no file, or it cannot be written; then it is as it was.
    pub fn rewrite(&self) -> Result<(), ConfigError> {
        self.rewrite_with(false)
    }

    /// The same with the options that are at their defaults and have no line.
    ///
    /// # Errors
    /// When there is no file, or it cannot be written; then it is as it was.
    pub fn rewrite_all(&self) -> Result<(), ConfigError> {
        self.rewrite_with(true)
    }

    fn rewrite_with(&self, all: bool) -> Result<(), ConfigError> {
        let _changing = self.0.changing.lock();
        let path = self.file().ok_or(ConfigError::NoFile)?;
        super::rewrite::rewrite_file(path, &self.current(), all)
            .map_err(|error| ConfigError::Rewrite(super::file::reason(&error)))
    }

    fn replace(&self, old: Arc<Config>, values: Vec<Value>) -> Change {
        let differing = || {
            let pairs = old.values.iter().zip(&values);
            let differing = table::options().zip(pairs).filter(|(_, (a, b))| a != b);
            differing.map(|(spec, _)| spec)
        };
        let names = differing().map(|spec| spec.name).collect();
        let inert = differing()
            .filter(|spec| spec.flags.contains(Flags::INERT))
            .map(|spec| spec.name)
            .collect();
        let new = Arc::new(Config::new(values));
        self.publish(new.clone());
        Change {
            old,
            new,
            names,
            inert,
        }
    }

    fn publish(&self, config: Arc<Config>) {
        *self.0.current.write() = config;
        self.0.version.fetch_add(1, Ordering::Release);
    }
}

/// An option that is to be set, under the name that was used.
struct Target {
    index: usize,
    spec: &'static Spec,
    name: &'static str,
}

/// The options to be set, all of which may be.
fn targets(pairs: &[(&[u8], &[u8])], protected_allowed: bool) -> Result<Vec<Target>, ConfigError> {
    let mut targets: Vec<Target> = Vec::with_capacity(pairs.len());
    for (asked, _) in pairs {
        let unknown = || ConfigError::Unknown(String::from_utf8_lossy(asked).into_owned());
        let (index, name) = table::find(asked).ok_or_else(unknown)?;
        let spec = table::options().nth(index).ok_or_else(unknown)?;
        if spec.flags.contains(Flags::IMMUTABLE) {
            return Err(refused(name, "can't set immutable config"));
        }
        if spec.flags.contains(Flags::PROTECTED) && !protected_allowed {
            return Err(refused(name, "can't set protected config"));
        }
        // An option and its alias may both be given, as with Redis; the last one stays.
        if targets.iter().any(|target| target.name == name) {
            return Err(refused(name, "duplicate parameter"));
        }
        targets.push(Target { index, spec, name });
    }
    Ok(targets)
}

fn refused(argument: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Refused {
        argument: argument.to_owned(),
        reason: reason.into(),
    }
}
