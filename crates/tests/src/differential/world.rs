//! One small world, seen through two data planes.
//!
//! The driver (client, control plane, servers beyond the proxies) has a
//! network namespace, and each data plane has one of its own, joined by a
//! link.  Both of these have the same addresses, and the client, the servers
//! and everything else have the same addresses as seen from either: which one
//! is meant is said by the link that a socket is bound to.  So whatever
//! differs was made by a proxy.
//!
//! What comes over a link is captured as a pod's traffic is: for the address
//! of the sidecar to its inbound port, for the address of the gateway not at
//! all, and everything else to the sidecar's outbound port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context as _, Result};
use socket2::{Domain, Protocol, Socket, Type};

use crate::namespace::{Namespace, feed, ip};

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Plane {
    /// Stock Envoy.
    Envoy,
    /// Our proxy.
    Lateen,
}

impl Plane {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Envoy, Self::Lateen];

    /// In messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Lateen => "lateen",
        }
    }

    /// Of its mark and its routes.
    fn number(self) -> u32 {
        match self {
            Self::Envoy => 1,
            Self::Lateen => 2,
        }
    }

    /// The driver's end of the link.
    fn link(self) -> &'static str {
        match self {
            Self::Envoy => "to-envoy",
            Self::Lateen => "to-lateen",
        }
    }
}

/// The address of the client.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 55, 0, 1);
/// The address of the sidecar's pod.
pub const SIDECAR: Ipv4Addr = Ipv4Addr::new(10, 44, 1, 1);
/// The address of the gateway's pod.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 44, 1, 2);
/// The addresses that servers beyond the proxies have: of pods, and of what is
/// outside of the mesh.
const BEYOND: [&str; 4] = ["10.44.2.0/24", "10.96.0.0/16", "10.97.0.0/16", "10.99.0.0/16"];

const DRIVER_END: &str = "169.254.1.1";
const PLANE_END: &str = "169.254.1.2";

/// Makes the driver's side: to be called once, in a namespace of its own.
///
/// A refusal comes from no socket, so it goes back by the mark of what it
/// answers.
pub fn make() -> Result<()> {
    // The addresses beyond are the driver's own, and come from a proxy all the same.
    for setting in ["fwmark_reflect", "conf/all/accept_local"] {
        let path = format!("/proc/sys/net/ipv4/{setting}");
        std::fs::write(&path, "1").with_context(|| format!("write `{path}`"))?;
    }
    let mark = |plane: Plane| format!("iifname \"{}\" meta mark set {}\n", plane.link(), plane.number());
    let rules = Plane::ALL.map(mark).concat();
    let chain = "type filter hook prerouting priority mangle; policy accept;";
    feed("nft", &["-f", "-"], &format!("table ip answers {{\nchain by_link {{\n{chain}\n{rules}}}\n}}\n"))?;
    let mut commands = format!("link set lo up\naddr add {CLIENT}/32 dev lo\n");
    for range in BEYOND {
        commands.push_str(&format!("route add local {range} dev lo\n"));
    }
    ip(&commands)
}

/// The namespace of a data plane.
pub struct Pod(Namespace);

impl Pod {
    /// Makes the namespace and its link.
    pub fn make(plane: Plane) -> Result<Self> {
        let namespace = Namespace::make(plane.name())?;
        let (link, number, thread) = (plane.link(), plane.number(), namespace.thread());
        ip(&format!(
            "link add {link} type veth peer name eth0 netns {thread}\n\
             link set {link} up\n\
             addr add {DRIVER_END}/32 dev {link}\n\
             route add default via {PLANE_END} dev {link} onlink metric {number}\n\
             route add default via {PLANE_END} dev {link} onlink table {number}\n\
             rule add fwmark {number} lookup {number}\n"
        ))?;
        namespace.run(|| {
            ip(&format!(
                "link set lo up\n\
                 link set eth0 up\n\
                 addr add {SIDECAR}/32 dev eth0\n\
                 addr add {GATEWAY}/32 dev eth0\n\
                 addr add {PLANE_END}/32 dev eth0\n\
                 route add default via {DRIVER_END} dev eth0 onlink src {SIDECAR}\n"
            ))?;
            feed("nft", &["-f", "-"], &capture())
        })??;
        Ok(Self(namespace))
    }

    /// Runs something in the namespace: sockets that it opens, and processes
    /// and threads that it starts, belong there.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.0.run(job)
    }
}

fn capture() -> String {
    format!(
        "table ip capture {{\n\
         chain prerouting {{\n\
         type nat hook prerouting priority dstnat; policy accept;\n\
         iifname != \"eth0\" accept\n\
         ip daddr {GATEWAY} accept\n\
         ip daddr {SIDECAR} meta l4proto tcp redirect to :15006\n\
         meta l4proto tcp redirect to :15001\n\
         }}\n}}\n"
    )
}

/// Ports of clients, one after the other.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// A client's socket, on the link of a data plane.
///
/// No port comes again for as long as possible: the capture rule gives a
/// connection another port when it remembers one from the same, and logs are
/// found by ports.
pub fn client(plane: Plane) -> io::Result<tokio::net::TcpSocket> {
    let socket = socket(Some(plane))?;
    for _ in 0..u16::MAX {
        let port = 1024 + NEXT_PORT.fetch_add(1, Ordering::Relaxed) % (u16::MAX - 1024);
        match socket.bind(&SocketAddr::from((CLIENT, port)).into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => {
                bound?;
                return Ok(tokio::net::TcpSocket::from_std_stream(socket.into()));
            }
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// A socket that listens to what a data plane sends; without one, to what is
/// in the own namespace.
pub fn listen(plane: Option<Plane>, port: u16) -> io::Result<std::net::TcpListener> {
    let socket = socket(plane)?;
    socket.set_reuse_address(true)?;
    let address = if plane.is_some() { Ipv4Addr::UNSPECIFIED } else { SIDECAR };
    socket.bind(&SocketAddr::from((address, port)).into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn socket(plane: Option<Plane>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    if let Some(plane) = plane {
        socket.bind_device(Some(plane.link().as_bytes()))?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
