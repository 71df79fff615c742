//! Both encodings against a plain vector.

use super::*;
use std::collections::VecDeque;

fn texts(list: ListRef<'_>) -> Vec<Vec<u8>> {
    list.iter().map(Element::to_vec).collect()
}

fn draw(seed: &mut u64, below: usize) -> usize {
    *seed = seed
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    (*seed >> 33) as usize % below.max(1)
}

fn text(seed: &mut u64) -> Vec<u8> {
    match draw(seed, 10) {
        0 => draw(seed, 100_000).to_string().into_bytes(),
        1 => vec![b'x'; draw(seed, 5000)],
        _ => vec![b'a' + draw(seed, 26) as u8; draw(seed, 30)],
    }
}

#[test]
fn both_encodings_do_what_a_row_does() {
    let mut seed = 7;
    for round in 0..30 {
        let (mut list, mut bytes) = (List::default(), packed::EMPTY.to_vec());
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        for _ in 0..400 {
            let len = model.len();
            match draw(&mut seed, 9) {
                0..4 => {
                    let at = [0, len, draw(&mut seed, len + 1)][draw(&mut seed, 3)];
                    let new = text(&mut seed);
                    list.insert(at, &new);
                    packed::insert(&mut bytes, at, &new);
                    model.insert(at, new);
                }
                4 if len > 0 => {
                    let (at, new) = (draw(&mut seed, len), text(&mut seed));
                    list.replace(at, &new);
                    packed::replace(&mut bytes, at, &new);
                    model[at] = new;
                }
                5 if len > 0 => {
                    let one_in = [1, 2, 10, 50][draw(&mut seed, 4)];
                    let places: Vec<usize> =
                        (0..len).filter(|_| draw(&mut seed, one_in) == 0).collect();
                    list.remove_all(&places);
                    packed::remove_all(&mut bytes, &places);
                    places.iter().rev().for_each(|at| drop(model.remove(*at)));
                }
                6.. if len > 0 => {
                    let at = draw(&mut seed, len);
                    let n = [1, draw(&mut seed, 4), draw(&mut seed, len)][draw(&mut seed, 3)];
                    list.remove(at, n);
                    packed::remove(&mut bytes, at, n);
                    model.drain(at..(at + n).min(len));
                }
                _ => {}
            }
            let (quick, small) = (ListRef::Quick(&list), ListRef::Packed(&bytes));
            assert_eq!(quick.len(), model.len(), "round {round}");
            assert_eq!(small.len(), model.len(), "round {round}");
        }
        for list in [ListRef::Quick(&list), ListRef::Packed(&bytes)] {
            assert_eq!(texts(list), Vec::from(model.clone()));
            let mut back: Vec<_> = list.backwards().map(Element::to_vec).collect();
            back.reverse();
            assert_eq!(back, Vec::from(model.clone()));
            for i in 0..model.len() + 2 {
                assert_eq!(list.get(i).map(Element::to_vec).as_ref(), model.get(i));
            }
            let (least, most) = list.listpack_bounds();
            assert!((least..=most).contains(&list.listpack_bytes()));
        }
    }
}

#[test]
fn a_node_costs_little_beside_its_elements() {
    let mut list = List::default();
    let mut bytes = 0;
    for i in 0..100_000 {
        let text = format!("element:{i:02}");
        bytes += text.len() + 1;
        list.push(text.as_bytes());
    }
    assert!(
        list.mem_bytes() < bytes + bytes / 20,
        "{} for {bytes}",
        list.mem_bytes()
    );
}

#[test]
fn a_list_that_shrinks_gives_its_memory_back() {
    let mut list = List::default();
    (0..100_000).for_each(|i| list.push(i.to_string().as_bytes()));
    list.remove(10, 99_000);
    assert_eq!(list.len(), 1000);
    assert!(list.mem_bytes() < 20_000, "{}", list.mem_bytes());
    let odd: Vec<usize> = (0..1000).filter(|i| i % 2 == 1).collect();
    list.remove_all(&odd);
    assert_eq!(list.len(), 500);
    let second = ListRef::Quick(&list).get(1).map(Element::to_vec);
    assert_eq!(second.as_deref(), Some(&b"2"[..]));
}

#[test]
fn limits_are_those_of_the_option() {
    assert_eq!(Limits::of(-2).bytes, 8192);
    assert_eq!(Limits::of(-5).bytes, 65536);
    assert_eq!(Limits::of(-9).bytes, 65536);
    assert_eq!(Limits::of(128).elements, 128);
    assert_eq!(Limits::of(0).elements, 1);
}
