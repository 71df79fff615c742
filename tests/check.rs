//! `lockstep check`: whole files are called whole, torn ones are cut, others are left alone.

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether the files were called whole, and what was printed.
fn check(args: &[&str], path: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .arg("check")
        .args(args)
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .expect("the tool runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    (output.status.success(), text)
}

/// What Redis's own tool says, where it is installed.
fn redis_says(path: &Path) -> Option<bool> {
    let output = Command::new("redis-check-aof").arg(path).output().ok()?;
    Some(output.status.success())
}

const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";

#[test]
fn the_last_increment_is_cut_after_its_last_whole_unit_and_no_other() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    let write = |name: &str, bytes: &[u8]| std::fs::write(path(name), bytes).expect("written");
    let manifest = "file a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\n";
    write("a.manifest", manifest.as_bytes());
    let whole = [SET, MULTI, SET, EXEC].concat();
    let all = [&whole[..], MULTI, SET, EXEC].concat();
    write("a.1.incr.aof", SET);
    for cut in whole.len()..=all.len() {
        write("a.2.incr.aof", &all[..cut]);
        let ends_whole = cut == whole.len() || cut == all.len();
        let (ok, text) = check(&[], dir.path());
        assert_eq!(ok, ends_whole, "{cut}: {text}");
        if cut % 8 == 0 || ends_whole {
            let said = redis_says(&path("a.manifest"));
            assert!(said.is_none_or(|said| said == ok), "{cut}: {text}");
        }
        if ends_whole {
            continue;
        }
        let at = format!("whole up to {} of {cut} bytes", whole.len());
        assert!(text.contains(&at), "{text}");
        // Nobody agreed.
        assert!(!check(&["--fix"], dir.path()).0);
        let (ok, text) = check(&["--fix", "--yes"], dir.path());
        assert!(ok, "{text}");
        let left = std::fs::read(path("a.2.incr.aof")).expect("the file");
        assert_eq!(left, whole);
    }
    write("a.1.incr.aof", &SET[..9]);
    let (ok, text) = check(&["--fix", "--yes"], dir.path());
    assert!(!ok && text.contains("only the last file"), "{text}");
    let left = std::fs::read(path("a.1.incr.aof")).expect("the file");
    assert_eq!(left, &SET[..9]);
    std::fs::remove_file(path("a.1.incr.aof")).expect("removed");
    assert!(!check(&["--fix", "--yes"], dir.path()).0);
}

#[test]
fn what_is_later_than_a_time_is_cut_and_what_is_foreign_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("appendonly.aof");
    let first = [b"#TS:100\r\n", SET].concat();
    let both = [&first[..], b"#TS:200\r\n", SET].concat();
    std::fs::write(&file, &both).expect("written");
    assert!(check(&["--truncate-to-timestamp", "200", "--yes"], &file).0);
    assert_eq!(std::fs::read(&file).expect("the file"), both);
    assert!(check(&["--truncate-to-timestamp", "150", "--yes"], &file).0);
    assert_eq!(std::fs::read(&file).expect("the file"), first);
    let foreign: [&[u8]; 5] = [
        b"\x7fELF and more",
        b"*1\r\n$-5\r\n",
        b"REDIS0011\xfe\x00\x0e\x01k\x81\x10\x00\x00\x00\x00\x00\x00\x00",
        b"REDIS9999",
        EXEC,
    ];
    for bytes in foreign {
        std::fs::write(&file, bytes).expect("written");
        let (ok, text) = check(&[], &file);
        assert!(!ok && text.contains("fault at offset"), "{text}");
        assert_eq!(std::fs::read(&file).expect("the file"), bytes);
    }
}
