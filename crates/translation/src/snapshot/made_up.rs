//! Addresses for services that have none of their own, from 240.240.0.0/16.
//!
//! An application that asks for such a service's name is answered with its
//! address, and the proxy knows by the address which service is meant. Nothing
//! on any network has these addresses.
//!
//! An address follows from namespace and host, so that it survives restarts
//! and is the same at every replica; only of two services that want the same
//! one does the later get another.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::memo::Shared;
use crate::service::Service;

/// Values of one of the last two bytes: neither 0 nor 255, which some hosts
/// take for a network or for everybody.
const BYTES: u32 = 254;

/// How many addresses there are.
const COUNT: u32 = BYTES * BYTES;

/// An address for each service, in the same order; when all are taken, some
/// are shared.
pub(super) fn addresses(services: &[Shared<Service>]) -> Vec<Ipv4Addr> {
    let mut order: Vec<usize> = (0..services.len()).collect();
    order.sort_by_key(|at| {
        let service = &services[*at];
        (service.created.is_none(), service.created, &service.namespace, &service.host)
    });
    let mut taken = BTreeSet::new();
    let mut addresses = vec![Ipv4Addr::UNSPECIFIED; services.len()];
    for at in order {
        let service = &services[at];
        let start = fnv(&format!("{}/{}", service.namespace, service.host)) % COUNT;
        let free = (0..COUNT).map(|step| (start + step) % COUNT).find(|number| !taken.contains(number));
        let number = free.unwrap_or(start);
        taken.insert(number);
        addresses[at] = address(number);
    }
    addresses
}

fn address(number: u32) -> Ipv4Addr {
    let [.., third] = (number / BYTES + 1).to_be_bytes();
    let [.., fourth] = (number % BYTES + 1).to_be_bytes();
    Ipv4Addr::new(240, 240, third, fourth)
}

/// FNV-1a: the same for ever, on every machine.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests;
