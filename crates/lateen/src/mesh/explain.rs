//! `POST /v1/explain`: what a workload's proxy would do with a request, asked
//! of the same functions that the mesh runs on.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use analysis::explain::{self, Explanation, Request, Side};
use anyhow::{Context as _, Result, bail};
use config_store::Objects;
use resources::{Kind, Object, ObjectKey, Problem};
use translation::node::Node;
use translation::snapshot::{Change, Snapshot};
use xds::origin::Origin;

use super::{Mesh, apply};
use crate::protocol::{ExplainReply, ExplainRequest};

/// The label of a pod that has a sidecar or is a gateway.
const STATUS: &str = "sidecar.istio.io/status";

pub(super) async fn explain(mesh: Arc<Mesh>, question: ExplainRequest) -> Result<ExplainReply> {
    let request = Request::parse(&question.method, &question.url, &question.headers)?;
    let (more, problems) = apply::read(&question.sources, &question.namespace);
    let mut objects = mesh.merged.borrow().state.objects.clone();
    let mut snapshot = mesh.control_plane.snapshot();
    if !problems.iter().any(Problem::is_error) {
        let changes: Vec<Change> = more.iter().map(|object| Change::Upsert(Arc::clone(object))).collect();
        snapshot = snapshot.apply(&changes);
        objects.extend(more.into_iter().map(|object| (object.key.clone(), object)));
    }
    let pod = find_pod(&objects, &question.from, &question.namespace)?;
    let node = proxies_node(&mesh, pod)?;
    let explanation = match &node {
        Some(node) => ask(&snapshot, &objects, node, &request)?,
        None => explain::nowhere(destination(&objects, &request, &pod.key.namespace)?),
    };
    Ok(ExplainReply {
        pod: pod.key.name.clone(),
        namespace: pod.key.namespace.clone(),
        has_proxy: node.is_some(),
        explanation,
        problems: problems.iter().map(apply::view).collect(),
    })
}

fn ask(snapshot: &Snapshot, objects: &Objects, node: &Node, request: &Request) -> Result<Explanation> {
    let config = explain::compiled(snapshot, node);
    let side = match node.facets.kind {
        translation::node::Kind::Sidecar => Side::Outbound,
        translation::node::Kind::Router => Side::Gateway,
    };
    let destination = match side {
        Side::Outbound => destination(objects, request, &node.facets.namespace)?,
        Side::Gateway => SocketAddr::new(node.ip.parse().context("the pod's address")?, request.port),
    };
    let locate = |origin: &Origin| {
        let object = objects.get(&ObjectKey::parse(&origin.object)?)?;
        Some((object.source.file.to_string(), object.source.line_of(&origin.path)))
    };
    Ok(explain::explain(&config, side, request, destination, &locate))
}

/// The node that the pod's proxy is, as it told the control plane.
fn proxies_node(mesh: &Mesh, pod: &Object) -> Result<Option<Node>> {
    if !pod.meta.annotations.contains_key(STATUS) {
        return Ok(None);
    }
    let node = mesh.control_plane.node_of(&pod.key.name, &pod.key.namespace);
    node.map(Some).with_context(|| format!("the proxy of pod `{}` is not connected", pod.key.name))
}

/// A ready pod by its name, its Deployment's with or without `-vN`, or its
/// Service's.
fn find_pod<'a>(objects: &'a Objects, from: &str, namespace: &str) -> Result<&'a Arc<Object>> {
    let from = from.strip_prefix("deploy/").or_else(|| from.strip_prefix("pod/")).unwrap_or(from);
    let pods: Vec<&Arc<Object>> = objects.values().filter(|object| object.key.kind == Kind::Pod).collect();
    let in_namespace =
        |pod: &&&Arc<Object>| pod.key.namespace == namespace || (from == "istio-ingressgateway");
    if let Some(host) = from.strip_prefix("svc/") {
        let key = ObjectKey::new(Kind::Service, namespace, host);
        let service = objects.get(&key).with_context(|| format!("no Service `{host}` in `{namespace}`"))?;
        let selector = service.raw["spec"]["selector"].as_object().cloned().unwrap_or_default();
        let selects = |pod: &&&Arc<Object>| {
            selector.iter().all(|(key, value)| pod.meta.labels.get(key).map(String::as_str) == value.as_str())
        };
        return pods.iter().filter(in_namespace).find(selects).copied().context("the Service has no pod");
    }
    let named = pods.iter().filter(in_namespace).find(|pod| is_meant(&pod.key.name, from));
    match named {
        Some(pod) => Ok(pod),
        None => {
            let known: Vec<&str> =
                pods.iter().filter(in_namespace).map(|pod| pod.key.name.as_str()).collect();
            bail!("no pod of `{from}` in namespace `{namespace}`: there are {}", known.join(", "))
        }
    }
}

/// `reviews-v1-7d9f-x2`, `reviews-v1` or `reviews`.
fn is_meant(pod: &str, from: &str) -> bool {
    let Some(rest) = pod.strip_prefix(from) else { return false };
    let parts: Vec<&str> = rest.split('-').collect();
    match parts.as_slice() {
        [""] | ["", _, _] => true,
        ["", version, _, _] => version.starts_with('v'),
        _ => false,
    }
}

/// What the pod's DNS would say.
fn destination(objects: &Objects, request: &Request, namespace: &str) -> Result<SocketAddr> {
    let host = request.host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, request.port));
    }
    let service = service_of(objects, host, namespace);
    let address =
        service.and_then(|service| service.raw["spec"]["clusterIP"].as_str()?.parse::<IpAddr>().ok());
    match address {
        Some(address) => Ok(SocketAddr::new(address, request.port)),
        // Outside names resolve to some address that no Service has; which one does not matter to a listener.
        None => Ok(SocketAddr::new(IpAddr::V4(OUTSIDE), request.port)),
    }
}

/// Stands for any address outside of the mesh.
const OUTSIDE: std::net::Ipv4Addr = std::net::Ipv4Addr::new(240, 0, 0, 1);

fn service_of<'a>(objects: &'a Objects, host: &str, namespace: &str) -> Option<&'a Arc<Object>> {
    let mut parts = host.trim_end_matches('.').split('.');
    let name = parts.next()?;
    let namespace = parts.next().unwrap_or(namespace);
    let rest: Vec<&str> = parts.collect();
    if !matches!(rest.as_slice(), [] | ["svc"] | ["svc", "cluster", "local"]) {
        return None;
    }
    objects.get(&ObjectKey::new(Kind::Service, namespace, name))
}
