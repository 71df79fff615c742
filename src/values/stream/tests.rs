//! A stream against a map, and small things that are easily got wrong.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<StreamId, Vec<(Vec<u8>, Vec<u8>)>>;

#[derive(Clone, Debug)]
enum Step {
    /// Milliseconds and sequence numbers on from the last, and pairs.
    Add(u64, u64, Vec<(u8, Vec<u8>)>),
    /// The n-th entry.
    Remove(usize),
    MaxLen(u64, Option<u64>),
    /// From the n-th entry on.
    MinId(usize, Option<u64>),
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![
        "-?[0-9]{1,12}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
        (60usize..300).prop_map(|n| vec![b'x'; n]),
    ];
    let pairs = prop_oneof![
        Just(vec![(1, b"1".to_vec()), (2, b"two".to_vec())]),
        prop::collection::vec((0u8..3, value), 1..5),
    ];
    let ms = prop_oneof![Just(0u64), 1u64..40, 1u64..100_000];
    prop_oneof![
        12 => (ms, 0u64..300, pairs).prop_map(|(ms, seq, pairs)| Step::Add(ms, seq, pairs)),
        3 => any::<usize>().prop_map(Step::Remove),
        1 => (0u64..60, prop::option::of(0u64..20)).prop_map(|(n, a)| Step::MaxLen(n, a)),
        1 => (any::<usize>(), prop::option::of(0u64..20)).prop_map(|(n, a)| Step::MinId(n, a)),
    ]
}

fn nth(model: &Model, n: usize) -> Option<StreamId> {
    model.keys().nth(n % model.len().max(1)).copied()
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn contents<'a>(entries: impl Iterator<Item = Entry<'a>>) -> Vec<(StreamId, Pairs)> {
    entries
        .map(|entry| {
            let pairs = entry.pairs().map(|(f, v)| (f.to_vec(), v.to_vec()));
            (entry.id, pairs.collect())
        })
        .collect()
}

fn run(stream: &mut Stream, model: &mut Model, step: Step, limits: NodeLimits) {
    match step {
        Step::Add(ms, seq, pairs) => {
            let last = stream.last_id;
            let id = match ms {
                0 => StreamId::new(last.ms, last.seq + seq + 1),
                ms => StreamId::new(last.ms + ms, seq),
            };
            let pairs: Vec<(Vec<u8>, Vec<u8>)> =
                pairs.into_iter().map(|(f, v)| (vec![b'f', f], v)).collect();
            let flat: Vec<&[u8]> = pairs.iter().flat_map(|(f, v)| [&f[..], &v[..]]).collect();
            stream.append(id, &flat, limits);
            model.insert(id, pairs);
        }
        Step::Remove(n) => {
            if let Some(id) = nth(model, n) {
                assert!(stream.remove(id));
                model.remove(&id);
                assert!(!stream.remove(id));
            }
        }
        Step::MaxLen(max, approximate) => {
            let trim = Trim {
                threshold: Threshold::MaxLen(max),
                approximate,
                refs: Refs::Keep,
            };
            let removed = stream.trim(trim);
            let most = (model.len() as u64).saturating_sub(max);
            match approximate {
                None => assert_eq!(removed, most),
                Some(limit) => assert!(removed <= most && (limit == 0 || removed <= limit)),
            }
            for _ in 0..removed {
                model.pop_first();
            }
        }
        Step::MinId(n, approximate) => {
            let min = nth(model, n).unwrap_or_default();
            let trim = Trim {
                threshold: Threshold::MinId(min),
                approximate,
                refs: Refs::Keep,
            };
            let removed = stream.trim(trim);
            let most = model.range(..min).count() as u64;
            match approximate {
                None => assert_eq!(removed, most),
                Some(limit) => assert!(removed <= most && (limit == 0 || removed <= limit)),
            }
            for _ in 0..removed {
                model.pop_first();
            }
        }
    }
}

proptest! {
    #[test]
    fn a_stream_is_a_map(
        steps in prop::collection::vec(step(), 1..150),
        max_entries in prop_oneof![Just(0usize), 1usize..12],
        max_bytes in prop_oneof![Just(0usize), 30usize..400],
        bounds in prop::collection::vec((any::<usize>(), any::<usize>()), 6),
    ) {
        let (mut stream, mut model) = (Stream::new(), Model::new());
        let limits = NodeLimits { max_bytes, max_entries };
        for step in steps {
            run(&mut stream, &mut model, step, limits);
            prop_assert_eq!(stream.len(), model.len());
            prop_assert_eq!(stream.first_id(), model.keys().next().copied().unwrap_or_default());
            prop_assert_eq!(stream.last().map(|e| e.id), model.keys().last().copied());
        }
        let all: Vec<_> = model.clone().into_iter().collect();
        prop_assert_eq!(contents(stream.iter()), all);
        let nodes: usize = stream.nodes.values().map(|node| node.mem_bytes()).sum();
        prop_assert_eq!(stream.node_bytes, nodes);
        for (a, b) in bounds {
            let a = nth(&model, a).unwrap_or_default();
            let b = nth(&model, b).unwrap_or_default();
            let between: Vec<_> = match a <= b {
                true => model.range(a..=b).map(|(id, pairs)| (*id, pairs.clone())).collect(),
                false => Vec::new(),
            };
            prop_assert_eq!(&contents(stream.range(a, b)), &between);
            let mut back = contents(stream.range_back(a, b));
            back.reverse();
            prop_assert_eq!(&back, &between);
            prop_assert_eq!(stream.contains(a), model.contains_key(&a));
        }
    }

    #[test]
    fn what_is_pending_is_pending_on_both_sides(
        steps in prop::collection::vec((0u8..5, 0u64..12, 0u8..3), 1..120),
    ) {
        let mut stream = Stream::new();
        stream.add_group(b"g", StreamId::MIN, None);
        let group = stream.group_mut(b"g").expect("just added");
        let mut model: BTreeMap<StreamId, Vec<u8>> = BTreeMap::new();
        for (what, id, name) in steps {
            let (id, name) = (StreamId::new(id, 0), vec![name]);
            match what {
                0..3 => {
                    let consumer = match group.find_consumer(&name) {
                        Some(place) => place,
                        None => group.add_consumer(&name, 5),
                    };
                    let pending = Pending { delivered_at: 1, deliveries: 1, consumer };
                    group.deliver(id, pending);
                    model.insert(id, name);
                }
                3 => prop_assert_eq!(group.acknowledge(id), model.remove(&id).is_some()),
                _ => {
                    group.remove_consumer(&name);
                    model.retain(|_, owner| *owner != name);
                }
            }
            let both: BTreeMap<StreamId, Vec<u8>> = group
                .pending()
                .iter()
                .map(|(id, pending)| (id, group.consumer_name(pending).to_vec()))
                .collect();
            prop_assert_eq!(&both, &model);
            let mut own = BTreeMap::new();
            for consumer in group.consumers() {
                own.extend(consumer.pending().iter().map(|(id, ())| (id, consumer.name().to_vec())));
            }
            prop_assert_eq!(&own, &model);
        }
    }
}

proptest! {
    #[test]
    fn runs_by_identity_are_a_map(
        steps in prop::collection::vec((0u8..8, 0u64..400, 0u64..400), 1..600),
    ) {
        let (mut runs, mut model) = (ById::default(), BTreeMap::new());
        for (what, id, from) in steps {
            // Mostly at the end, as entries are delivered.
            let end = model.len() as u64 + 100;
            let id = StreamId::new(if what < 3 { end } else { id }, 0);
            if what < 6 {
                prop_assert_eq!(runs.insert(id, from), model.insert(id, from));
            } else {
                prop_assert_eq!(runs.remove(id), model.remove(&id));
            }
            let from = StreamId::new(from, 0);
            prop_assert_eq!(runs.get(from), model.get(&from));
            prop_assert_eq!(runs.len(), model.len());
            prop_assert_eq!(runs.first(), model.keys().next().copied());
            prop_assert_eq!(runs.last(), model.keys().last().copied());
            let rest: Vec<_> = runs.from(from).map(|(id, value)| (id, *value)).collect();
            let expected: Vec<_> = model.range(from..).map(|(id, value)| (*id, *value)).collect();
            prop_assert_eq!(rest, expected);
        }
        let all: Vec<_> = runs.iter().map(|(id, value)| (id, *value)).collect();
        prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn the_edges_of_identities() {
    let (mut stream, pair) = (Stream::new(), [&b"f"[..], b"v"]);
    let ids = [
        StreamId::new(0, 1),
        StreamId::new(0, u64::MAX),
        StreamId::new(1, 0),
        StreamId::new(u64::MAX, 0),
        StreamId::MAX,
    ];
    for id in ids {
        stream.append(id, &pair, NodeLimits::default());
    }
    let seen: Vec<_> = stream.iter().map(|entry| entry.id).collect();
    assert_eq!(seen, ids);
    assert_eq!(StreamId::MAX.next(), None);
    assert_eq!(StreamId::MIN.previous(), None);
    assert_eq!(StreamId::new(0, u64::MAX).next(), Some(StreamId::new(1, 0)));
    assert_eq!(
        StreamId::new(1, 0).previous(),
        Some(StreamId::new(0, u64::MAX))
    );
    assert_eq!(
        &*StreamId::MAX.text(),
        b"18446744073709551615-18446744073709551615"
    );
}

#[test]
fn an_entry_costs_little_more_than_its_values() {
    let mut stream = Stream::new();
    for n in 0..10_000u64 {
        let pairs: [&[u8]; 6] = [
            b"sensor",
            b"abcdefgh",
            b"value",
            b"ijklmnop",
            b"unit",
            b"qrstuvwx",
        ];
        stream.append(
            StreamId::new(1_700_000_000_000 + n, 0),
            &pairs,
            NodeLimits::default(),
        );
    }
    // Three values of eight bytes, a byte before each, one or two for the identity.
    assert!(stream.mem_bytes() < 10_000 * 33, "{}", stream.mem_bytes());
}
