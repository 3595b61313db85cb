//! What stays resident: of a sidecar at rest, of each open connection, and of
//! each service that the configuration names.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::goal::{Figure, Goal};
use super::load::Kind;
use super::measure;
use super::mesh::BenchMesh;
use super::table::Table;

/// Connections that are opened.
const CONNECTIONS: usize = 3000;

/// Services of the two scales.
const SERVICES: [usize; 2] = [1000, 10_000];

/// Memory at rest, and for each connection that was used once.
pub(super) fn connections() -> Result<Vec<Table>> {
    let meshes = BenchMesh::both(0)?;
    let mut idle = [0.0; 2];
    let mut each = [0.0; 2];
    for (at, mesh) in meshes.iter().enumerate() {
        eprintln!("{CONNECTIONS} idle connections: {}", mesh.data_plane);
        idle[at] = measure::resident_mib(mesh.proxy)?;
        // The first ones also pay for what is made once.
        let mut few = Open::connections(mesh, 100)?;
        let before = measure::resident_mib(mesh.proxy)?;
        let mut many = Open::connections(mesh, CONNECTIONS)?;
        each[at] = (measure::resident_mib(mesh.proxy)? - before) * 1024.0 / CONNECTIONS as f64;
        few.close()?;
        many.close()?;
    }
    let mut table = Table::new("Memory of one sidecar", ["proxy", "MiB at rest", "KiB a connection"]);
    for (at, mesh) in meshes.iter().enumerate() {
        table.row([mesh.data_plane.to_owned(), format!("{:.1}", idle[at]), format!("{:.1}", each[at])]);
    }
    let ratio = |of: [f64; 2]| of[1] / of[0];
    table.row(["ratio".to_owned(), format!("{:.2}", ratio(idle)), format!("{:.2}", ratio(each))]);
    table.note(Goal::at_most(Figure::Idle, 0.25, 0.15).verdict(ratio(idle)));
    table.note(Goal::at_most(Figure::KibPerConnection, 0.6, 0.25).verdict(ratio(each)));
    Ok(vec![table])
}

/// Memory with thousands of services.
pub(super) fn services() -> Result<Vec<Table>> {
    let mut table = Table::new(
        "Memory of one sidecar by services",
        ["services", "envoy MiB", "lateen MiB", "ratio", "envoy KiB each", "lateen KiB each", "ratio each"],
    );
    let mut goals = Vec::new();
    let base = resident(0)?;
    for services in SERVICES {
        let total = resident(services)?;
        let each = |at: usize| (total[at] - base[at]) * 1024.0 / services as f64;
        let ratios = [total[1] / total[0], each(1) / each(0)];
        table.row([
            services.to_string(),
            format!("{:.1}", total[0]),
            format!("{:.1}", total[1]),
            format!("{:.2}", ratios[0]),
            format!("{:.1}", each(0)),
            format!("{:.1}", each(1)),
            format!("{:.2}", ratios[1]),
        ]);
        goals = vec![
            Goal::at_most(Figure::Idle, 0.12, 0.06).verdict(ratios[0]),
            Goal::at_most(Figure::KibPerService, 0.10, 0.04).verdict(ratios[1]),
        ];
    }
    goals.into_iter().for_each(|goal| table.note(format!("{} services: {goal}", SERVICES[1])));
    Ok(vec![table])
}

/// Of Envoy and of ours.
fn resident(services: usize) -> Result<[f64; 2]> {
    eprintln!("{services} services");
    let meshes = BenchMesh::both(services)?;
    Ok([measure::resident_mib(meshes[0].proxy)?, measure::resident_mib(meshes[1].proxy)?])
}

/// Connections held open by a program in the load pod.
struct Open(Child);

impl Open {
    fn connections(mesh: &BenchMesh, count: usize) -> Result<Open> {
        let mut command = mesh.load_command(Kind::Idle, count)?;
        let mut child = command
            .args(["--rate", "0", "--seconds", "0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the load")?;
        let output = child.stdout.take().context("the load's output is a pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("read the load's output")?;
        ensure!(line.trim() == "open", "the load ended before {count} connections were open");
        Ok(Open(child))
    }

    fn close(&mut self) -> Result<()> {
        drop(self.0.stdin.take());
        let status = self.0.wait().context("wait for the load")?;
        ensure!(status.success(), "the load ended with {status}");
        Ok(())
    }
}
