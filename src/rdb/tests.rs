//! Bytes from nowhere, and bytes changed on the way.

use super::*;
use crate::keyspace::ValueRef;
use crate::values::hash::{EMPTY, HashMut, Limits, Ttl};
use proptest::prelude::*;

const TARGETS: [Target; 3] = [
    Target {
        version: 9,
        compress: false,
    },
    Target {
        version: 11,
        compress: true,
    },
    Target {
        version: 80,
        compress: true,
    },
];

fn packed_hash(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = EMPTY.to_vec();
    for (name, value) in pairs {
        let set = HashMut::Packed(&mut bytes).set(name, value, Ttl::Drop, Limits::default());
        assert!(set.is_ok());
    }
    bytes
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..60)
}

fn pairs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    prop::collection::vec(
        (bytes(), prop_oneof![bytes(), Just(b"12345".to_vec())]),
        1..20,
    )
}

/// A file with a key of every type that is written without the keyspace.
fn small_file() -> Vec<u8> {
    let mut file = b"REDIS0011\xfa\x09redis-ver\x058.2.3\xfe\x01\xfb\x02\x01".to_vec();
    file.extend_from_slice(b"\xfc\x10\x27\x00\x00\x00\x00\x00\x00\x00\x01a\x05hello");
    file.extend_from_slice(b"\x01\x01l\x02\x01x\xc0\x05");
    file.extend_from_slice(b"\x05\x01z\x01\x01m\x00\x00\x00\x00\x00\x00\xf0\x3f");
    file.extend_from_slice(b"\xff");
    let sum = checksum::of(&file);
    file.extend_from_slice(&sum.to_le_bytes());
    file
}

fn read_all(file: &[u8]) -> Result<Vec<Item>, RdbError> {
    let mut reader = FileReader::new(file, true)?;
    let mut items = Vec::new();
    while let Some(item) = reader.next_item()? {
        items.push(item);
    }
    Ok(items)
}

#[test]
fn a_file_is_read_item_by_item() {
    let items = read_all(&small_file()).expect("a good file");
    assert_eq!(items.len(), 5);
    let Item::Key(key) = &items[2] else {
        panic!("a key");
    };
    assert_eq!((key.db, key.expires_at), (1, Some(10_000)));
    assert_eq!(key.value, Value::String(b"hello".to_vec()));
}

#[test]
fn a_file_cut_anywhere_is_refused_with_its_offset() {
    let file = small_file();
    for cut in 0..file.len() {
        let error = read_all(&file[..cut]).expect_err("cut");
        assert!(error.offset <= cut as u64, "{cut}: {error}");
    }
}

#[test]
fn a_file_changed_anywhere_is_refused() {
    let file = small_file();
    // The version may become an older one, and the last eight bytes zero.
    for at in 9..file.len() - 8 {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            assert!(read_all(&changed).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_claimed_length_reserves_nothing() {
    for head in [&b"\x00\x81"[..], b"\x01\x81", b"\x05\x81", b"\x0b\x81"] {
        let mut data = head.to_vec();
        data.extend_from_slice(&u64::MAX.to_be_bytes());
        data.push(1);
        let mut source = source::Source::new(&data[1..], false);
        assert!(object::read_object(&mut source, data[0], 11).is_err());
    }
}

proptest! {
    #[test]
    fn a_payload_comes_back(pairs in pairs()) {
        let hash = packed_hash(&pairs);
        let texts = ValueRef::Str { bytes: &pairs[0].1, edited: false };
        for target in TARGETS {
            let payload = write_payload(texts, target);
            prop_assert_eq!(read_payload(&payload).expect("ours"), Value::String(pairs[0].1.clone()));
            let payload = write_payload(ValueRef::HashPacked(&hash), target);
            let Value::Hash(fields, _) = read_payload(&payload).expect("ours") else {
                panic!("a hash");
            };
            let read: std::collections::BTreeMap<_, _> =
                (0..fields.len() / 2).map(|i| (fields.get(2 * i), fields.get(2 * i + 1))).collect();
            let given: std::collections::BTreeMap<_, _> =
                pairs.iter().map(|(name, value)| (&name[..], &value[..])).collect();
            prop_assert_eq!(read, given);
        }
    }

    #[test]
    fn no_object_panics(kind in 0u8..30, body in prop::collection::vec(any::<u8>(), 0..300)) {
        for version in [9, 12, 80] {
            let mut source = source::Source::new(&body[..], false);
            let _ = object::read_object(&mut source, kind, version);
        }
    }

    #[test]
    fn no_file_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_all(&[b"REDIS0011", &body[..]].concat());
        let _ = read_all(&body);
    }

    #[test]
    fn no_pack_panics(mut body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = packs::each_of_intset(&body, |_| Ok(()));
        let _ = packs::each_of_zipmap(&body, |_| Ok(()));
        // With heads that are right, so that the elements are looked at.
        body.push(0xff);
        let size = body.len() as u32;
        if body.len() > 11 {
            body[..4].copy_from_slice(&size.to_le_bytes());
            body[4..6].copy_from_slice(&[0xff, 0xff]);
            let _ = packs::each_of_listpack(&body, |_| Ok(()));
            let _ = each_entry((1, 1), &body, |_, _| {});
            body[8..10].copy_from_slice(&[0xff, 0xff]);
            let _ = packs::each_of_ziplist(&body, |_| Ok(()));
        }
    }
}
