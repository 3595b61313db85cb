//! `lateen status`: pods, doors, and which proxy holds which generation.

use clap::Args;
use local::{PodSummary, WorldStatus};
use serde::Serialize;
use telemetry::status::{MeshStatus, ProxyStatus};

use super::output;
use crate::client::Client;
use crate::failure::Outcome;

/// Shows pods and their processes, the gateway's doors, and what proxies hold.
#[derive(Args, Debug)]
#[command(after_help = "Example: lateen status -o json")]
pub struct Status {
    /// `table`, `wide`, `json` or `yaml`.
    #[arg(short, long, value_enum, default_value = "table")]
    output: output::Format,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    #[serde(flatten)]
    world: WorldStatus,
    generation: u64,
    proxies: Vec<ProxyStatus>,
}

/// Runs `lateen status`.
pub fn run(arguments: &Status, client: &Client) -> Outcome {
    let world: WorldStatus = client.get("/world")?;
    let mesh: MeshStatus = client.get("/v1/status")?;
    let view = View { world, generation: mesh.generation, proxies: mesh.proxies };
    match arguments.output {
        output::Format::Json => output::json(&view)?,
        output::Format::Yaml => output::yaml(&view)?,
        _ => table(&view, arguments.output == output::Format::Wide),
    }
    Ok(())
}

fn table(view: &View, is_wide: bool) {
    anstream::println!("home        {}", view.world.home.display());
    anstream::println!("gateway     http://{}", view.world.gateway);
    for (port, address) in &view.world.doors {
        anstream::println!("            gateway port {port}: {address}");
    }
    anstream::println!("generation  {}\n", view.generation);
    let mut header = vec!["NAMESPACE", "POD", "READY", "STATE", "RESTARTS", "ADDRESS", "PROXY"];
    if is_wide {
        header.push("PROCESSES");
    }
    let mut table = output::table(&header);
    for pod in &view.world.pods {
        let mut row = vec![
            pod.namespace.clone(),
            pod.name.clone(),
            ready(pod),
            state(pod),
            pod.containers.iter().map(|container| container.restarts).sum::<u32>().to_string(),
            pod.address.to_string(),
            proxy(view, pod),
        ];
        if is_wide {
            row.push(processes(pod));
        }
        table.add_row(row);
    }
    output::print(&table);
}

/// `2/2`, as kubectl counts.
fn ready(pod: &PodSummary) -> String {
    let counted =
        || pod.containers.iter().filter(|container| !container.is_init || container.state == "Running");
    format!("{}/{}", counted().filter(|container| container.is_ready).count(), counted().count())
}

fn state(pod: &PodSummary) -> String {
    let waiting = pod.containers.iter().find(|container| !container.message.is_empty());
    match waiting {
        Some(container) if !pod.is_ready => format!("{}: {}", container.state, container.message),
        _ => pod.phase.clone(),
    }
}

/// Whether the pod's proxy holds what it should.
fn proxy(view: &View, pod: &PodSummary) -> String {
    // An agent beside Envoy has a stream of its own, for names alone.
    let connected = view.proxies.iter().find(|proxy| {
        proxy.name == pod.name && proxy.namespace == pod.namespace && proxy.user_agent != "lateen-agent"
    });
    match connected {
        None if pod.containers.iter().any(|container| container.name == "istio-proxy") => {
            "not connected".to_owned()
        }
        None => "none".to_owned(),
        Some(proxy) => match proxy.rejections().next() {
            Some(rejected) => format!("refuses {}", rejected.name),
            None if proxy.holds(view.generation) => format!("synced ({})", proxy.user_agent),
            None => format!("at generation {}", proxy.held_generation),
        },
    }
}

fn processes(pod: &PodSummary) -> String {
    let named = |container: &local::ContainerSummary| Some(format!("{} {}", container.name, container.pid?));
    pod.containers.iter().filter_map(named).collect::<Vec<_>>().join(", ")
}
