//! Libraries of functions: a part of the data, beside the keys.
//!
//! Here they are names and text; `scripting` compiles them. What must stay true: they change
//! only while every shard of every database is locked, so that a snapshot and the log agree
//! with the keys.

use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A function of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionInfo {
    /// Its name.
    pub name: Box<[u8]>,
    /// What its author says of it.
    pub description: Option<Box<[u8]>>,
    /// Its flags, in the bits of `scripting::ScriptFlags`.
    pub flags: u32,
}

/// A library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Its name.
    pub name: Box<[u8]>,
    /// Its text, the first line included.
    pub code: Box<[u8]>,
    /// Its functions by name; at least one.
    pub functions: Vec<FunctionInfo>,
    /// Whether it needs all databases.
    pub everything: Everything,
}

/// Whether a text needs all databases: it says so, or has turned out to while it ran.
#[derive(Debug, Default)]
pub struct Everything(AtomicBool);

impl Everything {
    /// What the text says.
    pub fn said(needed: bool) -> Self {
        Everything(AtomicBool::new(needed))
    }

    /// Notes that it does.
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it does, as far as is known.
    pub fn is_needed(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clone for Everything {
    fn clone(&self) -> Self {
        Everything::said(self.is_needed())
    }
}

impl PartialEq for Everything {
    /// Says nothing about the text itself.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Everything {}

impl Library {
    /// Bytes that it occupies, about.
    fn mem_bytes(&self) -> usize {
        let functions = self.functions.iter().map(|function| {
            let description = function.description.as_ref().map_or(0, |text| text.len());
            size_of::<FunctionInfo>() + 2 * function.name.len() + description
        });
        size_of::<Self>() + self.name.len() + self.code.len() + functions.sum::<usize>()
    }
}

/// Why a library cannot join others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// There is a library of this name.
    Library(Box<[u8]>),
    /// Another library has a function of this name.
    Function(Box<[u8]>),
}

/// All libraries at one time.
#[derive(Clone, Debug, Default)]
pub struct Libraries {
    by_name: BTreeMap<Box<[u8]>, Arc<Library>>,
    /// Which function of which library has this name, in lower case.
    functions: HashMap<Box<[u8]>, (Arc<Library>, usize)>,
}

impl Libraries {
    /// Adds a library; with `replace` in the place of one of its name.
    ///
    /// # Errors
    /// If its name or one of its functions is taken; nothing is changed then.
    pub fn add(&mut self, library: Library, replace: bool) -> Result<(), Conflict> {
        if !replace && self.by_name.contains_key(&library.name) {
            return Err(Conflict::Library(library.name));
        }
        for function in &library.functions {
            let taken = self.functions.get(&*function.name.to_ascii_lowercase());
            if taken.is_some_and(|(owner, _)| owner.name != library.name) {
                return Err(Conflict::Function(function.name.clone()));
            }
        }
        self.remove(&library.name.clone());
        let library = Arc::new(library);
        for (index, function) in library.functions.iter().enumerate() {
            let name = function.name.to_ascii_lowercase().into_boxed_slice();
            let place = (Arc::clone(&library), index);
            self.functions.insert(name, place);
        }
        self.by_name.insert(library.name.clone(), library);
        Ok(())
    }

    /// Removes a library; whether there was one of this name.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        if self.by_name.remove(name).is_none() {
            return false;
        }
        self.functions.retain(|_, (owner, _)| *owner.name != *name);
        true
    }

    /// Whether there is a library of this name.
    pub fn has(&self, name: &[u8]) -> bool {
        self.by_name.contains_key(name)
    }

    /// The library that has this function, and the function's index in it.
    pub fn find(&self, function: &[u8]) -> Option<(Arc<Library>, usize)> {
        let found = self.functions.get(function).cloned();
        found.or_else(|| self.functions.get(&*function.to_ascii_lowercase()).cloned())
    }

    /// The libraries by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.by_name.values()
    }

    /// How many libraries and how many functions there are.
    pub fn counts(&self) -> (usize, usize) {
        let functions = self.iter().map(|library| library.functions.len());
        (self.by_name.len(), functions.sum())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Bytes that they occupy, about.
    pub fn mem_bytes(&self) -> usize {
        self.iter().map(|library| library.mem_bytes()).sum()
    }
}

/// The libraries of a keyspace.
#[derive(Debug, Default)]
pub struct Functions(RwLock<Arc<Libraries>>);

impl Functions {
    /// The libraries now.
    pub fn get(&self) -> Arc<Libraries> {
        Arc::clone(&self.0.read())
    }

    /// Puts others in their place.
    pub fn replace(&self, libraries: Libraries) {
        *self.0.write() = Arc::new(libraries);
    }

    /// See [`Libraries::find`].
    pub fn find(&self, function: &[u8]) -> Option<(Arc<Library>, usize)> {
        self.0.read().find(function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &str, functions: &[&str]) -> Library {
        Library {
            name: name.as_bytes().into(),
            code: Box::default(),
            functions: functions
                .iter()
                .map(|name| FunctionInfo {
                    name: name.as_bytes().into(),
                    description: None,
                    flags: 0,
                })
                .collect(),
            everything: Everything::default(),
        }
    }

    #[test]
    fn names_of_functions_are_shared_by_all_libraries() {
        let mut all = Libraries::default();
        all.add(library("one", &["f", "G"]), false).expect("new");
        assert_eq!(
            all.add(library("two", &["g"]), true),
            Err(Conflict::Function((*b"g").into()))
        );
        assert_eq!(
            all.add(library("one", &["h"]), false),
            Err(Conflict::Library((*b"one").into()))
        );
        assert!(all.find(b"h").is_none());
        assert_eq!(all.find(b"g").expect("in any case").1, 1);
        all.add(library("one", &["h"]), true).expect("replaced");
        assert!(all.find(b"f").is_none());
        all.add(library("two", &["g"]), false).expect("free now");
        assert_eq!(all.counts(), (2, 2));
        assert!(all.remove(b"one") && !all.remove(b"one"));
        assert!(all.find(b"h").is_none() && all.find(b"g").is_some());
    }
}
