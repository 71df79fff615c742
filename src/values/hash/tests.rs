//! Every encoding against a plain list of fields.

use super::*;
use proptest::prelude::*;

/// A hash that converts itself, as the keyspace does for its entries.
#[derive(Default)]
enum Owned {
    #[default]
    Nothing,
    Packed(Vec<u8>),
    PackedEx(Vec<u8>),
    Table(Box<HashTable>),
}

impl Owned {
    fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Packed => Self::Packed(EMPTY.to_vec()),
            Encoding::PackedEx => Self::PackedEx(EMPTY.to_vec()),
            Encoding::Table => Self::Table(Box::default()),
        }
    }

    fn get(&self) -> HashRef<'_> {
        match self {
            Self::Nothing => HashRef::Packed(&EMPTY),
            Self::Packed(bytes) => HashRef::Packed(bytes),
            Self::PackedEx(bytes) => HashRef::PackedEx(bytes),
            Self::Table(table) => HashRef::Table(table),
        }
    }

    fn edit<R>(
        &mut self,
        mut change: impl FnMut(&mut HashMut<'_>) -> Result<R, NeedsConversion>,
    ) -> R {
        loop {
            let mut hash = match self {
                Self::Nothing => panic!("a conversion was left half done"),
                Self::Packed(bytes) => HashMut::Packed(bytes),
                Self::PackedEx(bytes) => HashMut::PackedEx(bytes),
                Self::Table(table) => HashMut::Table(table),
            };
            match change(&mut hash) {
                Ok(answer) => return answer,
                Err(NeedsConversion(Encoding::Table)) => {
                    *self = Self::Table(Box::new(to_table(self.get())));
                }
                Err(NeedsConversion(to)) => {
                    assert_eq!(to, Encoding::PackedEx);
                    let Self::Packed(bytes) = std::mem::take(self) else {
                        panic!("only packed pairs become packed triples");
                    };
                    *self = Self::PackedEx(to_packed_ex(&bytes));
                }
            }
        }
    }

    fn set(&mut self, name: &str, value: &str, limits: Limits) -> bool {
        self.edit(|hash| hash.set(name.as_bytes(), value.as_bytes(), Ttl::Drop, limits))
    }

    fn expire(&mut self, name: &str, at: Option<UnixMs>) -> bool {
        self.edit(|hash| hash.set_expiry(name.as_bytes(), at))
    }

    fn listed(&self) -> Vec<Plain> {
        self.get()
            .iter()
            .map(|f| (f.name.to_vec(), f.value.to_vec(), f.expires_at))
            .collect()
    }

    fn names(&self) -> String {
        let names = self
            .get()
            .iter()
            .map(|f| String::from_utf8(f.name.to_vec()).unwrap());
        names.collect::<Vec<_>>().join(" ")
    }
}

type Plain = (Vec<u8>, Vec<u8>, Option<UnixMs>);

/// The model: fields in the order Redis shows for a `listpackex`.
#[derive(Default)]
struct Model(Vec<Plain>);

impl Model {
    fn position(&self, name: &[u8]) -> Option<usize> {
        self.0.iter().position(|(n, ..)| n == name)
    }

    fn set(&mut self, name: &[u8], value: &[u8], ttl: Ttl) -> bool {
        let Some(at) = self.position(name) else {
            self.0.push((name.to_vec(), value.to_vec(), None));
            return true;
        };
        self.0[at].1 = value.to_vec();
        if ttl == Ttl::Drop {
            self.set_expiry(name, None);
        }
        false
    }

    fn set_expiry(&mut self, name: &[u8], expires_at: Option<UnixMs>) -> bool {
        let Some(at) = self.position(name) else {
            return false;
        };
        if expires_at.is_none() && self.0[at].2.is_none() {
            return true;
        }
        let (name, value, _) = self.0.remove(at);
        let to = expires_at.and_then(|new| {
            self.0
                .iter()
                .position(|(.., other)| other.is_none_or(|other| other >= new))
        });
        let to = to.unwrap_or(self.0.len());
        self.0.insert(to, (name, value, expires_at));
        true
    }

    fn pop_expired(&mut self, now: UnixMs, max: usize) -> Vec<Vec<u8>> {
        let expired = self.0.iter().filter(|f| f.2.is_some_and(|at| at <= now));
        let names: Vec<_> = expired.take(max).map(|f| f.0.clone()).collect();
        self.0.retain(|(n, ..)| !names.contains(n));
        names
    }
}

#[derive(Clone, Debug)]
enum Op {
    Set(Vec<u8>, Vec<u8>, Ttl),
    SetIfAbsent(Vec<u8>, Vec<u8>, UnixMs),
    Delete(Vec<u8>),
    Expire(Vec<u8>, Option<UnixMs>),
    Pop(UnixMs),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let name = prop_oneof![
        (0..12).prop_map(|n: i32| format!("field{n}").into_bytes()),
        (-3..6).prop_map(|n: i32| n.to_string().into_bytes()),
        (60usize..70).prop_map(|n| vec![b'n'; n]),
    ];
    let value = prop_oneof![
        any::<i32>().prop_map(|n| n.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40),
        (250usize..260).prop_map(|n| vec![b'v'; n]),
    ];
    let ttl = prop_oneof![Just(Ttl::Drop), Just(Ttl::Keep)];
    let op = prop_oneof![
        4 => (name.clone(), value.clone(), ttl).prop_map(|(n, v, t)| Op::Set(n, v, t)),
        1 => (name.clone(), value, 1i64..20).prop_map(|(n, v, now)| Op::SetIfAbsent(n, v, now)),
        2 => name.clone().prop_map(Op::Delete),
        3 => (name, prop::option::of(1i64..20)).prop_map(|(n, at)| Op::Expire(n, at)),
        1 => (1i64..20).prop_map(Op::Pop),
    ];
    prop::collection::vec(op, 1..60)
}

fn apply(hash: &mut Owned, model: &mut Model, op: &Op, limits: Limits) {
    match op {
        Op::Set(name, value, ttl) => {
            let created = hash.edit(|h| h.set(name, value, *ttl, limits));
            assert_eq!(created, model.set(name, value, *ttl));
        }
        Op::SetIfAbsent(name, value, now) => {
            let done = hash.edit(|h| h.set_if_absent(name, value, *now, limits));
            let at = model
                .position(name)
                .map(|at| model.0[at].2.is_none_or(|at| at > *now));
            assert_eq!(done, at != Some(true));
            if done {
                model.set(name, value, Ttl::Drop);
            }
        }
        Op::Delete(name) => {
            let deleted = hash.edit(|h| Ok(h.delete(name)));
            let at = model.position(name);
            assert_eq!(deleted, at.is_some());
            at.map(|at| model.0.remove(at));
        }
        Op::Expire(name, at) => {
            let found = hash.edit(|h| h.set_expiry(name, *at));
            assert_eq!(found, model.set_expiry(name, *at));
        }
        Op::Pop(now) => {
            let mut names = Vec::new();
            hash.edit(|h| {
                Ok(h.pop_expired(*now, usize::MAX, &mut |name| names.push(name.to_vec())))
            });
            let mut expected = model.pop_expired(*now, usize::MAX);
            if hash.get().encoding() == Encoding::Table {
                names.sort();
                expected.sort();
            }
            assert_eq!(names, expected);
        }
    }
}

fn compare(hash: &Owned, model: &Model) {
    let view = hash.get();
    let (mut ours, mut theirs) = (hash.listed(), model.0.clone());
    if let HashRef::Packed(bytes) | HashRef::PackedEx(bytes) = view {
        assert!(is_well_formed(bytes, view.encoding()));
    } else {
        ours.sort();
        theirs.sort();
    }
    assert_eq!(ours, theirs);
    assert_eq!(view.len(), theirs.len());
    assert_eq!(view.min_expiry(), theirs.iter().filter_map(|f| f.2).min());
    let now = 10;
    let live = |f: &&Plain| f.2.is_none_or(|at| at > now);
    assert_eq!(view.live_len(now), theirs.iter().filter(live).count());
    for field in &theirs {
        let (name, value, expires_at) = field;
        let expected = live(&field).then(|| value.clone());
        assert_eq!(view.get(name, now).map(Element::to_vec), expected);
        assert_eq!(view.find(name).map(|f| f.expires_at), Some(*expires_at));
        assert_eq!(view.strlen(name, now), expected.map_or(0, |v| v.len()));
    }
    let (mut scanned, mut cursor) = (Vec::new(), 0);
    loop {
        cursor = view.scan(cursor, 3, |f| scanned.push(f.name.to_vec()));
        if cursor == 0 {
            break;
        }
    }
    scanned.sort();
    let mut names: Vec<_> = theirs.into_iter().map(|f| f.0).collect();
    names.sort();
    assert_eq!(scanned, names);
}

proptest! {
    #[test]
    fn every_encoding_equals_the_model(ops in ops(), start in 0..3, max_entries in 0usize..20, max_value in prop_oneof![Just(8usize), Just(300)]) {
        let limits = Limits { max_entries, max_value };
        let encodings = [Encoding::Packed, Encoding::PackedEx, Encoding::Table];
        let mut hash = Owned::new(encodings[start as usize]);
        let mut model = Model::default();
        for op in &ops {
            apply(&mut hash, &mut model, op, limits);
            compare(&hash, &model);
        }
        let empty = HashTable::new().mem_bytes();
        for (name, ..) in model.0.drain(..) {
            prop_assert!(hash.edit(|h| Ok(h.delete(&name))));
        }
        prop_assert!(hash.get().is_empty());
        if let Owned::Table(table) = &hash {
            prop_assert!(table.mem_bytes() >= empty);
            prop_assert_eq!(table.min_expiry(), None);
        }
    }

    #[test]
    fn samples_are_live_and_distinct(fields in 0usize..80, expired in 0usize..80, count in 0usize..100, table: bool, seed: u64) {
        let mut hash = Owned::new(if table { Encoding::Table } else { Encoding::PackedEx });
        for n in 0..fields {
            hash.set(&n.to_string(), "v", Limits::default());
        }
        for n in 0..expired.min(fields) {
            hash.expire(&n.to_string(), Some(5));
        }
        let live = fields - expired.min(fields);
        let mut state = seed;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ state >> 29
        };
        let sample = hash.get().random_distinct(10, count, &mut next);
        prop_assert_eq!(sample.len(), count.min(live));
        prop_assert!(sample.iter().all(|f| f.is_live(10)));
        let names: std::collections::HashSet<_> = sample.iter().map(|f| f.name.to_vec()).collect();
        prop_assert_eq!(names.len(), sample.len());
        let mut drawn = 0;
        hash.get().random_repeated(10, count, &mut next, |f| {
            assert!(f.is_live(10));
            drawn += 1;
        });
        prop_assert_eq!(drawn, if live == 0 { 0 } else { count });
        prop_assert_eq!(hash.get().random(10, &mut next).is_some(), live > 0);
    }

    #[test]
    fn no_packed_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60), name in prop::collection::vec(any::<u8>(), 0..3)) {
        for hash in [HashRef::Packed(&bytes), HashRef::PackedEx(&bytes)] {
            let _ = (hash.find(&name), hash.len(), hash.min_expiry(), hash.iter().count());
            if is_well_formed(&bytes, hash.encoding()) {
                prop_assert_eq!(hash.len(), hash.iter().count());
            }
        }
    }
}

// The orders that HGETALL of Redis 8.2.3 showed.
#[test]
fn fields_with_an_expiry_come_first() {
    let mut hash = Owned::new(Encoding::Packed);
    let limits = Limits::default();
    for name in ["a", "b", "c", "d"] {
        assert!(hash.set(name, "1", limits));
    }
    hash.expire("b", Some(100));
    hash.expire("c", Some(100));
    assert_eq!(
        hash.names(),
        "c b a d",
        "in front of those with the same expiry"
    );
    hash.set("a", "99", limits);
    assert_eq!(
        hash.names(),
        "c b a d",
        "in place, as it has no expiry to lose"
    );
    hash.expire("a", Some(200));
    assert_eq!(hash.names(), "c b a d");
    hash.set("c", "7", limits);
    assert_eq!(hash.names(), "b a d c", "last, as it lost its expiry");
    hash.expire("b", None);
    assert_eq!(hash.names(), "a d c b");
    assert_eq!(hash.get().encoding(), Encoding::PackedEx);
}

#[test]
fn conversions_happen_where_redis_has_them() {
    let limits = Limits::default();
    let mut hash = Owned::new(Encoding::Packed);
    for n in 0..512 {
        hash.set(&format!("f{n}"), "1", limits);
    }
    hash.set("f0", &"x".repeat(64), limits);
    assert_eq!(hash.get().encoding(), Encoding::Packed);
    hash.set("f512", "1", limits);
    assert_eq!(hash.get().encoding(), Encoding::Table);

    for (name, value) in [("a".into(), "x".repeat(65)), ("z".repeat(65), "1".into())] {
        let mut hash = Owned::new(Encoding::Packed);
        hash.set(&name, &value, limits);
        assert_eq!(hash.get().encoding(), Encoding::Table);
    }
}

#[test]
fn a_table_can_change_threads() {
    fn check<T: Send + Sync>() {}
    check::<HashTable>();
}
