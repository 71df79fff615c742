//! The house rules that a machine can check, over the text of the sources.
//!
//! The checks read lines, not syntax: good enough to notice a room that reaches into another
//! by its full path, and cheap enough to run with every test. A rule that must be broken is
//! broken here, by name and with a reason, not where it happens.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file, from which on it must be taken apart.
const MOST_LINES: usize = 900;
/// Tables, which are read by looking things up.
const TABLES: [&str; 0] = [];

/// Where `unsafe` may be: allocations of our own layout, the allocator, the queue of sends
/// shared with the kernel, and Lua's stack.
const UNSAFE: [&str; 12] = [
    "allocator.rs",
    "keyspace/entry.rs",
    "keyspace/shard.rs",
    "keyspace/shard/pieces.rs",
    "net/ring.rs",
    "scripting/base.rs",
    "scripting/stack.rs",
    "values/hash/field.rs",
    "values/sorted_set/full.rs",
    "values/sorted_set/member.rs",
    "values/hash/table.rs",
    "values/table.rs",
];

/// What the files of a room may name of the crate; everything else is forbidden to it.
const MAY_NAME: [(&str, &[&str]); 4] = [
    (
        "values/",
        &["values", "allocator", "hash", "number", "random", "time"],
    ),
    ("protocol/", &["protocol", "number"]),
    // Of the keyspace only the number of a database; see `FORBIDDEN`.
    ("write_log/", &["write_log", "keyspace", "protocol", "time"]),
    (
        "keyspace/",
        &[
            "keyspace",
            "values",
            "allocator",
            "glob",
            "hash",
            "number",
            "random",
            "time",
        ],
    ),
];

/// Words that must not stand under a path, other than in the excepted files.
const FORBIDDEN: [(&str, &[&str], &[&str]); 9] = [
    (
        "",
        &[
            "SystemTime",
            "UNIX_EPOCH",
            "Local::now",
            "Utc::now",
            "std::time::Instant",
        ],
        &["time.rs"],
    ),
    (
        "",
        &["thread::sleep"],
        // `DEBUG SLEEP` blocks on purpose; the threads of the others have no runtime.
        &[
            "aof/",
            "bench/",
            "commands/server/debug/mod.rs",
            "group/",
            "snapshot/",
        ],
    ),
    (
        "",
        &["todo!", "unimplemented!", "TODO", "FIXME", "XXX"],
        &[],
    ),
    // Only coordination changes the in-sync set.
    ("", &["set.on_event("], &["coordination/", "commit/"]),
    // Only an output releases what is held, and only `commit` says what may go.
    ("", &["held.release("], &["net/output.rs", "commit/"]),
    (
        "write_log/",
        &[
            "keyspace::Keyspace",
            "keyspace::Shard",
            "keyspace::Entry",
            "keyspace::Locked",
        ],
        &[],
    ),
    // Handlers never see a socket, nor the log.
    (
        "commands/",
        &[
            "net::Stream",
            "TcpStream",
            "UnixStream",
            "write_log",
            "WriteLog",
        ],
        &["commands/replication", "commands/server/"],
    ),
    // Who executes commands does not wait for a disk.
    ("execute/", &["std::fs", "File::"], &[]),
    // State machines are given the time and draw nothing.
    (
        "commit/",
        &[
            "Instant::now",
            "crate::random",
            "HashMap",
            "HashSet",
            "tokio::",
        ],
        &[],
    ),
];

struct Source {
    /// The path under `src/`.
    name: String,
    text: String,
}

impl Source {
    /// Lines of code with their numbers: comments are left out, and so is what follows
    /// `#[cfg(test)]`.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines
            .take_while(|(_, line)| *line != "#[cfg(test)]" || self.name.contains("tests"))
            .map(|(i, line)| (i + 1, line.split("//").next().unwrap_or("")))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources() -> Vec<Source> {
    let base = root().join("src");
    let (mut folders, mut sources) = (vec![base.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&base).expect("under src");
                sources.push(Source {
                    name: name.to_string_lossy().into_owned(),
                    text: fs::read_to_string(&path).expect("a source file"),
                });
            }
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

fn report(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn files_are_of_a_size_to_read() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > MOST_LINES && !TABLES.contains(&&*source.name) {
            faults.push(format!("src/{}: {lines} lines", source.name));
        }
        if !source.text.starts_with("//!") {
            faults.push(format!("src/{}: no module documentation", source.name));
        }
    }
    report(&faults);
}

#[test]
fn rooms_import_in_one_direction() {
    let mut faults = Vec::new();
    for source in sources() {
        let rule = MAY_NAME
            .iter()
            .find(|(room, _)| source.name.starts_with(room));
        let Some((room, allowed)) = rule else {
            continue;
        };
        for (line, code) in source.code() {
            for after in code.split("crate::").skip(1) {
                let named: String = after
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if !named.is_empty() && !allowed.contains(&&*named) {
                    faults.push(format!("src/{}:{line}: {room} names {named}", source.name));
                }
            }
            if code.contains("use crate::{") {
                faults.push(format!(
                    "src/{}:{line}: a line for each import",
                    source.name
                ));
            }
        }
    }
    report(&faults);
}

#[test]
fn forbidden_words_stay_out() {
    let mut faults = Vec::new();
    for source in sources() {
        for (room, words, except) in FORBIDDEN {
            if !source.name.starts_with(room) || except.iter().any(|e| source.name.starts_with(e)) {
                continue;
            }
            for (line, code) in source.code() {
                for word in words.iter().filter(|word| code.contains(**word)) {
                    faults.push(format!("src/{}:{line}: {word}", source.name));
                }
            }
        }
        for (i, line) in source.text.lines().enumerate() {
            let notes = ["TODO", "FIXME"];
            if notes.iter().any(|note| line.contains(note)) {
                faults.push(format!("src/{}:{}: an unfinished note", source.name, i + 1));
            }
        }
    }
    report(&faults);
}

#[test]
fn unsafe_code_is_where_it_may_be_and_says_why() {
    let mut faults = Vec::new();
    for source in sources() {
        let lines: Vec<&str> = source.text.lines().collect();
        let mut in_trait_impl = false;
        for (i, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            let start = code.trim_start();
            if start.starts_with("impl") || start.starts_with("unsafe impl") {
                in_trait_impl = code.contains(" for ");
            }
            if !code
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|w| w == "unsafe")
            {
                continue;
            }
            let place = format!("src/{}:{}", source.name, i + 1);
            if !UNSAFE.contains(&&*source.name) {
                faults.push(format!("{place}: unsafe code"));
            } else if ["unsafe fn", "unsafe extern", "unsafe trait"]
                .iter()
                .any(|kind| code.contains(kind))
            {
                let mut above = lines[..i].iter().rev();
                let documented = above
                    .by_ref()
                    .take_while(|l| {
                        l.trim_start().starts_with("///") || l.trim_start().starts_with("#[")
                    })
                    .any(|l| l.contains("# Safety"));
                if !documented && !in_trait_impl {
                    faults.push(format!(
                        "{place}: an unsafe function without a Safety section"
                    ));
                }
            } else if !lines[i.saturating_sub(8)..=i]
                .iter()
                .any(|l| l.contains("SAFETY"))
            {
                faults.push(format!("{place}: no SAFETY comment above"));
            }
        }
    }
    report(&faults);
}

#[test]
fn every_file_is_part_of_the_crate() {
    let sources = sources();
    let names: BTreeSet<&str> = sources.iter().map(|s| &*s.name).collect();
    let mut faults = Vec::new();
    for name in &names {
        if *name == "lib.rs" || name.starts_with("bin/") {
            continue;
        }
        let path = Path::new(name);
        let (module, folder) = match path.file_name().and_then(|f| f.to_str()) {
            Some("mod.rs") => {
                let folder = path.parent().expect("a folder");
                (folder.file_name(), folder.parent().unwrap_or(Path::new("")))
            }
            _ => (path.file_stem(), path.parent().unwrap_or(Path::new(""))),
        };
        let module = module.and_then(|m| m.to_str()).expect("a name");
        let parents: Vec<PathBuf> = if folder.as_os_str().is_empty() {
            vec!["lib.rs".into()]
        } else {
            vec![folder.join("mod.rs"), folder.with_extension("rs")]
        };
        let declared = sources
            .iter()
            .filter(|s| {
                parents.iter().any(|p| p == Path::new(&s.name)) || s.text.contains("#[path")
            })
            .any(|s| {
                s.text.lines().any(|line| {
                    let line = line
                        .trim_start_matches("pub(crate) ")
                        .trim_start_matches("pub(in crate::commands) ")
                        .trim_start_matches("pub ");
                    line == format!("mod {module};")
                        || line.starts_with("#[path")
                            && line
                                .contains(path.file_name().and_then(|f| f.to_str()).unwrap_or("?"))
                })
            });
        if !declared {
            faults.push(format!("src/{name}: no `mod {module};` above it"));
        }
    }
    report(&faults);
}

#[test]
fn files_named_in_the_architecture_exist() {
    let path = root().join("ARCHITECTURE.md");
    let text = fs::read_to_string(path).expect("ARCHITECTURE.md");
    let mut faults = Vec::new();
    let mut looked_at = 0;
    for (i, line) in text.lines().enumerate() {
        for quoted in line.split('`').skip(1).step_by(2) {
            let plain = quoted
                .chars()
                .all(|c| c.is_alphanumeric() || "/_.-".contains(c));
            let file = quoted.ends_with(".rs") || quoted.ends_with(".md") || quoted.ends_with('/');
            if !plain || !file {
                continue;
            }
            looked_at += 1;
            let exists = root().join(quoted).exists() || root().join("src").join(quoted).exists();
            if !exists {
                faults.push(format!(
                    "ARCHITECTURE.md:{}: {quoted} does not exist",
                    i + 1
                ));
            }
        }
    }
    assert!(looked_at > 10, "the files named were not found");
    report(&faults);
}
