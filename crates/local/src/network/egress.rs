//! Connections that leave the mesh: taken here, dialled by the launcher.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::{EGRESS_PORT, LINK_RANGE, LOOPBACK_RANGE, POD_RANGE, SERVICE_RANGE, relay};
use crate::failure::{Failure, Step};
use crate::supervisor::host_client::HostClient;

/// Takes redirected connections for ever.
pub(crate) async fn serve(host: Arc<HostClient>) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, EGRESS_PORT))
        .await
        .step(format!("listen on port {EGRESS_PORT} for connections to the outside"))?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(carry(stream, Arc::clone(&host)));
                }
                // Too many open files, or a client that left at once: others may still be served.
                Err(error) => {
                    tracing::warn!("egress: accept: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    });
    Ok(())
}

async fn carry(stream: TcpStream, host: Arc<HostClient>) {
    let destination = SockRef::from(&stream).original_dst_v4().ok().and_then(|address| address.as_socket());
    let Some(destination) = destination.filter(is_outside) else {
        // Not redirected: somebody called the relay itself.
        return relay::reset(stream);
    };
    match host.dial(destination).await {
        Ok(outside) => relay::join(stream, outside).await,
        Err(reason) => {
            tracing::info!("egress: {reason}");
            relay::reset(stream);
        }
    }
}

fn is_outside(destination: &SocketAddr) -> bool {
    match destination.ip() {
        IpAddr::V4(address) => ![POD_RANGE, SERVICE_RANGE, LINK_RANGE, LOOPBACK_RANGE]
            .iter()
            .any(|range| range.contains(&address)),
        IpAddr::V6(_) => false,
    }
}
