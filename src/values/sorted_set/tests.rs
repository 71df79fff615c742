//! Both encodings against an ordered vector.

use super::*;

fn draw(seed: &mut u64, below: usize) -> usize {
    *seed = seed
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    (*seed >> 33) as usize % below.max(1)
}

fn score(seed: &mut u64) -> f64 {
    match draw(seed, 8) {
        0 => f64::INFINITY,
        1 => f64::NEG_INFINITY,
        2 => 0.0,
        3 => draw(seed, 1000) as f64 / 7.0,
        _ => draw(seed, 20) as f64 - 10.0,
    }
}

fn all(set: SortedSetRef<'_>) -> Vec<(Vec<u8>, u64)> {
    set.iter().map(|(m, s)| (m.to_vec(), s.to_bits())).collect()
}

#[test]
fn both_encodings_do_what_an_ordered_row_does() {
    let mut seed = 3;
    for members in [40, 700] {
        let (mut full, mut bytes) = (SortedSet::default(), packed::EMPTY.to_vec());
        let mut model: Vec<(Vec<u8>, f64)> = Vec::new();
        for _ in 0..6000 {
            let text = match draw(&mut seed, 4) {
                0 => draw(&mut seed, members).to_string(),
                _ => format!("m{}", draw(&mut seed, members)),
            };
            let text = text.as_bytes();
            let score = score(&mut seed);
            let at = model.iter().position(|(m, _)| m == text);
            match (draw(&mut seed, 3), at) {
                (0, Some(at)) => {
                    model.remove(at);
                    full.remove(text);
                    packed::remove(&mut bytes, text);
                }
                (_, Some(at)) => {
                    model[at].1 = score;
                    full.set_score(text, score);
                    packed::set_score(&mut bytes, text, score);
                }
                (_, None) => {
                    model.push((text.to_vec(), score));
                    full.insert(text, score);
                    packed::insert(&mut bytes, text, score);
                }
            }
            if draw(&mut seed, 400) == 0 {
                model.sort_by(|a, b| order((a.1, &a.0), (b.1, &b.0)));
                let start = draw(&mut seed, model.len());
                let n = draw(&mut seed, 30).min(model.len() - start);
                model.drain(start..start + n);
                full.remove_range(start, n);
                packed::remove_range(&mut bytes, start, n);
            }
        }
        model.sort_by(|a, b| order((a.1, &a.0), (b.1, &b.0)));
        let expected: Vec<_> = model
            .iter()
            .map(|(m, s)| (m.clone(), s.to_bits()))
            .collect();
        let copy = full.clone();
        for set in [
            SortedSetRef::Full(&full),
            SortedSetRef::Packed(&bytes),
            SortedSetRef::Full(&copy),
        ] {
            assert_eq!(all(set), expected);
            for (rank, (member, score)) in model.iter().enumerate() {
                assert_eq!(set.rank(member), Some((rank, *score)));
                assert_eq!(set.score(member), Some(*score));
                let below = set.count_before(|s, _| s < *score);
                assert_eq!(below, model.iter().filter(|(_, s)| s < score).count());
            }
            let mut down: Vec<_> = set.down_from(set.len()).map(|(m, _)| m.to_vec()).collect();
            down.reverse();
            assert_eq!(
                down,
                model.iter().map(|(m, _)| m.clone()).collect::<Vec<_>>()
            );
            assert_eq!(set.from(5).count(), model.len() - 5);
            assert_eq!(set.rank(b"nobody"), None);
        }
        for (member, _) in &model {
            full.remove(member);
        }
        assert!(full.is_empty());
    }
}

#[test]
fn a_member_costs_little_beside_its_text() {
    let mut set = SortedSet::default();
    for i in 0..100_000u32 {
        let member = format!("m:{:08}", i.wrapping_mul(2_654_435_761) % 100_000_000);
        if set.score(member.as_bytes()).is_none() {
            set.insert(member.as_bytes(), f64::from(i.wrapping_mul(40_503)));
        }
    }
    let each = set.mem_bytes() / set.len();
    assert!(each < 55, "{each} bytes a member");
}
