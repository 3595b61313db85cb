//! Consistent hashing with bounded loads: an endpoint with more than its
//! share of the requests passes new ones on, in an order that depends on the
//! hash alone (Mirrokni, Thorup, Zadimoghaddam; Chen et al.).

use super::Hosts;
use super::weights::Parts;

/// The endpoint for a hash whose owner is `owner`.
pub(super) fn choose(owner: u32, hash: u64, factor: u32, parts: &Parts, hosts: &impl Hosts) -> u32 {
    let overload = |number: u32, part: f64| overload(number, part, factor, hosts);
    let Some((_, own)) = parts.list.iter().find(|(number, _)| *number == owner) else { return owner };
    let mut least = (owner, overload(owner, *own));
    if least.1 <= 1.0 {
        return owner;
    }
    let mut order: Vec<usize> = (0..parts.list.len()).collect();
    let mut random = Twister::new(hash);
    for place in 0..order.len() {
        let step = random.below(u32::try_from(order.len() - place).unwrap_or(u32::MAX));
        order.swap(place, place + usize::try_from(step).unwrap_or(0));
        let (number, part) = parts.list[order[place]];
        if number == owner {
            continue;
        }
        let load = overload(number, part);
        if load <= 1.0 {
            return number;
        }
        if load < least.1 {
            least = (number, load);
        }
    }
    least.0
}

/// Requests under way as a part of what the endpoint may have.
fn overload(number: u32, part: f64, factor: u32, hosts: &impl Hosts) -> f64 {
    let all = (u64::from(hosts.total_active()) + 1) * u64::from(factor);
    let slots = (all.div_ceil(100) as f64 * part).ceil().max(1.0);
    f64::from(hosts.active(number)) / slots
}

/// The 32-bit Mersenne Twister: Envoy's order of endpoints comes from it.
struct Twister {
    state: Box<[u32; Twister::SIZE]>,
    at: usize,
}

impl Twister {
    const SIZE: usize = 624;
    const SHIFT: usize = 397;

    fn new(seed: u64) -> Twister {
        let mut state = Box::new([0u32; Twister::SIZE]);
        // Only the lower half of the seed counts.
        state[0] = seed as u32;
        for at in 1..Twister::SIZE {
            let before = state[at - 1];
            state[at] = 1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(at as u32);
        }
        Twister { state, at: Twister::SIZE }
    }

    fn twist(&mut self) {
        for at in 0..Twister::SIZE {
            let next = self.state[(at + 1) % Twister::SIZE];
            let mixed = (self.state[at] & 0x8000_0000) | (next & 0x7fff_ffff);
            let odd = if mixed & 1 == 0 { 0 } else { 0x9908_b0df };
            self.state[at] = self.state[(at + Twister::SHIFT) % Twister::SIZE] ^ (mixed >> 1) ^ odd;
        }
        self.at = 0;
    }

    fn next(&mut self) -> u32 {
        if self.at == Twister::SIZE {
            self.twist();
        }
        let mut word = self.state[self.at];
        self.at += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A number below `limit`, each as likely as any other.
    fn below(&mut self, limit: u32) -> u32 {
        let width = (1u64 << 32) / u64::from(limit.max(1));
        loop {
            let drawn = u64::from(self.next()) / width;
            if drawn < u64::from(limit.max(1)) {
                return u32::try_from(drawn).unwrap_or(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Twister;

    #[test]
    fn the_twister_is_the_standard_one() {
        // The ten thousandth number of the default seed is part of the C++
        // standard.
        let mut twister = Twister::new(5489);
        let last = (0..10_000).map(|_| twister.next()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
