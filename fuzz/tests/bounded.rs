//! A bounded, reproducible run of each target; see `lockstep_fuzz::mutate::run`.

use lockstep::execute::Settings;
use lockstep::rdb::{FileReader, Item, Target, entry_of, write_payload};
use lockstep_fuzz::mutate::{Rng, run, seeds};
use lockstep_fuzz::{
    aof_file, aof_manifest, config_text, rdb_file, request_reader, restore_payload,
};

#[test]
fn requests_are_read_as_redis_protocol_reads_them() {
    const WORDS: [&[u8]; 18] = [
        b"*",
        b"$",
        b"\r\n",
        b"\n",
        b"\r",
        b"*0\r\n",
        b"*-1\r\n",
        b"*1\r\n",
        b"$0\r\n",
        b"$-1\r\n",
        b"*2147483647\r\n",
        b"*2147483648\r\n",
        b"$536870912\r\n",
        b"$536870913\r\n",
        b"\"",
        b"'",
        b"\\x41",
        b"+1",
    ];
    let seeds = seeds("request_reader");
    run(300_000, &seeds, &WORDS, pipeline, request_reader::check);
}

/// A few requests with random arguments, half of the time.
fn pipeline(rng: &mut Rng) -> Option<Vec<u8>> {
    if rng.below(2) == 0 {
        return None;
    }
    let mut bytes = Vec::new();
    for _ in 0..=rng.below(4) {
        let most = rng.pick(&[&4, &4, &4, &40]);
        let args: Vec<Vec<u8>> = (0..=rng.below(*most))
            .map(|_| {
                let most = *rng.pick(&[&4, &12, &12, &130]);
                let len = rng.below(most);
                (0..len).map(|_| rng.next() as u8).collect()
            })
            .collect();
        bytes.extend(request_reader::encoded(&args));
    }
    Some(bytes)
}

#[test]
fn configuration_files_are_read_or_refused() {
    const WORDS: [&[u8]; 12] = [
        b"\n",
        b" ",
        b"\"",
        b"'",
        b"#",
        b"\\x",
        b"maxmemory 1gb",
        b"save ",
        b"0",
        b"-1",
        b"18446744073709551616",
        b"yes",
    ];
    let seeds = seeds("config_text");
    run(20_000, &seeds, &WORDS, |_| None, config_text::check);
}

#[test]
fn what_lies_beside_the_append_only_file_is_read_or_refused() {
    const WORDS: [&[u8]; 10] = [
        b"\n",
        b"\r\n",
        b" type b",
        b" type i",
        b" type h",
        b" seq ",
        b"\"",
        b"\\x0a",
        b"file ",
        b"18446744073709551616",
    ];
    let seeds = seeds("aof_manifest");
    run(100_000, &seeds, &WORDS, |_| None, aof_manifest::check);
}

#[test]
fn rdb_files_are_read_or_refused() {
    const WORDS: [&[u8]; 16] = [
        b"\xff",
        b"\xfe\x00",
        b"\xfc",
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\xff\xff\xff\xff",
        b"\x80\x00\x00\x00\x01",
        b"\xc3\x40\x40\x7f\xff",
        b"\xc0\x7f",
        b"\x00",
        b"\x7f",
        b"\xf7",
        b"\x0f",
        b"\x13",
        b"\x15",
        b"\x16",
        b"\x18",
    ];
    let seeds = seeds("rdb_file");
    run(100_000, &seeds, &WORDS, |_| None, rdb_file::check);
}

#[test]
fn restored_payloads_are_values_or_errors() {
    const WORDS: [&[u8]; 12] = [
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\xff\xff\xff\xff",
        b"\xc3\x40\x40\x7f\xff",
        b"\xc0\x7f",
        b"\x00",
        b"\x7f",
        b"\xff",
        b"\x0b\x00",
        b"\x0f",
        b"\x13",
        b"\x15",
        b"\x18",
    ];
    let seeds = objects();
    run(40_000, &seeds, &WORDS, |_| None, restore_payload::check);
}

/// The objects of the files that are seeds of another target, each with its type.
fn objects() -> Vec<Vec<u8>> {
    let target = Target {
        version: 80,
        compress: false,
    };
    let mut objects = vec![b"\x00\x03abc".to_vec()];
    for file in seeds("rdb_file") {
        let Ok(mut reader) = FileReader::new(&file[..], false) else {
            continue;
        };
        while let Ok(Some(item)) = reader.next_item() {
            let Item::Key(key) = item else { continue };
            let entry = entry_of(&key.name, None, key.value, &Settings::default());
            let payload = entry.map(|entry| write_payload(entry.view().value(), target));
            objects.extend(payload.map(|payload| payload[..payload.len() - 10].to_vec()));
        }
    }
    objects
}

#[test]
fn append_only_files_are_whole_as_far_as_is_said() {
    const WORDS: [&[u8]; 14] = [
        b"*",
        b"$",
        b"\r\n",
        b"*1\r\n$5\r\nMULTI\r\n",
        b"*1\r\n$4\r\nEXEC\r\n",
        b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n",
        b"$536870912\r\n",
        b"*1048576\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"#",
        b"#TS:1\r\n",
        b"#LOCKSTEP replid=",
        b"\xff",
    ];
    let mut seeds = seeds("aof_file");
    seeds.extend(lockstep_fuzz::mutate::seeds("rdb_file"));
    run(6_000, &seeds, &WORDS, |_| None, aof_file::check);
}
