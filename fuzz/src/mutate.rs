//! Inputs without libFuzzer: seeds, changed at random in a reproducible way.

use std::path::Path;

/// A small generator of random numbers (splitmix64).
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// One of several.
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// The files of a folder, in order of name.
pub fn seeds(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder of seeds");
    let mut paths: Vec<_> = entries.map(|e| e.expect("a seed").path()).collect();
    paths.sort();
    let read = |path| std::fs::read(path).expect("a seed");
    paths.iter().map(read).collect()
}

/// Changes an input in one to five places.
pub fn mutate(rng: &mut Rng, input: &mut Vec<u8>, words: &[&[u8]], others: &[Vec<u8>]) {
    for _ in 0..=rng.below(5) {
        let at = rng.below(input.len() + 1);
        let end = (at + rng.below(16)).min(input.len());
        match rng.below(8) {
            0 => drop(input.drain(at..end)),
            1 => input.truncate(at),
            2 => input.insert(at, rng.next() as u8),
            3 if at < input.len() => input[at] = rng.next() as u8,
            4 if at < input.len() => input[at] ^= 1 << rng.below(8),
            5 => {
                let copy = input[at..end].to_vec();
                let to = rng.below(input.len() + 1);
                drop(input.splice(to..to, copy));
            }
            6 => drop(input.splice(at..end, rng.pick(words).iter().copied())),
            _ => {
                let other = &others[rng.below(others.len())];
                let from = rng.below(other.len() + 1);
                drop(input.splice(at..end, other[from..].iter().copied()));
            }
        }
    }
    input.truncate(4096);
}

/// Runs `check` on mutated inputs: `LOCKSTEP_FUZZ_RUNS` of them, `runs` by default, from the
/// seed `LOCKSTEP_FUZZ_SEED`, 1 by default. An input that fails is printed.
pub fn run(
    runs: u64,
    seeds: &[Vec<u8>],
    words: &[&[u8]],
    mut fresh: impl FnMut(&mut Rng) -> Option<Vec<u8>>,
    check: fn(&[u8]),
) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("LOCKSTEP_FUZZ_SEED").unwrap_or(1);
    let mut rng = Rng(seed);
    for input in seeds {
        check(input);
    }
    for run in 0..number("LOCKSTEP_FUZZ_RUNS").unwrap_or(runs) {
        let from_seed = |rng: &mut Rng| seeds[rng.below(seeds.len())].clone();
        let mut input = fresh(&mut rng).unwrap_or_else(|| from_seed(&mut rng));
        // One in sixteen stays valid.
        if rng.below(16) > 0 {
            mutate(&mut rng, &mut input, words, seeds);
        }
        if let Err(panic) = std::panic::catch_unwind(|| check(&input)) {
            eprintln!("seed {seed}, run {run}: b\"{}\"", input.escape_ascii());
            std::panic::resume_unwind(panic);
        }
    }
}
