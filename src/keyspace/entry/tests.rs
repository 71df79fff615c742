//! Every shape of an entry keeps what it holds.

use super::*;

fn text(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Int(n) => n.to_string().into_bytes(),
        ValueRef::Str { bytes, .. } => bytes.to_vec(),
        ValueRef::Shared(value) => value.to_vec(),
        _ => panic!("not a string"),
    }
}

#[test]
fn every_shape_keeps_key_value_and_expiry() {
    let keys = [vec![], b"k".to_vec(), vec![b'x'; 255], vec![b'y'; 70_000]];
    for key in &keys {
        for expiry in [None, Some(0), Some(1_700_000_000_000), Some(i64::MAX)] {
            for value in [vec![], b"v".to_vec(), vec![b'z'; 100_000]] {
                let inline = Payload::Inline(Kind::Str, &value);
                let mut entry = Entry::new(key, expiry, inline);
                for next in [Some(5), None, Some(i64::MAX), expiry] {
                    let mut ptr = EntryPtr(entry.raw);
                    ptr.set_expiry(next);
                    entry.raw = ptr.0;
                    assert_eq!(entry.view().expiry(), next);
                    assert_eq!(entry.view().key(), &key[..]);
                    assert_eq!(text(entry.view().value()), value);
                }
                let mut ptr = EntryPtr(entry.raw);
                ptr.set_payload(Payload::Shared(Arc::new(value.clone())));
                assert_eq!(ptr.expiry(), expiry);
                ptr.set_payload(Payload::Int(-7));
                entry.raw = ptr.0;
                assert_eq!(text(entry.view().value()), b"-7");
                assert_eq!(entry.view().key(), &key[..]);
            }
        }
    }
}

#[test]
fn splices_equal_those_of_a_vec() {
    let mut entry = Entry::new(b"key", Some(9), Payload::Inline(Kind::Str, b""));
    let mut model: Vec<u8> = Vec::new();
    let mut seed = 1u64;
    for _ in 0..3000 {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
        let (a, b) = (seed >> 40, seed >> 20);
        let start = a as usize % (model.len() + 1);
        let end = start + (b as usize % 40).min(model.len() - start);
        let with = vec![seed as u8; (seed >> 50) as usize % 40];
        model.splice(start..end, with.iter().copied());
        let mut ptr = EntryPtr(entry.raw);
        ptr.splice(start..end, &with);
        entry.raw = ptr.0;
        assert_eq!(text(entry.view().value()), model);
    }
    assert_eq!(entry.view().key(), b"key");
    assert_eq!(entry.view().expiry(), Some(9));
}

#[test]
fn a_renamed_or_copied_entry_is_the_same_but_for_its_key() {
    let mut table = HashTable::new();
    table.set(b"f", b"v", crate::values::hash::Ttl::Drop);
    let payloads = [
        Payload::Int(7),
        Payload::Inline(Kind::StrEdited, b"text"),
        Payload::Shared(Arc::new(vec![b'x'; 10_000])),
        Payload::Table(Box::new(table)),
    ];
    for (payload, expiry) in payloads.into_iter().zip([None, Some(5), None, Some(9)]) {
        let old = Entry::new(b"key", expiry, payload);
        EntryPtr(old.raw).set_clock(77);
        let copy = old.view().copied(&[b'c'; 300]);
        let (kind, bytes) = (old.view().kind(), old.mem_bytes());
        let new = old.renamed(b"yek");
        assert_eq!(new.mem_bytes(), bytes);
        for (entry, key) in [(&new, &b"yek"[..]), (&copy, &[b'c'; 300][..])] {
            assert_eq!(entry.view().key(), key);
            assert_eq!(entry.view().kind(), kind);
            assert_eq!(entry.view().expiry(), expiry);
            assert_eq!(entry.view().clock(), 77);
        }
        if let ValueRef::HashTable(table) = new.view().value() {
            assert_eq!(table.len(), 1);
        } else {
            assert_eq!(text(new.view().value()), text(copy.view().value()));
        }
    }
}

#[test]
fn small_entries_are_as_small_as_promised() {
    let value = [b'v'; 64];
    let plain = Entry::new(&[b'k'; 17], None, Payload::Inline(Kind::Str, &value));
    assert_eq!(plain.mem_bytes(), 96);
    let timed = Entry::new(
        &[b'k'; 17],
        Some(1_800_000_000_000),
        Payload::Inline(Kind::Str, &value),
    );
    assert_eq!(timed.mem_bytes(), 96);
    assert_eq!(
        Entry::new(&[b'k'; 10], None, Payload::Int(1)).mem_bytes(),
        24
    );
}
