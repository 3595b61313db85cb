//! `cargo xtask bench`: our sidecar beside stock Envoy, with the same generated
//! configuration, metrics and access log on.
//!
//! Two meshes run side by side, alike but for the data plane.  In each a load
//! pod calls a server pod through the load's own sidecar.  Rounds alternate
//! between the two; the proxy under test has CPU 0 for itself, load and server
//! share CPU 1.  CPU is the scheduler's own count over the proxy's threads, so
//! it does not depend on who else was waiting.

mod case;
mod goal;
mod load;
mod manifest;
mod measure;
mod memory;
mod mesh;
mod poll;
mod record;
mod server;
mod suite;
mod table;

use anyhow::{Result, bail};

pub(crate) use load::{Kind, Plan, resolve, run as load};
pub(crate) use server::run as serve;
pub(crate) use suite::Suite;

use crate::process::run as program;

/// What to measure, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) suite: Suite,
    /// Rounds of each proxy.
    pub(crate) rounds: usize,
    /// Seconds of each round.
    pub(crate) seconds: f64,
    /// Whether `bench/README.md` keeps the tables.
    pub(crate) record: bool,
}

/// Measures, and prints a table for each case.
pub(crate) fn run(options: Options) -> Result<()> {
    if std::thread::available_parallelism()?.get() < 2 {
        bail!("a bench needs two CPUs: one for the proxy under test, one for load and server");
    }
    program("cargo", &["build", "--release", "--locked", "--package", "lateen", "--package", "xtask"])?;
    let tables = options.suite.measure(options.rounds, options.seconds)?;
    for table in &tables {
        println!("\n{table}");
    }
    if options.record {
        record::write(options.suite, &tables)?;
    }
    Ok(())
}
