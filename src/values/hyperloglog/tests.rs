//! Both encodings against plain registers, and bytes from anywhere.

use super::*;
use proptest::prelude::*;

fn plain(elements: &[u64]) -> Vec<u8> {
    let mut registers = vec![0; REGISTERS];
    for element in elements {
        let (index, value) = place(&element.to_le_bytes());
        registers[index] = value.max(registers[index]);
    }
    registers
}

fn registers(bytes: &[u8]) -> Vec<u8> {
    let mut merged = Merged::default();
    merged.add(bytes).expect("registers that make sense");
    merged.registers().to_vec()
}

#[test]
fn the_hash_is_that_of_redis() {
    // PFADD of these to an empty key, as PFDEBUG DECODE of Redis 8.2 shows it.
    for (element, expected) in [
        ("x", "Z:16374 v:2,1 z:9"),
        ("a", "Z:12711 v:2,1 Z:3672"),
        ("hello world, how are you", "Z:3321 v:9,1 Z:13062"),
    ] {
        let mut bytes = empty();
        assert_eq!(add(&mut bytes, place(element.as_bytes()), 3000), Ok(true));
        assert_eq!(describe(&bytes).as_deref(), Ok(expected), "{element}");
    }
}

#[test]
fn it_passes_its_own_test() {
    assert_eq!(self_test(), Ok(()));
}

#[test]
fn both_ways_of_merging_agree() {
    let mut bytes = empty();
    make_dense(&mut bytes).expect("an empty one");
    for i in 0..50_000u32 {
        add(&mut bytes, place(&i.to_le_bytes()), 0).expect("registers that make sense");
    }
    let wide = registers(&bytes);
    set_wide_merge(false);
    let narrow = registers(&bytes);
    set_wide_merge(true);
    assert_eq!(wide, narrow);
}

#[test]
fn what_does_not_cover_all_registers_is_corrupt() {
    for tail in [
        &[][..],
        &[0x7f],
        &[0x7f, 0xfe],
        &[0x7f, 0xff, 0x00],
        &[0x00],
    ] {
        let mut bytes = empty();
        bytes.truncate(HEADER);
        bytes.extend_from_slice(tail);
        assert_eq!(encoding(&bytes), Some(Encoding::Sparse));
        assert_eq!(count(&bytes), Err(Corrupt), "{tail:?}");
        assert_eq!(make_dense(&mut bytes), Err(Corrupt), "{tail:?}");
        assert_eq!(Merged::default().add(&bytes), Err(Corrupt), "{tail:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn registers_are_those_of_the_elements(
        elements in prop::collection::vec(any::<u64>(), 0..2000),
        max_sparse in prop_oneof![Just(0usize), Just(3000), 0usize..6000],
    ) {
        let mut bytes = empty();
        let mut known = vec![0; REGISTERS];
        for element in &elements {
            let place = place(&element.to_le_bytes());
            let changes = known[place.0] < place.1;
            known[place.0] = place.1.max(known[place.0]);
            prop_assert_eq!(add(&mut bytes, place, max_sparse), Ok(changes));
        }
        prop_assert_eq!(registers(&bytes), plain(&elements));
        let sparse_count = count(&bytes);
        let mut merged = Merged::default();
        prop_assert_eq!(merged.add(&bytes), Ok(()));
        prop_assert_eq!(Ok(merged.count()), sparse_count);
        let mut other = empty();
        prop_assert_eq!(merged.raise(&mut other, max_sparse), Ok(()));
        prop_assert_eq!(registers(&other), plain(&elements));
        prop_assert!(make_dense(&mut bytes).is_ok());
        prop_assert_eq!(count(&bytes), sparse_count);
    }

    #[test]
    fn no_bytes_panic(
        head in prop_oneof![Just(&b"HYLL\x01\0\0\0"[..]), Just(&b"HYLL\0\0\0\0"[..]), Just(&b"HY"[..])],
        tail in prop_oneof![
            3 => prop::collection::vec(any::<u8>(), 0..40),
            1 => prop::collection::vec(0x40u8..0x80, 0..40),
            1 => prop::collection::vec(any::<u8>(), DENSE_LEN - 8),
        ],
        element in any::<u64>(),
    ) {
        let bytes = [head, &tail].concat();
        let _ = (encoding(&bytes), cached(&bytes), count(&bytes), describe(&bytes));
        let _ = Merged::default().add(&bytes);
        let place = place(&element.to_le_bytes());
        let _ = dense_would_change(&bytes, place);
        for max_sparse in [0, 30, 3000] {
            let mut changed = bytes.clone();
            if encoding(&bytes).is_some() && add(&mut changed, place, max_sparse).is_ok() {
                prop_assert!(encoding(&changed).is_some());
            }
            let _ = make_dense(&mut changed);
            set_cached(&mut changed, 5);
            invalidate(&mut changed);
            let mut merged = Merged::default();
            if merged.add(&bytes).is_ok() {
                let _ = merged.raise(&mut changed, max_sparse);
            }
        }
    }
}
