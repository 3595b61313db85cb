//! Maglev's table: every slot belongs to an endpoint, and few slots change
//! when endpoints do (Eisenbud et al., NSDI 2016, listing 1).

use xxhash_rust::xxh64::xxh64;

use super::weights::Parts;

/// Slots and the endpoints they belong to.
#[derive(Debug)]
pub(super) struct Table {
    slots: Box<[u32]>,
}

struct Builder {
    number: u32,
    weight: f64,
    target: f64,
    offset: u64,
    skip: u64,
    next: u64,
}

/// No endpoint has this number.
const FREE: u32 = u32::MAX;

impl Table {
    /// Fills a table of a prime size; `key` is the text that stands for an
    /// endpoint.
    pub(super) fn new(size: u64, parts: &Parts, key: impl Fn(u32) -> String) -> Table {
        let length = usize::try_from(size).unwrap_or(0);
        if parts.list.is_empty() || length < 2 {
            return Table { slots: Box::default() };
        }
        let mut keyed: Vec<(String, u32, f64)> =
            parts.list.iter().map(|(number, part)| (key(*number), *number, *part)).collect();
        keyed.sort_by(|left, right| left.0.cmp(&right.0).then(left.1.cmp(&right.1)));
        let mut builders: Vec<Builder> = keyed
            .into_iter()
            .map(|(key, number, weight)| Builder {
                number,
                weight,
                target: 0.0,
                offset: xxh64(key.as_bytes(), 0) % size,
                skip: xxh64(key.as_bytes(), 1) % (size - 1) + 1,
                next: 0,
            })
            .collect();
        Table { slots: fill(length, &mut builders, parts.greatest) }
    }

    /// The endpoint that owns a hash; each further attempt looks elsewhere.
    pub(super) fn find(&self, hash: u64, attempt: u32) -> Option<u32> {
        let hash = match attempt {
            0 => hash,
            attempt => hash ^ (u64::MAX - u64::from(attempt) + 1),
        };
        let slot = hash % (self.slots.len().max(1) as u64);
        self.slots.get(usize::try_from(slot).ok()?).copied()
    }
}

/// The heaviest takes a slot in every round, others as often as they weigh.
fn fill(length: usize, builders: &mut [Builder], greatest: f64) -> Box<[u32]> {
    let mut slots = vec![FREE; length];
    let mut filled = 0;
    let mut round = 0.0;
    while filled < length {
        round += 1.0;
        for builder in builders.iter_mut() {
            if filled == length || round * builder.weight < builder.target {
                continue;
            }
            builder.target += greatest;
            loop {
                let slot = (builder.offset + builder.skip.wrapping_mul(builder.next)) % (length as u64);
                builder.next += 1;
                let slot = usize::try_from(slot).unwrap_or(0);
                if slots[slot] == FREE {
                    slots[slot] = builder.number;
                    filled += 1;
                    break;
                }
            }
        }
    }
    slots.into()
}
