//! `cargo xtask tools`: real peers, outside the checkout, so that the next
//! clone finds them.

mod debian;
mod envoy;
mod go;

use anyhow::{Result, bail};

struct Tool {
    name: &'static str,
    install: fn() -> Result<()>,
}

const TOOLS: [Tool; 8] = [
    Tool { name: "nftables", install: || debian::install("nftables", "nft") },
    Tool { name: "curl", install: || debian::install("curl", "curl") },
    Tool { name: "iproute2", install: || debian::install("iproute2", "ip") },
    Tool { name: "openssl", install: || debian::install("openssl", "openssl") },
    Tool { name: "h2load", install: || debian::install("nghttp2-client", "h2load") },
    Tool { name: "envoy", install: envoy::install },
    Tool { name: "h2spec", install: go::h2spec },
    Tool { name: "grpc-interop", install: go::grpc_interop },
];

/// Installs the named tools, or all of them; what is there already is kept.
pub(crate) fn run(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| TOOLS.iter().all(|tool| tool.name != **name)) {
        bail!("no tool `{unknown}`: the tools are {}", TOOLS.map(|tool| tool.name).join(", "));
    }
    for tool in TOOLS.iter().filter(|tool| names.is_empty() || names.iter().any(|name| name == tool.name)) {
        (tool.install)()?;
    }
    Ok(())
}
