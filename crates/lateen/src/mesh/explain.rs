//! `POST /v1/explain`: what a workload's proxy would do with a request, asked
//! of the same functions that the mesh runs on.

use std::net::SocketAddr;
use std::sync::Arc;

use analysis::explain::{self, Explanation, Request, Resolved, ResolvedBy, Side};
use anyhow::{Context as _, Result};
use config_store::Objects;
use resources::{Object, ObjectKey, Problem, Spec};
use translation::node::Node;
use translation::snapshot::{Change, Snapshot};
use xds::origin::Origin;

use super::{Mesh, apply, workload};
use crate::protocol::{ExplainReply, ExplainRequest};

/// The label of a pod that has a sidecar or is a gateway.
const STATUS: &str = "sidecar.istio.io/status";

pub(super) async fn explain(mesh: Arc<Mesh>, question: ExplainRequest) -> Result<ExplainReply> {
    let request = Request::parse(&question.method, &question.url, &question.headers)?;
    let (more, problems) = apply::read(&question.sources, &question.namespace);
    let mut objects = mesh.merged.borrow().state.objects.clone();
    let mut snapshot = mesh.control_plane.snapshot();
    if !problems.iter().any(Problem::is_error) {
        let more: Vec<Arc<Object>> = more.iter().map(|object| with_address(&objects, object)).collect();
        let changes: Vec<Change> = more.iter().map(|object| Change::Upsert(Arc::clone(object))).collect();
        snapshot = snapshot.apply(&changes);
        objects.extend(more.into_iter().map(|object| (object.key.clone(), object)));
    }
    let pod = workload::find(&objects, &question.from, &question.namespace)?;
    let node = proxies_node(&mesh, pod)?;
    let explanation = match &node {
        Some(node) => ask(&snapshot, &objects, pod, node, &request)?,
        None => explain::nowhere(&explain::resolve(&objects, &request, &pod.key.namespace)),
    };
    Ok(ExplainReply {
        pod: pod.key.name.clone(),
        namespace: pod.key.namespace.clone(),
        has_proxy: node.is_some(),
        explanation,
        problems: problems.iter().map(apply::view).collect(),
    })
}

fn ask(
    snapshot: &Snapshot,
    objects: &Objects,
    pod: &Object,
    node: &Node,
    request: &Request,
) -> Result<Explanation> {
    let compiled = explain::compiled(snapshot, node);
    let (side, destination) = match node.facets.kind {
        translation::node::Kind::Sidecar => {
            (Side::Outbound, explain::resolve(objects, request, &node.facets.namespace))
        }
        translation::node::Kind::Router => {
            let port = explain::gateway_port(objects, pod, request.port);
            let address = SocketAddr::new(node.ip.parse().context("the pod's address")?, port);
            (Side::Gateway, Resolved { address, by: ResolvedBy::Itself })
        }
    };
    let locate = |origin: &Origin| {
        let object = objects.get(&ObjectKey::parse(&origin.object)?)?;
        Some((object.source.file.to_string(), object.source.line_of(&origin.path)))
    };
    Ok(explain::explain(&compiled, side, request, &destination, &locate))
}

/// A Service keeps the address that the cluster gave it.
fn with_address(objects: &Objects, object: &Arc<Object>) -> Arc<Object> {
    let held = objects.get(&object.key).and_then(|held| held.as_service());
    let mut changed = Object::clone(object);
    match (held, &mut changed.spec) {
        (Some(held), Spec::Service(service)) if service.spec.cluster_ip.is_empty() => {
            service.spec.cluster_ip.clone_from(&held.spec.cluster_ip);
            Arc::new(changed)
        }
        _ => Arc::clone(object),
    }
}

/// The node that the pod's proxy is, as it told the control plane.
fn proxies_node(mesh: &Mesh, pod: &Object) -> Result<Option<Node>> {
    if !pod.meta.annotations.contains_key(STATUS) {
        return Ok(None);
    }
    let node = mesh.control_plane.node_of(&pod.key.name, &pod.key.namespace);
    node.map(Some).with_context(|| format!("the proxy of pod `{}` is not connected", pod.key.name))
}
