//! Where everything is: the driver (load, control plane, light backends) in
//! one network namespace, each pod with a proxy in one of its own, and the
//! driver as the router between them.
//!
//! What comes to a pod with a sidecar is captured as on Kubernetes: its own
//! ports go to the inbound port, addresses of services to the outbound one.
//! So the client's sidecar stands on the way of what the driver sends to
//! services.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};

use crate::namespace::{Namespace, feed, ip};

/// The driver's address.
pub const DRIVER: Ipv4Addr = Ipv4Addr::new(10, 55, 0, 1);
/// The pod whose sidecar carries what is sent to services.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 44, 0, 1);
/// The pod of the gateway.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 44, 0, 2);
/// Addresses of services.
const SERVICES: &str = "10.96.0.0/16";
/// Addresses of backends without a proxy: the driver's own.
const LIGHT: &str = "10.45.0.0/16";

/// Where a pod's agent tells its health.
pub const STATUS_PORT: u16 = 15020;
/// Where the control plane listens.
pub const CONTROL_PLANE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(DRIVER), 15010);

const DRIVER_END: &str = "169.254.1.1";

/// A backend with a sidecar.
pub fn heavy(number: u32) -> Ipv4Addr {
    let [_, _, third, fourth] = number.to_be_bytes();
    Ipv4Addr::new(10, 44, third + 1, fourth)
}

/// A backend without a proxy.
pub fn light(number: u32) -> Ipv4Addr {
    let [_, _, third, fourth] = (number + 1).to_be_bytes();
    Ipv4Addr::new(10, 45, third, fourth)
}

/// Makes the driver's side: to be called once, in a namespace of its own.
pub fn make() -> Result<()> {
    let forwarding = "/proc/sys/net/ipv4/ip_forward";
    std::fs::write(forwarding, "1").with_context(|| format!("write `{forwarding}`"))?;
    ip(&format!("link set lo up\naddr add {DRIVER}/32 dev lo\nroute add local {LIGHT} dev lo\n"))
}

/// What is captured in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// Nothing: a gateway.
    Nothing,
    /// What comes for the pod itself, but for its agent.
    Inbound,
    /// What comes on its way to services.
    Outbound,
}

/// A pod's namespace.
pub fn pod(address: Ipv4Addr, capture: Capture) -> Result<Namespace> {
    let [_, _, third, fourth] = address.octets();
    let link = format!("pod-{third}-{fourth}");
    let namespace = Namespace::make(&link)?;
    let thread = namespace.thread();
    ip(&format!(
        "link add {link} type veth peer name eth0 netns {thread}\n\
         link set {link} up\n\
         addr add {DRIVER_END}/32 dev {link}\n\
         route add {address}/32 dev {link}\n"
    ))?;
    if capture == Capture::Outbound {
        ip(&format!("route add {SERVICES} via {address} dev {link} onlink src {DRIVER}\n"))?;
    }
    namespace.run(move || {
        ip(&format!(
            "link set lo up\n\
             link set eth0 up\n\
             addr add {address}/32 dev eth0\n\
             route add default via {DRIVER_END} dev eth0 onlink src {address}\n"
        ))?;
        match capture {
            Capture::Nothing => Ok(()),
            Capture::Inbound => redirect(&format!("ip daddr {address} tcp dport < 15000 redirect to :15006")),
            Capture::Outbound => {
                redirect(&format!("ip daddr {SERVICES} meta l4proto tcp redirect to :15001"))
            }
        }
    })??;
    Ok(namespace)
}

fn redirect(rule: &str) -> Result<()> {
    let table = format!(
        "table ip capture {{\n\
         chain prerouting {{\n\
         type nat hook prerouting priority dstnat; policy accept;\n\
         iifname != \"eth0\" accept\n\
         {rule}\n\
         }}\n}}\n"
    );
    feed("nft", &["-f", "-"], &table)
}
