//! `lateen proxy sidecar|router`: the data plane with its agent.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use proxy::agent::{self, Arguments, Role, Settings};

use crate::failure::Outcome;

/// Runs a sidecar or a gateway, told by the environment of an injected
/// container.
#[derive(Args, Debug)]
#[command(after_help = "Example: POD_NAME=client-0 INSTANCE_IP=10.0.0.7 lateen proxy sidecar")]
pub struct Proxy {
    /// What it is for.
    role: RoleName,
    /// DNS domain of the pod's namespace [default: NAMESPACE.svc.cluster.local].
    #[arg(long)]
    domain: Option<String>,
    /// Worker threads; 0 means one per core.
    #[arg(long)]
    concurrency: Option<u32>,
    /// Run this stock Envoy in the proxy's place.
    #[arg(long, value_name = "PATH", env = "LATEEN_ENVOY_PATH")]
    envoy_path: Option<PathBuf>,
    /// Accepted for injection templates: `warning`, `info`, …
    #[arg(long = "proxyLogLevel", hide = true)]
    proxy_log_level: Option<String>,
    /// Accepted for injection templates: `misc:error`.
    #[arg(long = "proxyComponentLogLevel", hide = true)]
    proxy_component_log_level: Option<String>,
    /// Accepted for injection templates: `default:info`.
    #[arg(long = "log_output_level", hide = true)]
    log_output_level: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    /// Beside an application.
    Sidecar,
    /// A gateway.
    Router,
}

/// Runs `lateen proxy`.
pub fn run(arguments: &Proxy) -> Outcome {
    let role = match arguments.role {
        RoleName::Sidecar => Role::Sidecar,
        RoleName::Router => Role::Router,
    };
    let settings = Settings::from_env(Arguments {
        role,
        domain: arguments.domain.clone(),
        envoy_path: arguments.envoy_path.clone(),
        concurrency: arguments.concurrency,
    })?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(agent::run(settings))?;
    Ok(())
}
