//! A ring of hashes (ketama): an endpoint owns the arcs before its points.

use crate::hash::HashFunction;

use super::weights::Parts;

/// Points of endpoints in the order of their hashes.
#[derive(Debug)]
pub(super) struct Ring {
    points: Box<[(u64, u32)]>,
}

/// How a ring is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSize {
    /// At least so many points.
    pub least: u64,
    /// At most so many.
    pub most: u64,
    /// How points are hashed.
    pub function: HashFunction,
}

impl Ring {
    /// Gives each endpoint points by its weight, the lightest a whole number
    /// of them; `key` is the text that stands for an endpoint.
    pub(super) fn new(size: RingSize, parts: &Parts, key: impl Fn(u32) -> String) -> Ring {
        let scale = ((parts.least * size.least as f64).ceil() / parts.least).min(size.most as f64);
        let mut points = Vec::new();
        if !parts.list.is_empty() {
            // Saturates: a size beyond what can be counted cannot be made.
            points.reserve(scale.ceil() as usize);
        }
        // Running sums, because a heavier endpoint need not get a whole
        // number of points.
        let (mut made, mut wanted) = (0.0, 0.0);
        for (number, part) in &parts.list {
            let mut text = key(*number);
            text.push('_');
            let stem = text.len();
            wanted += scale * part;
            let mut index = 0u64;
            while made < wanted {
                text.truncate(stem);
                text.push_str(&index.to_string());
                points.push((size.function.hash(text.as_bytes()), *number));
                index += 1;
                made += 1.0;
            }
        }
        points.sort_by_key(|(hash, _)| *hash);
        Ring { points: points.into() }
    }

    /// The endpoint that owns a hash; each further attempt moves one point
    /// on.
    pub(super) fn find(&self, hash: u64, attempt: u32) -> Option<u32> {
        let owner = self.points.partition_point(|(point, _)| *point < hash);
        let at = (owner % self.points.len().max(1)) + usize::try_from(attempt).ok()?;
        self.points.get(at % self.points.len().max(1)).map(|(_, number)| *number)
    }
}
