//! Every command has a script in `redis-tests/scripts`, or a reason in `differences.toml` why
//! it has none. The run itself asks the same of what it has sent; this needs no server.

use lockstep::commands::table;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of scripts") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(scripts(&path));
        } else if path.extension().is_some_and(|e| e == "script") {
            found.push(path);
        }
    }
    found
}

/// The commands of a script, as `config` and `config|get`, in lower case.
fn called(script: &str) -> impl Iterator<Item = String> + '_ {
    script.lines().flat_map(|line| {
        // Connection, repetition and the other words before a command are no capitals; a
        // command that is sent in small letters stands elsewhere in capitals.
        let mut words = line.split_whitespace().skip_while(|word| {
            !word.starts_with(|c: char| c.is_ascii_uppercase()) || line.starts_with('#')
        });
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        let sub = words.next().unwrap_or_default().to_ascii_lowercase();
        [name.clone(), format!("{name}|{sub}")]
    })
}

#[test]
fn every_command_has_a_script() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("redis-tests");
    let mut known = BTreeSet::new();
    for path in scripts(&root.join("scripts")) {
        known.extend(called(&fs::read_to_string(path).expect("a script")));
    }
    let differences = fs::read_to_string(root.join("differences.toml")).expect("the file");
    let (_, excused) = differences
        .split_once("\n[unscripted]\n")
        .expect("the list of those without a script");
    let excused = excused.lines().filter_map(|line| line.split('"').nth(1));
    known.extend(excused.map(str::to_ascii_lowercase));
    let missing: Vec<&str> = table::all()
        .iter()
        .map(|command| command.name.as_str())
        .filter(|name| {
            let container = name.split('|').next().unwrap_or_default();
            // An excused container excuses what it contains.
            !known.contains(*name)
                && !differences.contains(&format!("\n\"{}\" =", container.to_ascii_uppercase()))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "no script calls {missing:?}: write one, or give the reason in differences.toml [unscripted]"
    );
}
