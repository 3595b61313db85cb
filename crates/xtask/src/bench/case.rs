//! One case: the same load on both meshes, round by round.

use anyhow::{Context as _, Result, bail};

use super::goal::{Figure, Goal};
use super::load::{Figures, Kind};
use super::measure;
use super::mesh::BenchMesh;
use super::table::{Table, median};

/// A load, and what has to come of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    pub(super) connections: usize,
    /// Requests per second; `None` is a closed loop.
    pub(super) rate: Option<u32>,
    pub(super) goals: &'static [Goal],
}

/// One measured round of one proxy.
#[derive(Clone, Debug)]
struct Round {
    cpu_microseconds: f64,
    resident_mib: f64,
    figures: Figures,
}

impl Round {
    fn cpu_per_request(&self) -> f64 {
        self.cpu_microseconds / self.figures.requests.max(1) as f64
    }

    fn gigabytes_per_cpu_second(&self) -> f64 {
        self.figures.bytes as f64 / 1e3 / self.cpu_microseconds
    }
}

/// What is known of one proxy in one case.
struct Measured {
    idle_mib: f64,
    rounds: Vec<Round>,
}

/// Loads both meshes in turn; the table of what they cost.
pub(super) fn compare(meshes: &[BenchMesh; 2], case: &Case, rounds: usize, seconds: f64) -> Result<Table> {
    let idle = |mesh: &BenchMesh| measure::resident_mib(mesh.proxy);
    let mut envoy = Measured { idle_mib: idle(&meshes[0])?, rounds: Vec::new() };
    let mut ours = Measured { idle_mib: idle(&meshes[1])?, rounds: Vec::new() };
    for round in 1..=rounds {
        for (mesh, measured) in meshes.iter().zip([&mut envoy, &mut ours]) {
            eprintln!("{}: round {round} of {rounds}: {}", case.title, mesh.data_plane);
            measured.rounds.push(self::round(mesh, case, seconds)?);
        }
    }
    Ok(table(case, &envoy, &ours))
}

fn round(mesh: &BenchMesh, case: &Case, seconds: f64) -> Result<Round> {
    mesh.load(case, 1.0).context("warm up")?;
    let before = measure::cpu(mesh.proxy)?;
    let figures = mesh.load(case, seconds)?;
    let spent = measure::cpu(mesh.proxy)? - before;
    if figures.failures > 0 {
        bail!("{}: {} of {} requests failed", mesh.data_plane, figures.failures, figures.requests);
    }
    Ok(Round {
        cpu_microseconds: spent.as_secs_f64() * 1e6,
        resident_mib: measure::resident_mib(mesh.proxy)?,
        figures,
    })
}

fn table(case: &Case, envoy: &Measured, ours: &Measured) -> Table {
    let value = |figure: Figure, measured: &Measured| match figure {
        Figure::Cpu => median(&measured.rounds, Round::cpu_per_request),
        Figure::P50 => median(&measured.rounds, |round| round.figures.p50),
        Figure::P99 => median(&measured.rounds, |round| round.figures.p99),
        Figure::Idle => measured.idle_mib,
        Figure::GigabytesPerCpuSecond => median(&measured.rounds, Round::gigabytes_per_cpu_second),
        _ => median(&measured.rounds, |round| round.resident_mib),
    };
    let ratio = |figure: Figure| value(figure, ours) / value(figure, envoy);
    let rate = |measured: &Measured| median(&measured.rounds, |round| round.figures.per_second);
    let columns = case.columns();
    let mut table = Table::new(case.title, ["proxy"].into_iter().chain(columns.iter().map(Column::title)));
    for (name, measured) in [("envoy", envoy), ("lateen", ours)] {
        let cell = |column: &Column| match column {
            Column::Figure(Figure::GigabytesPerCpuSecond) => {
                format!("{:.2}", value(Figure::GigabytesPerCpuSecond, measured))
            }
            Column::Figure(Figure::P50 | Figure::P99) if rate(measured) == 0.0 => String::new(),
            Column::Figure(figure @ (Figure::P50 | Figure::P99)) => {
                format!("{:.0}", value(*figure, measured))
            }
            Column::Figure(figure) => format!("{:.1}", value(*figure, measured)),
            Column::CpuSpread => spread(&measured.rounds),
            Column::Rate => format!("{:.0}", rate(measured)),
        };
        table.row([name.to_owned()].into_iter().chain(columns.iter().map(cell)));
    }
    let cell = |column: &Column| match column {
        Column::Figure(figure) => format!("{:.2}", ratio(*figure)),
        Column::CpuSpread => String::new(),
        Column::Rate => format!("{:.2}", rate(ours) / rate(envoy)),
    };
    table.row(["ratio".to_owned()].into_iter().chain(columns.iter().map(cell)));
    for goal in case.goals {
        table.note(goal.verdict(ratio(goal.figure)));
    }
    table
}

fn spread(rounds: &[Round]) -> String {
    let least = rounds.iter().map(Round::cpu_per_request).fold(f64::INFINITY, f64::min);
    let most = rounds.iter().map(Round::cpu_per_request).fold(f64::NEG_INFINITY, f64::max);
    format!("{least:.1} to {most:.1}")
}

enum Column {
    Figure(Figure),
    CpuSpread,
    Rate,
}

impl Column {
    fn title(&self) -> &'static str {
        match self {
            Column::Figure(Figure::Cpu) => "CPU µs/req",
            Column::Figure(Figure::P50) => "p50 µs",
            Column::Figure(Figure::P99) => "p99 µs",
            Column::Figure(Figure::Idle) => "MiB idle",
            Column::Figure(Figure::GigabytesPerCpuSecond) => "GB/CPU s",
            Column::Figure(_) => "MiB load",
            Column::CpuSpread => "(min to max)",
            Column::Rate => "req/s",
        }
    }
}

impl Case {
    fn columns(&self) -> Vec<Column> {
        let memory = [Column::Figure(Figure::Idle), Column::Figure(Figure::Loaded)];
        let first = match self.kind {
            Kind::Tcp => vec![Column::Figure(Figure::GigabytesPerCpuSecond)],
            _ => vec![
                Column::Figure(Figure::Cpu),
                Column::CpuSpread,
                Column::Figure(Figure::P50),
                Column::Figure(Figure::P99),
                Column::Rate,
            ],
        };
        first.into_iter().chain(memory).collect()
    }
}
