//! Random changes of what is at hand.

use crate::seeds::Seeds;

/// The longest input. Longer ones find nothing more and take longer.
const LONGEST: usize = 8192;

/// Numbers that are random enough (splitmix64), the same for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a border, 0 for a border of 0.
    fn below(&mut self, border: usize) -> usize {
        (self.next() % border.max(1) as u64) as usize
    }
}

/// A file at hand with up to eight changes, or random bytes.
pub fn mutate(seeds: &Seeds, random: &mut Random) -> Vec<u8> {
    if random.below(16) == 0 {
        return (0..random.below(200)).map(|_| random.next() as u8).collect();
    }
    let mut input = seeds.files[random.below(seeds.files.len())].clone();
    for _ in 0..=random.below(8) {
        change(&mut input, seeds, random);
    }
    input.truncate(LONGEST);
    input
}

fn change(input: &mut Vec<u8>, seeds: &Seeds, random: &mut Random) {
    let from = random.below(input.len() + 1);
    let to = (from + random.below(64)).min(input.len());
    match random.below(8) {
        0 => drop(input.drain(from..to)),
        1 => {
            let again = input[from..to].to_vec();
            let times = 1 + random.below(20);
            input.splice(from..from, again.repeat(times));
        }
        2 => input.truncate(from),
        3 if from < input.len() => input[from] ^= 1 << random.below(8),
        4 if from < input.len() => input[from] = random.next() as u8,
        5 => {
            let other = &seeds.files[random.below(seeds.files.len())];
            let start = random.below(other.len());
            let end = (start + random.below(200)).min(other.len());
            input.splice(from..to, other[start..end].iter().copied());
        }
        _ => {
            let token = &seeds.tokens[random.below(seeds.tokens.len())];
            let to = if random.below(2) == 0 { from } else { to };
            input.splice(from..to, token.iter().copied());
        }
    }
}
