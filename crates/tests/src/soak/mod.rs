//! A small mesh of real processes under constant load, and what may happen to
//! a mesh: its control plane goes away or hangs, routes and endpoints change
//! all the time, pods end, proxies are replaced. No request may fail.
//!
//! Short runs are part of the test command; `cargo xtask soak
//! outage|churn|restarts` runs the same code for minutes.

pub mod conformance;
pub mod control;
pub mod load;
pub mod network;
pub mod objects;
pub mod proxies;
pub mod scenarios;
pub mod servers;
pub mod world;

use std::time::Duration;

use anyhow::{Result, bail};

/// What happens to the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The control plane is killed, and later hangs.
    Outage,
    /// Routes and endpoints change, and pods end.
    Churn,
    /// Proxies are replaced by the next process.
    Restarts,
    /// Nothing: the suite of HTTP/2 is run against every kind of port.
    Conformance,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Conformance, Self::Outage, Self::Churn, Self::Restarts];

    /// As people type it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::Churn => "churn",
            Self::Restarts => "restarts",
            Self::Conformance => "h2spec",
        }
    }

    /// By its name.
    pub fn of(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|scenario| scenario.name() == name) {
            Some(scenario) => Ok(scenario),
            None => bail!("no soak `{name}`: there are {}", Self::ALL.map(Self::name).join(", ")),
        }
    }
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Requests a second.
    pub rate: u32,
    /// How long a fault lasts, and how long changes go on.
    pub lasting: Duration,
    /// How long a stream lives.
    pub stream: Duration,
    /// How often a proxy is replaced.
    pub restarts: usize,
}

impl Options {
    /// As much as the test command has time for.
    pub const SHORT: Self =
        Self { rate: 200, lasting: Duration::from_secs(5), stream: Duration::from_secs(2), restarts: 10 };

    /// For minutes.
    pub const LONG: Self =
        Self { rate: 500, lasting: Duration::from_secs(60), stream: Duration::from_secs(20), restarts: 50 };

    /// How long a pod that is going away, and a proxy that was replaced, still
    /// serve: streams end before.
    pub fn grace(&self) -> Duration {
        self.stream * 2 + Duration::from_secs(10)
    }
}
