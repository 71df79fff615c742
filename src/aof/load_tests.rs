//! Torn and corrupted files, byte by byte.

use super::*;
use crate::config::ConfigHandle;
use crate::keyspace::{Locked, ValueRef};
use std::collections::BTreeMap;
use tempfile::TempDir;

const ID: &str = "0123456789abcdef0123456789abcdef01234567";

fn server(truncated: &[u8]) -> &'static Server {
    let config = ConfigHandle::default();
    let set = config.set(&[(b"aof-load-truncated", truncated)], true, |_| Ok(()));
    assert!(set.is_ok());
    Server::new(config)
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut text = Vec::new();
    crate::protocol::OwnedArgs::of(words)
        .view()
        .encode_into(&mut text);
    text
}

fn annotation(offset: u64) -> Vec<u8> {
    let mut line = Vec::new();
    let replid = ID.to_owned();
    Annotation { replid, offset }.write_to(&mut line);
    line
}

/// Units, each with the state after it: the values of `a` and `b`.
fn units() -> Vec<(Vec<u8>, [Option<i64>; 2])> {
    let transaction = [
        command(&["MULTI"]),
        command(&["INCR", "a"]),
        command(&["INCR", "b"]),
        command(&["EXEC"]),
    ]
    .concat();
    vec![
        (command(&["SELECT", "0"]), [None, None]),
        (command(&["SET", "a", "1"]), [Some(1), None]),
        (annotation(100), [Some(1), None]),
        (transaction.clone(), [Some(2), Some(1)]),
        (annotation(200), [Some(2), Some(1)]),
        (b"#TS:1700000000\r\n".to_vec(), [Some(2), Some(1)]),
        (transaction, [Some(3), Some(2)]),
        (command(&["INCR", "b"]), [Some(3), Some(3)]),
    ]
}

fn state(server: &'static Server) -> [Option<i64>; 2] {
    let mut found = BTreeMap::new();
    let locked = Locked::database(&server.keyspace, DbIndex(0));
    for (_, shard) in locked.shards() {
        for entry in shard.entries() {
            let ValueRef::Int(n) = entry.value() else {
                panic!("an integer");
            };
            found.insert(entry.key().to_vec(), n);
        }
    }
    [&b"a"[..], b"b"].map(|key| found.get(key).copied())
}

/// A folder with these files, named in a manifest; the first is the base.
fn folder(files: &[&[u8]]) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    let mut manifest = String::new();
    for (index, file) in files.iter().enumerate() {
        let kind = if index == 0 { 'b' } else { 'i' };
        std::fs::write(dir.path().join(format!("f{index}")), file).expect("written");
        let seq = index.max(1);
        manifest += &format!("file f{index} seq {seq} type {kind}\n");
    }
    std::fs::write(dir.path().join("m"), manifest).expect("written");
    dir
}

#[test]
fn a_file_torn_anywhere_is_cut_after_its_last_whole_unit() {
    let units = units();
    let text: Vec<u8> = units.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
    for cut in 0..=text.len() {
        let (mut whole, mut expected) = (0, [None, None]);
        let (mut known, mut behind) = (false, 0);
        for (bytes, state) in &units {
            if whole + bytes.len() > cut {
                break;
            }
            whole += bytes.len();
            expected = *state;
            (known, behind) = match bytes.starts_with(b"#LOCK") {
                true => (true, 0),
                false => (known, behind + bytes.len()),
            };
        }
        let dir = folder(&[b"", &text[..cut]]);
        let server = server(b"yes");
        let loaded = load(server, dir.path(), "m").expect("loaded");
        assert_eq!(state(server), expected, "cut at {cut}");
        assert_eq!(loaded.annotation.is_some(), known, "cut at {cut}");
        assert_eq!(loaded.measure, behind as u64, "cut at {cut}");
        let left = std::fs::metadata(dir.path().join("f1"))
            .expect("there")
            .len();
        assert_eq!(left, whole as u64, "cut at {cut}");
    }
}

#[test]
fn the_empty_stream_of_redis_5_is_loaded_with_its_group() {
    let file = [
        command(&["XADD", "s", "MAXLEN", "0", "0-0", "x", "y"]),
        command(&["XSETID", "s", "0-0"]),
        command(&["XGROUP", "CREATE", "s", "g", "0-0"]),
    ]
    .concat();
    let server = server(b"yes");
    let loaded = load(server, folder(&[b"", &file]).path(), "m").expect("loaded");
    assert_eq!(loaded.measure, file.len() as u64);
    let locked = Locked::database(&server.keyspace, DbIndex(0));
    let mut entries = locked.shards().flat_map(|(_, shard)| shard.entries());
    let entry = entries.next().expect("a key");
    let ValueRef::Stream(stream) = entry.value() else {
        panic!("a stream");
    };
    let groups: Vec<&[u8]> = stream.groups().map(|(name, _)| name).collect();
    assert_eq!(groups, [b"g"]);
    assert!(stream.is_empty());
}

#[test]
fn a_torn_file_is_left_alone_where_it_may_not_be_cut() {
    let whole = command(&["SET", "a", "1"]);
    let torn = [&whole[..], b"*3\r\n$3\r\nSET\r\n$1"].concat();
    let offset = whole.len() as u64;
    for (allowed, files, name) in [
        (&b"no"[..], &[&b""[..], &torn][..], "f1"),
        (b"yes", &[&torn, &whole], "f0"),
        (b"yes", &[b"", &torn, &whole], "f1"),
    ] {
        let dir = folder(files);
        let error = load(server(allowed), dir.path(), "m").expect_err("refused");
        match &error {
            LoadError::Truncated {
                path, offset: o, ..
            } => {
                assert!(path.ends_with(name), "{error}");
                assert_eq!(*o, offset);
            }
            _ => panic!("{error}"),
        }
        let left = std::fs::read(dir.path().join(name)).expect("there");
        assert_eq!(left, torn);
    }
}

#[test]
fn what_is_wrong_in_the_middle_is_refused_with_its_place() {
    let first = command(&["SET", "a", "1"]);
    let last = [command(&["SET", "b", "2"]), annotation(7)].concat();
    let at = first.len() as u64;
    for (middle, what) in [
        (&b"\0\0\0\0\0\0"[..], "expected '*'"),
        (b"SET a 2\r\n", "expected '*'"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*0\r\n", "without a name"),
        (b"*2\r\n$3\r\nGET\r\n:1\r\n", "expected '$'"),
        (b"*2\r\n$3\r\nGET\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999999\r\n", "invalid bulk length"),
        // A length that swallows the rest of the file.
        (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$9999\r\n1\r\n", "beyond"),
        (b"*900\r\n$3\r\nDEL\r\n$1\r\na\r\n", "expected '$'"),
        (b"*1\r\n$7\r\nNONSENS\r\n", "unknown command"),
        (b"*2\r\n$3\r\nSET\r\n$1\r\na\r\n", "wrong number"),
        // Its effects are not in the file.
        (
            b"*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n",
            "a script",
        ),
    ] {
        let text = [&first[..], middle, &last].concat();
        for files in [&[&text[..], &first][..], &[b"", &text]] {
            let name = if files[0].is_empty() { "f1" } else { "f0" };
            let dir = folder(files);
            let error = load(server(b"yes"), dir.path(), "m").expect_err(what);
            let message = error.to_string();
            assert!(message.contains(name), "{message}");
            assert!(message.contains(&format!("offset {at}")), "{message}");
            assert!(message.contains(what), "{what}: {message}");
            assert_eq!(
                std::fs::read(dir.path().join(name)).expect("there"),
                text,
                "left as it was"
            );
        }
    }
}

#[test]
fn a_file_that_is_named_and_not_there_is_refused() {
    let dir = folder(&[b"", b""]);
    std::fs::remove_file(dir.path().join("f0")).expect("removed");
    let error = load(server(b"yes"), dir.path(), "m").expect_err("refused");
    assert!(error.to_string().contains("f0"), "{error}");
}

#[test]
fn data_without_a_manifest_is_refused_and_never_overwritten() {
    let set = command(&["SET", "a", "1"]);
    let base: (&str, &[u8]) = ("m.1.base.aof", &set);
    let incr: (&str, &[u8]) = ("m.3.incr.aof", &set);
    let empty: (&str, &[u8]) = ("m.1.base.aof", b"");
    for (files, refused) in [
        (&[base][..], true),
        (&[base, incr], true),
        (&[empty, incr], true),
        (&[("m.7.base.rdb", b"REDIS0011")], true),
        // What a first start or a first rewrite leaves that was cut off.
        (&[empty], false),
        (&[empty, ("m.1.incr.aof", b"")], false),
        (&[incr, ("temp-rewriteaof-bg-1.aof", &set)], false),
        // Somebody else's.
        (&[("other.1.base.aof", &set), ("m.x.base.aof", &set)], false),
    ] {
        let dir = TempDir::new().expect("a folder");
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).expect("written");
        }
        let loaded = load(server(b"yes"), dir.path(), "m.manifest");
        match loaded {
            Ok(loaded) => assert!(!refused && loaded.manifest == Manifest::default()),
            Err(LoadError::NoManifest { .. }) if refused => {}
            Err(error) => panic!("{files:?}: {error}"),
        }
        let next = Manifest::default().beyond_files(dir.path(), "m");
        let next = next.expect("listed");
        for name in [next.next_base("m", true).name, next.next_incr("m").name] {
            assert!(!dir.path().join(&name).exists(), "{name} in {files:?}");
        }
        let named_like_data = files.iter().any(|(name, _)| *name == "m.3.incr.aof");
        assert_eq!(next.next_incr("m").seq == 4, named_like_data);
    }
}

/// A file without a checksum: its last eight bytes are zero.
fn rdb(body: &[u8]) -> Vec<u8> {
    [b"REDIS0011", body, b"\xff\0\0\0\0\0\0\0\0"].concat()
}

#[test]
fn an_rdb_base_is_loaded_and_a_damaged_one_refused_with_its_offset() {
    let base = rdb(b"\xfa\x09redis-ver\x057.2.0\xfe\x00\x00\x01b\x012");
    let incr = [command(&["SET", "a", "1"]), annotation(7)].concat();
    let dir = folder(&[&base, &incr]);
    let server = server(b"yes");
    let loaded = load(server, dir.path(), "m").expect("loaded");
    assert_eq!(loaded.commands, 1);
    let hash = crate::hash::hash(b"b");
    let place = crate::keyspace::shard_of(hash);
    let locked = crate::keyspace::Locked::one(&server.keyspace, DbIndex(0), place);
    let found = locked.shard(DbIndex(0), place).lookup(hash, b"b");
    assert!(found.is_some());
    let damaged = rdb(b"\xfe\x00\x00\x01b\x7f");
    let dir = folder(&[&damaged, &incr]);
    let error = load(self::server(b"yes"), dir.path(), "m").expect_err("refused");
    assert!(
        matches!(&error, LoadError::Rdb { path, error } if path.ends_with("f0") && error.offset > 9),
        "{error}"
    );
}

#[test]
fn an_rdb_part_may_begin_a_file_of_commands_and_says_where_it_stands() {
    let id = "a".repeat(40);
    let facts = [
        &b"\xfa\x07repl-id\x28"[..],
        id.as_bytes(),
        b"\xfa\x0brepl-offset\xc0\x09",
    ];
    let whole = [rdb(&facts.concat()), command(&["SET", "a", "1"])].concat();
    let dir = folder(&[&whole]);
    let loaded = load(server(b"yes"), dir.path(), "m").expect("loaded");
    assert_eq!(loaded.commands, 1);
    let annotation = loaded.annotation.expect("the history");
    assert_eq!((annotation.replid, annotation.offset), (id, 9));
    assert_eq!(loaded.measure, command(&["SET", "a", "1"]).len() as u64);
}
