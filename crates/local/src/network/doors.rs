//! Doors from the host to the mesh's gateways.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use resources::{Kind, Object};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::relay;
use crate::kubelet::Objects;
use crate::services::{Member, target_port};
use crate::supervisor::host_client::HostClient;

/// The port at which the ingress gateway serves HTTP.
pub(crate) const GATEWAY_PORT: u16 = 8080;

/// Labels of the ingress gateway's pods.
const INGRESS_LABEL: (&str, &str) = ("istio", "ingressgateway");

/// How long a gateway may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where connections go that come in by a door.
type Endpoints = Vec<(Ipv4Addr, u16)>;

/// Every door and where it leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Targets {
    /// The door that is always there.
    pub(crate) main: Endpoints,
    /// Doors for further ports of Gateways.
    pub(crate) others: BTreeMap<u16, Endpoints>,
}

/// The doors that Gateways ask for, and the pods behind them.
pub(crate) fn targets(objects: &Objects, members: &[Member]) -> Targets {
    let services: Vec<&Arc<Object>> =
        objects.values().filter(|object| object.key.kind == Kind::Service).collect();
    let has =
        |member: &Member, (key, value): (&str, &str)| member.labels.get(key).is_some_and(|own| own == value);
    let ready = || members.iter().filter(|member| member.is_ready);
    let main: Endpoints = ready()
        .filter(|member| has(member, INGRESS_LABEL))
        .map(|member| (member.address, GATEWAY_PORT))
        .collect();
    let mut others: BTreeMap<u16, Endpoints> = BTreeMap::new();
    for gateway in objects.values().filter_map(|object| object.as_gateway()) {
        let selected: Vec<&Member> = members
            .iter()
            .filter(|member| gateway.selector.iter().all(|(key, value)| has(member, (key, value))))
            .collect();
        let is_ingress = gateway.selector.get(INGRESS_LABEL.0).is_some_and(|value| value == INGRESS_LABEL.1);
        for number in gateway.servers.iter().filter_map(|server| server.port.as_ref()).map(|port| port.number)
        {
            let is_main = match selected.as_slice() {
                [] => [80, GATEWAY_PORT].contains(&number),
                pods => pods.iter().all(|pod| listening_port(number, pod, &services) == GATEWAY_PORT),
            };
            if is_ingress && is_main {
                continue;
            }
            let door = others.entry(number).or_default();
            for member in selected.iter().filter(|member| member.is_ready) {
                let endpoint = (member.address, listening_port(number, member, &services));
                if !door.contains(&endpoint) {
                    door.push(endpoint);
                }
            }
        }
    }
    Targets { main, others }
}

/// Where a gateway listens for a server's port: where its Service sends that port, else at the port itself.
fn listening_port(number: u16, member: &Member, services: &[&Arc<Object>]) -> u16 {
    services
        .iter()
        .filter(|object| object.key.namespace == member.namespace)
        .filter_map(|object| object.as_service())
        .filter(|service| service.selects(&member.labels))
        .flat_map(|service| &service.spec.ports)
        .find(|port| port.port == number)
        .and_then(|port| target_port(port, member))
        .unwrap_or(number)
}

/// Opens and closes doors as Gateways come and go; `opened` always shows which there are.
pub(crate) async fn serve(
    main: TcpListener,
    main_address: SocketAddr,
    host: Arc<HostClient>,
    mut targets: watch::Receiver<Arc<Targets>>,
    opened: watch::Sender<Vec<(u16, SocketAddr)>>,
) {
    let main_targets = targets.clone();
    tokio::spawn(accept(main, move || main_targets.borrow().main.clone()));
    let mut doors: BTreeMap<u16, (SocketAddr, JoinHandle<()>)> = BTreeMap::new();
    loop {
        let wanted: Vec<u16> = targets.borrow_and_update().others.keys().copied().collect();
        doors.retain(|port, (_, task)| {
            let keep = wanted.contains(port);
            if !keep {
                task.abort();
            }
            keep
        });
        for port in wanted {
            if doors.contains_key(&port) {
                continue;
            }
            match open(&host, SocketAddr::new(main_address.ip(), port)).await {
                Ok((address, listener)) => {
                    let targets = targets.clone();
                    let endpoints = move || targets.borrow().others.get(&port).cloned().unwrap_or_default();
                    doors.insert(port, (address, tokio::spawn(accept(listener, endpoints))));
                }
                Err(reason) => tracing::warn!("no door for port {port} of a Gateway: {reason}"),
            }
        }
        let now: Vec<_> = doors.iter().map(|(port, (address, _))| (*port, *address)).collect();
        opened.send_if_modified(|before| {
            let changed = *before != now;
            before.clone_from(&now);
            changed
        });
        if targets.changed().await.is_err() {
            return;
        }
    }
}

async fn open(host: &HostClient, wanted: SocketAddr) -> Result<(SocketAddr, TcpListener), String> {
    let (address, descriptor) = host.listen(wanted).await?;
    listener(descriptor).map(|listener| (address, listener)).map_err(|error| error.to_string())
}

/// A listening socket from the host, in the mode that tokio expects.
pub(crate) fn listener(descriptor: OwnedFd) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(descriptor);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn accept(listener: TcpListener, endpoints: impl Fn() -> Endpoints) {
    let turn = AtomicUsize::new(0);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let endpoints = endpoints();
                let chosen = turn.fetch_add(1, Ordering::Relaxed).checked_rem(endpoints.len());
                tokio::spawn(carry(stream, chosen.map(|chosen| endpoints[chosen])));
            }
            Err(error) => {
                tracing::warn!("door: accept: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn carry(stream: TcpStream, endpoint: Option<(Ipv4Addr, u16)>) {
    let Some(endpoint) = endpoint else { return relay::reset(stream) };
    match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(endpoint)).await {
        Ok(Ok(gateway)) => relay::join(stream, gateway).await,
        Ok(Err(_)) | Err(_) => relay::reset(stream),
    }
}

#[cfg(test)]
mod tests;
