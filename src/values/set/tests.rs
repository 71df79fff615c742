//! Every encoding against a plain set.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashMap};

fn texts(set: SetRef<'_>) -> BTreeSet<Vec<u8>> {
    set.iter().map(|member| member.to_vec()).collect()
}

fn some_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0..60i64).prop_map(|n| n.to_string().into_bytes()),
        1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        1 => (any::<i64>(), 0..63u32).prop_map(|(n, s)| (n >> s).to_string().into_bytes()),
        4 => "m[0-9]{1,2}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..80),
        1 => (0..3usize).prop_map(|n| vec![b'y'; 600 * n]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_encoding_holds_what_was_added_and_not_removed(
        steps in prop::collection::vec((0..5u8, some_text()), 0..400),
        limits in (0..9usize, 0..9usize, 0..9usize),
        start in 0..3usize,
    ) {
        let limits = Limits {
            max_ints: limits.0 * 8,
            max_entries: limits.1 * 8,
            max_value: limits.2 * 10,
        };
        let start = [Encoding::Ints, Encoding::Packed, Encoding::Table][start];
        let mut set = OwnedSet::empty(start);
        let mut model = BTreeSet::new();
        for (kind, text) in &steps {
            let member = member(text);
            prop_assert_eq!(set.as_ref().contains(member), model.contains(text));
            if *kind < 3 {
                prop_assert_eq!(set.add(member, limits), model.insert(text.clone()));
            } else {
                prop_assert_eq!(set.remove(member), model.remove(text));
            }
            prop_assert_eq!(set.as_ref().len(), model.len());
        }
        prop_assert_eq!(texts(set.as_ref()), model.clone());
        for to in [Encoding::Packed, Encoding::Table] {
            let other = convert(set.as_ref(), to);
            prop_assert_eq!(texts(other.as_ref()), model.clone());
        }
        if let SetRef::Ints(_) = set.as_ref() {
            prop_assert!(set.as_ref().iter().collect::<Vec<_>>().is_sorted_by_key(|m| m.as_int()));
        }
        let mut seed = 1u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed ^ seed >> 29
        };
        for count in [1, 3, model.len() / 2, model.len()] {
            let drawn = set.as_ref().random_distinct(count, &mut next);
            let drawn: BTreeSet<_> = drawn.into_iter().map(|m| m.to_vec()).collect();
            prop_assert_eq!(drawn.len(), count.min(model.len()));
            prop_assert!(drawn.is_subset(&model));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), value in any::<i64>()) {
        for set in [SetRef::Ints(&bytes), SetRef::Packed(&bytes)] {
            let _ = (set.iter().count(), set.contains(Element::Int(value)), set.contains(member(b"a")));
        }
    }
}

fn name(i: u64) -> Vec<u8> {
    format!("member:{i}").into_bytes()
}

#[test]
fn a_table_grows_and_shrinks_with_its_members() {
    let mut table = SetTable::default();
    for i in 0..100_000 {
        assert!(table.add(member(&name(i))));
        assert!(!table.add(member(&name(i / 2))));
    }
    let full = table.mem_bytes();
    assert!(full < 100_000 * 20, "{full} bytes");
    assert_eq!(table.clone().len(), 100_000);
    for i in 0..99_000 {
        assert!(table.remove(member(&name(i))));
        assert!(!table.remove(member(&name(i / 2))));
    }
    assert_eq!(table.iter().count(), 1000);
    assert!(table.mem_bytes() < full / 30, "{} bytes", table.mem_bytes());
    for i in 99_000..100_000 {
        assert!(table.contains(member(&name(i))));
        assert!(table.remove(member(&name(i))));
    }
    assert!(table.is_empty());
    assert!(table.mem_bytes() < 1000, "{} bytes", table.mem_bytes());
}

#[test]
fn a_scan_returns_what_stays_exactly_once_while_the_table_changes() {
    for (stay, others, count) in [(5, 2000, 1), (300, 20_000, 10), (5000, 40_000, 100)] {
        let mut table = SetTable::default();
        for i in 0..stay {
            table.add(member(&name(i)));
        }
        let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
        let (mut cursor, mut calls) = (0, 0u64);
        loop {
            cursor = table.scan(cursor, count, |m| *seen.entry(m.to_vec()).or_default() += 1);
            assert!(cursor < 1 << 53);
            if cursor == 0 {
                break;
            }
            // Others come in waves and go again, so that pages are split and joined.
            for i in 0..others / 20 {
                let other = name(1_000_000 + (calls * 7919 + i) % others);
                match calls / 5 % 2 {
                    0 => table.add(member(&other)),
                    _ => table.remove(member(&other)),
                };
            }
            calls += 1;
        }
        for i in 0..stay {
            assert_eq!(seen.get(&name(i)), Some(&1), "{i} of {stay}");
        }
    }
}

#[test]
fn a_cursor_from_nowhere_ends_somewhere() {
    let mut table = SetTable::default();
    assert_eq!(table.scan(77, 10, |_| {}), 0);
    for i in 0..1000 {
        table.add(member(&name(i)));
    }
    for start in [1, 12_345, (1 << 53) - 1, 1 << 53, u64::MAX] {
        let mut cursor = start;
        for _ in 0..2000 {
            cursor = table.scan(cursor, 10, |_| {});
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(cursor, 0, "from {start}");
    }
}

#[test]
fn draws_are_even() {
    let mut table = SetTable::default();
    for i in 0..500 {
        table.add(member(&name(i)));
    }
    let mut seen: HashMap<Vec<u8>, u32> = HashMap::new();
    for _ in 0..200_000 {
        let drawn = table.random(crate::random::next_u64).expect("members");
        *seen.entry(drawn.to_vec()).or_default() += 1;
    }
    // 400 each, with a deviation of 20.
    assert_eq!(seen.len(), 500);
    assert!(seen.values().all(|n| (280..520).contains(n)), "{seen:?}");
}
