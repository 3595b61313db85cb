//! Weights of endpoints as parts of one.

/// Endpoints with their parts of one, in the order of configuration.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    /// Number and part of each endpoint.
    pub(super) list: Vec<(u32, f64)>,
    /// The least part.
    pub(super) least: f64,
    /// The greatest part.
    pub(super) greatest: f64,
}

impl Parts {
    /// By their own weights alone.
    pub(super) fn flat(members: &[u32], weight: impl Fn(u32) -> u32) -> Parts {
        let mut parts = Parts { least: 1.0, ..Parts::default() };
        parts.add(members, 1.0, weight);
        parts
    }

    /// By the weights of localities, and within them by their own.
    pub(super) fn by_locality<'l>(
        localities: impl Iterator<Item = (u32, &'l [u32])> + Clone,
        weight: impl Fn(u32) -> u32 + Copy,
    ) -> Parts {
        let mut parts = Parts { least: 1.0, ..Parts::default() };
        let sum: u64 = localities.clone().map(|(weight, _)| u64::from(weight)).sum();
        for (own, members) in localities.filter(|(weight, _)| *weight > 0) {
            parts.add(members, f64::from(own) / sum as f64, weight);
        }
        parts
    }

    fn add(&mut self, members: &[u32], part: f64, weight: impl Fn(u32) -> u32) {
        let sum: u64 = members.iter().map(|number| u64::from(weight(*number))).sum();
        for number in members {
            let own = f64::from(weight(*number)) * part / sum as f64;
            self.list.push((*number, own));
            self.least = self.least.min(own);
            self.greatest = self.greatest.max(own);
        }
    }
}
