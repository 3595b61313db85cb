//! Hash functions with which Envoy chooses endpoints.

use xxhash_rust::xxh64::xxh64;

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashFunction {
    /// xxHash64.
    #[default]
    Xx,
    /// MurmurHash2, as the C++ standard library of GNU uses it.
    Murmur2,
}

/// The seed with which the standard library hashes.
const STANDARD_SEED: u64 = 0xc70f_6907;

impl HashFunction {
    /// The hash of bytes.
    pub fn hash(self, bytes: &[u8]) -> u64 {
        match self {
            HashFunction::Xx => xx(bytes),
            HashFunction::Murmur2 => murmur2(bytes, STANDARD_SEED),
        }
    }
}

/// xxHash64 without a seed.
pub fn xx(bytes: &[u8]) -> u64 {
    xxh64(bytes, 0)
}

/// MurmurHash2 in its 64-bit form (MurmurHash64A).
fn murmur2(bytes: &[u8], seed: u64) -> u64 {
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    let mix = |word: u64| {
        let word = word.wrapping_mul(MULTIPLIER);
        (word ^ (word >> 47)).wrapping_mul(MULTIPLIER)
    };
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash ^ mix(u64::from_le_bytes(*word))).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u64::from(*byte));
        hash = (hash ^ tail).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 47)).wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 47)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_envoy() {
        // Taken from Envoy's own tests of these functions.
        let table = [("", 0xef46_db37_51d8_e999, 0), ("foo", 3728699739546630719, 9631199822919835226)];
        for (text, xx, murmur) in table {
            assert_eq!(HashFunction::Xx.hash(text.as_bytes()), xx, "{text}");
            if murmur != 0 {
                assert_eq!(HashFunction::Murmur2.hash(text.as_bytes()), murmur, "{text}");
            }
        }
    }
}
