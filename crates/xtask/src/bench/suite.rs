//! The suites and their cases, with the goals of each.

use anyhow::Result;
use clap::ValueEnum;

use super::case::{Case, compare};
use super::goal::{Figure, Goal};
use super::load::Kind;
use super::memory;
use super::mesh::BenchMesh;
use super::table::Table;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// HTTP/1.1 on kept connections.
    Http,
    /// HTTP/2 from the client, HTTP/1.1 to the server.
    H2,
    /// gRPC calls of one message each way.
    Grpc,
    /// Opaque bytes, one direction.
    Tcp,
    /// A new connection for every request.
    Newconn,
    /// Resident memory, at rest and for each open connection.
    Memory,
    /// Resident memory with thousands of services.
    Scale,
}

impl Suite {
    /// The word a person types.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Runs the suite.
    pub(super) fn measure(self, rounds: usize, seconds: f64) -> Result<Vec<Table>> {
        match self {
            Suite::Memory => memory::connections(),
            Suite::Scale => memory::services(),
            _ => {
                let meshes = BenchMesh::both(0)?;
                let cases = self.cases();
                cases.iter().map(|case| compare(&meshes, case, rounds, seconds)).collect()
            }
        }
    }

    fn cases(self) -> &'static [Case] {
        match self {
            Suite::Http => &HTTP,
            Suite::H2 => &H2,
            Suite::Grpc => &GRPC,
            Suite::Tcp => &TCP,
            Suite::Newconn => &NEWCONN,
            Suite::Memory | Suite::Scale => &[],
        }
    }
}

const HTTP: [Case; 2] = [
    Case {
        title: "HTTP/1.1, closed loop, 64 connections",
        kind: Kind::Http1,
        connections: 64,
        rate: None,
        goals: &[
            Goal::at_most(Figure::Cpu, 0.45, 0.37),
            Goal::at_most(Figure::P99, 0.50, 0.40),
            Goal::at_most(Figure::Loaded, 0.25, 0.15),
        ],
    },
    Case {
        title: "HTTP/1.1, 2,000 requests a second",
        kind: Kind::Http1,
        connections: 64,
        rate: Some(2000),
        goals: &[
            Goal::at_most(Figure::Cpu, 0.65, 0.55),
            Goal::at_most(Figure::P50, 0.88, 0.80),
            Goal::at_most(Figure::P99, 0.90, 0.75),
        ],
    },
];

const H2: [Case; 1] = [Case {
    title: "HTTP/2 to HTTP/1.1, closed loop, 8 connections of 8 streams",
    kind: Kind::H2,
    connections: 8,
    rate: None,
    goals: &[Goal::at_most(Figure::Cpu, 0.70, 0.45)],
}];

const GRPC: [Case; 1] = [Case {
    title: "gRPC, closed loop, 8 connections of 8 streams",
    kind: Kind::Grpc,
    connections: 8,
    rate: None,
    goals: &[Goal::at_most(Figure::Cpu, 0.70, 0.45)],
}];

const TCP: [Case; 1] = [Case {
    title: "TCP, 4 streams, one direction",
    kind: Kind::Tcp,
    connections: 4,
    rate: None,
    goals: &[Goal::at_least(Figure::GigabytesPerCpuSecond, 1.4, 1.7)],
}];

const NEWCONN: [Case; 1] = [Case {
    title: "HTTP/1.1, a connection for each request, 16 at once",
    kind: Kind::NewConnections,
    connections: 16,
    rate: None,
    goals: &[Goal::at_most(Figure::Cpu, 0.65, 0.60)],
}];
