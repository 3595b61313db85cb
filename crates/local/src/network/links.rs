//! Links, addresses and routes, by netlink.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rtnetlink::packet_route::link::{InfoData, InfoVeth};
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};

use super::{CONTROL_PLANE_ADDRESS, DNS_ADDRESS, LINK_PREFIX, ROUTER_ADDRESS};
use crate::failure::{Failure, Step};

/// Name of a pod's end of its link.
const POD_END: &str = "eth0";

/// Name of the loopback interface.
const LOOPBACK: &str = "lo";

/// A connection to the kernel's network configuration, for the namespace of the calling thread.
pub(crate) fn connect() -> Result<Handle, Failure> {
    let (connection, handle, _) = rtnetlink::new_connection().step("open a netlink socket")?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Makes the world a router with the addresses of DNS and control plane.
pub(crate) async fn configure_world(handle: &Handle) -> Result<(), Failure> {
    let loopback = bring_up(handle, LOOPBACK).await?;
    for address in [DNS_ADDRESS, CONTROL_PLANE_ADDRESS] {
        add_address(handle, loopback, address).await?;
    }
    let setting = "/proc/sys/net/ipv4/ip_forward";
    std::fs::write(setting, "1").step(format!("write `{setting}`")).map_err(|failure| {
        failure.remedy("/proc/sys is read-only here: in a container, start it with `--privileged`")
    })
}

/// Gives a pod's namespace a link to the world; returns the name of the world's end.
///
/// `number` is the link's own; it can be used again when the pod's namespace is gone.
pub(crate) async fn attach_pod(
    handle: &Handle,
    number: u32,
    address: Ipv4Addr,
    namespace: BorrowedFd<'_>,
) -> Result<(), Failure> {
    let name = format!("{LINK_PREFIX}{number}");
    let peer =
        LinkMessageBuilder::<LinkUnspec>::new().name(POD_END).setns_by_fd(namespace.as_raw_fd()).build();
    let link = LinkVeth::new(&name, POD_END).set_info_data(InfoData::Veth(InfoVeth::Peer(peer))).build();
    handle.link().add(link).execute().await.step(format!("make the link `{name}` of pod {address}"))?;
    let index = bring_up(handle, &name).await?;
    add_address(handle, index, ROUTER_ADDRESS).await?;
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(address, 32)
        .output_interface(index)
        .scope(RouteScope::Link)
        .build();
    handle.route().add(route).execute().await.step(format!("add the route to pod {address}"))
}

/// Takes a pod's link away; its namespace would take it along, but later.
pub(crate) async fn detach_pod(handle: &Handle, number: u32) {
    if let Ok(index) = index_of(&format!("{LINK_PREFIX}{number}")) {
        // The namespace may have ended in between.
        let _ = handle.link().del(index).execute().await;
    }
}

/// Inside a pod: the address, and the way out.
pub(crate) async fn configure_pod(handle: &Handle, address: Ipv4Addr) -> Result<(), Failure> {
    bring_up(handle, LOOPBACK).await?;
    let link = bring_up(handle, POD_END).await?;
    add_address(handle, link, address).await?;
    let router = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(ROUTER_ADDRESS, 32)
        .output_interface(link)
        .scope(RouteScope::Link)
        .build();
    handle.route().add(router).execute().await.step("add the pod's route to the router")?;
    let default = RouteMessageBuilder::<Ipv4Addr>::new().gateway(ROUTER_ADDRESS).build();
    handle.route().add(default).execute().await.step("add the pod's default route")
}

async fn bring_up(handle: &Handle, name: &str) -> Result<u32, Failure> {
    let index = index_of(name)?;
    let link = LinkMessageBuilder::<LinkUnspec>::new().index(index).up().build();
    handle.link().set(link).execute().await.step(format!("bring the link `{name}` up"))?;
    Ok(index)
}

async fn add_address(handle: &Handle, link: u32, address: Ipv4Addr) -> Result<(), Failure> {
    handle.address().add(link, address.into(), 32).execute().await.step(format!("add the address {address}"))
}

fn index_of(name: &str) -> Result<u32, Failure> {
    let step = format!("find the link `{name}`");
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).step(step.clone())?;
    rustix::net::netdevice::name_to_index(&socket, name).step(step)
}
