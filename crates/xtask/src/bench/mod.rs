//! `cargo xtask bench http`: our sidecar beside stock Envoy, with the same
//! generated configuration, metrics and access log on.
//!
//! Two meshes run side by side, alike but for the data plane.  In each a load
//! pod calls a server pod through the load's own sidecar.  Rounds alternate
//! between the two; the proxy under test has CPU 0 for itself, load and server
//! share CPU 1.  CPU per request is the scheduler's own count over the
//! proxy's threads, so it does not depend on who else was waiting.

mod load;
mod measure;
mod mesh;
mod poll;
mod report;
mod server;

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};

pub(crate) use load::Plan;
pub(crate) use server::run as serve;

use load::Figures;
use mesh::BenchMesh;

use crate::process::run as program;

/// How a round loads the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// As many requests as fit on 64 connections.
    Closed,
    /// 2,000 requests a second.
    FixedRate,
}

/// One measured round of one proxy.
#[derive(Clone, Debug)]
struct Round {
    cpu_microseconds: f64,
    resident_mib: f64,
    figures: Figures,
}

/// Runs `suite`, `rounds` rounds of `seconds` each.
pub(crate) fn run(suite: &str, rounds: usize, seconds: f64) -> Result<()> {
    if suite != "http" {
        bail!("no suite `{suite}`: the suites are http");
    }
    program("cargo", &["build", "--release", "--locked", "--package", "lateen", "--package", "xtask"])?;
    let meshes = [BenchMesh::up("envoy")?, BenchMesh::up("lateen")?];
    let idle: Vec<f64> =
        meshes.iter().map(|mesh| measure::resident_mib(mesh.proxy)).collect::<Result<_>>()?;
    for shape in [Shape::Closed, Shape::FixedRate] {
        let mut measured = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            for (mesh, into) in meshes.iter().zip(&mut measured) {
                eprintln!("{shape:?}: round {} of {rounds}: {}", round + 1, mesh.data_plane);
                into.push(self::round(mesh, shape, seconds)?);
            }
        }
        report::print(shape, &measured, &idle);
    }
    Ok(())
}

fn round(mesh: &BenchMesh, shape: Shape, seconds: f64) -> Result<Round> {
    let rate = (shape == Shape::FixedRate).then_some(2000);
    mesh.load(rate, 1.0).context("warm up")?;
    let before = measure::cpu(mesh.proxy)?;
    let figures = mesh.load(rate, seconds)?;
    let spent = measure::cpu(mesh.proxy)? - before;
    if figures.failures > 0 {
        bail!("{}: {} of {} requests failed", mesh.data_plane, figures.failures, figures.requests);
    }
    Ok(Round {
        cpu_microseconds: spent.as_secs_f64() * 1e6 / figures.requests as f64,
        resident_mib: measure::resident_mib(mesh.proxy)?,
        figures,
    })
}

/// The load itself, run inside the load pod; prints its figures as JSON.
pub(crate) fn load(plan: &Plan) -> Result<()> {
    let figures = load::run(plan)?;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// `host:port` to an address, through the pod's DNS.
pub(crate) fn resolve(target: &str) -> Result<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    let mut addresses = target.to_socket_addrs().with_context(|| format!("resolve `{target}`"))?;
    addresses.next().with_context(|| format!("`{target}` has no address"))
}
