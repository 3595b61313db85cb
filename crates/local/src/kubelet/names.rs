//! Names as Kubernetes makes them.

use std::hash::Hasher;

/// Characters of generated names: no vowels and nothing that looks like another, so that no words come about.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Length of the random end of a pod's name.
const SUFFIX_LENGTH: usize = 5;

/// The hash of a pod template: equal templates have equal hashes.
pub(crate) fn template_hash(template: &serde_json::Value) -> String {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    feed(&mut hasher, template);
    encode(hasher.finish(), 10)
}

/// The name of a Deployment's pod, from a hash and a number drawn at random.
pub(crate) fn pod_name(deployment: &str, hash: &str, random: u64) -> String {
    format!("{deployment}-{hash}-{}", encode(random, SUFFIX_LENGTH))
}

/// The name of the ReplicaSet that a cluster would put between a Deployment and its pods.
pub(crate) fn replica_set_name(deployment: &str, hash: &str) -> String {
    format!("{deployment}-{hash}")
}

/// A unique id in the usual form, from two numbers drawn at random.
pub(crate) fn uid(high: u64, low: u64) -> String {
    let high = (high & 0xffff_ffff_ffff_0fff) | 0x4000;
    let low = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

fn encode(mut number: u64, length: usize) -> String {
    let base = ALPHABET.len() as u64;
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        let digit = usize::try_from(number % base).unwrap_or(0);
        text.push(char::from(ALPHABET[digit]));
        number /= base;
    }
    text
}

/// Feeds a value whatever the order of its keys is.
fn feed(hasher: &mut Fnv, value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort();
            for key in keys {
                hasher.write(b"{");
                hasher.write(key.as_bytes());
                hasher.write(b":");
                feed(hasher, &members[key]);
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                hasher.write(b"[");
                feed(hasher, item);
            }
        }
        other => hasher.write(other.to_string().as_bytes()),
    }
    hasher.write(b";");
}

/// FNV-1a: stable over releases, which the standard library's hasher does not promise.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// A number that is the same for the same text, today and after an update.
pub(crate) fn stable_number(text: &str) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    hasher.write(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests;
