//! The servers behind the proxy, one for each kind of load.

mod grpc;
mod http1;
mod tcp;

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, anyhow};

pub(super) use grpc::message as grpc_message;

/// Port of HTTP/1.1.
pub(super) const HTTP1_PORT: u16 = 9080;

/// Port of gRPC.
pub(super) const GRPC_PORT: u16 = 9081;

/// Port of opaque bytes.
pub(super) const TCP_PORT: u16 = 9082;

/// Serves all kinds until the process is ended.
pub(crate) fn run() -> Result<()> {
    let address = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let grpc = std::thread::spawn(move || grpc::run(address(GRPC_PORT)));
    let tcp = std::thread::spawn(move || tcp::run(address(TCP_PORT)));
    http1::run(address(HTTP1_PORT))?;
    for server in [grpc, tcp] {
        server.join().map_err(|_| anyhow!("a server panicked"))??;
    }
    Ok(())
}
