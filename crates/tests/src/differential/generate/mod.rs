//! Configurations and requests drawn from a seed, of what users write and of
//! what lies at its edges.  Rules and requests draw from the same few words,
//! so that they meet.

mod requests;
mod rules;
mod services;
mod words;

use fastrand::Rng;
use serde_json::Value;

use super::request::Request;

/// A configuration and what is asked of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it was drawn from.
    pub seed: u64,
    /// What users wrote, on top of what is always there.
    pub objects: Vec<Value>,
    /// What clients ask.
    pub requests: Vec<Request>,
}

/// Draws a case.
pub fn case(seed: u64, requests: usize) -> Case {
    let mut rng = Rng::with_seed(seed);
    let objects = rules::draw(&mut rng);
    let requests = (0..requests).map(|_| requests::draw(&mut rng, &objects)).collect();
    Case { seed, objects, requests }
}

/// Services, their pods, and what is always there.
pub fn always() -> String {
    services::always()
}

/// True so many times of a hundred.
fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(0..100) < percent
}

/// One of them.
fn one<'a, T: ?Sized>(rng: &mut Rng, list: &[&'a T]) -> &'a T {
    list[rng.usize(0..list.len())]
}
