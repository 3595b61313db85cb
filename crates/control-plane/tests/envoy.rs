//! A real Envoy under the control plane: it accepts everything, holds what it
//! should, and routes by it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config_store::State;
use control_plane::{ControlPlane, Options};
use resources::Object;
use serde_json::{Value, json};
use testkit::envoy::{Envoy, Form, Network};
use tokio::sync::watch;

/// Long enough for a slow machine; nothing waits for it when all is well.
const LIMIT: Duration = Duration::from_secs(30);

/// A control plane and the objects it serves.
struct Plane {
    store: watch::Sender<Arc<State>>,
    plane: ControlPlane,
}

impl Plane {
    async fn start(objects: Vec<Arc<Object>>) -> Self {
        let (store, receiver) = watch::channel(Arc::new(state(1, objects)));
        let address = "127.0.0.1:0".parse().expect("an address");
        let options = Options { xds: Some(address), monitoring: None };
        let plane = ControlPlane::start(receiver, &options).await.expect("it listens");
        Self { store, plane }
    }

    fn envoy(&self, node: &Value, form: Form, network: Network) -> Envoy {
        let address = self.plane.xds_address().expect("it listens");
        Envoy::start(node, address, form, network).expect("Envoy starts")
    }

    /// Replaces all objects and waits until every proxy holds them.
    async fn apply(&self, objects: Vec<Arc<Object>>) {
        let revision = self.store.borrow().revision + 1;
        self.store.send_replace(Arc::new(state(revision, objects)));
        let delivery = self.plane.wait_for(revision, LIMIT).await;
        assert_eq!(delivery.missing, [], "{delivery:?}");
    }

    /// Waits until `count` proxies are connected and hold the newest state.
    async fn settled(&self, count: usize, envoy: &Envoy) {
        let deadline = tokio::time::Instant::now() + LIMIT;
        loop {
            let status = self.plane.status();
            let holds = status.proxies.iter().filter(|proxy| proxy.holds(status.generation)).count();
            if holds >= count {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{status:#?}\n{}", envoy.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn assert_nothing_refused(&self) {
        for proxy in self.plane.status().proxies {
            let refused: Vec<_> = proxy.rejections().collect();
            assert!(refused.is_empty(), "{}: {refused:#?}", proxy.name);
        }
    }
}

fn state(revision: u64, objects: Vec<Arc<Object>>) -> State {
    let objects = objects.into_iter().map(|object| (object.key.clone(), object)).collect();
    State { revision, objects, problems: Vec::new() }
}

fn sample(names: &[&str]) -> String {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/bookinfo");
    let read = |name: &&str| std::fs::read_to_string(samples.join(name)).expect("a sample");
    names.iter().map(read).collect::<Vec<String>>().join("\n---\n")
}

fn sidecar(pod: &str, app: &str) -> Value {
    json!({
        "id": format!("sidecar~10.44.0.1~{pod}.default~default.svc.cluster.local"),
        "cluster": format!("{app}.default"),
        "metadata": {
            "NAMESPACE": "default",
            "LABELS": {"app": app, "version": "v1"},
            "WORKLOAD_NAME": format!("{app}-v1"),
        },
    })
}

#[tokio::test]
async fn sidecar_accepts_bookinfo_in_both_forms() {
    for form in [Form::Delta, Form::StateOfTheWorld] {
        let base = ["platform/kube/bookinfo.yaml", "networking/bookinfo-gateway.yaml"];
        let plane = Plane::start(testkit::cluster::run(&sample(&base))).await;
        let envoy = plane.envoy(&sidecar("productpage-v1-0", "productpage"), form, Network::Own);
        plane.settled(1, &envoy).await;
        plane.assert_nothing_refused();
        for change in [
            "destination-rule-all",
            "virtual-service-all-v1",
            "virtual-service-reviews-test-v2",
            "virtual-service-ratings-test-delay",
            "virtual-service-reviews-90-10",
        ] {
            let change = format!("networking/{change}.yaml");
            let rules = "networking/destination-rule-all.yaml";
            let names: Vec<&str> = base.iter().copied().chain([rules, &change]).collect();
            plane.apply(testkit::cluster::run(&sample(&names))).await;
            plane.assert_nothing_refused();
        }
        let dump = envoy.config_dump().await.expect("a dump");
        let names = |part: &str, list: &str, pointer: &str| -> Vec<String> {
            let items = dump[part][list].as_array().into_iter().flatten();
            items.filter_map(|item| item.pointer(pointer)?.as_str()).map(str::to_owned).collect()
        };
        let clusters = names("ClustersConfigDump", "dynamic_active_clusters", "/cluster/name");
        for cluster in [
            "outbound|9080||reviews.default.svc.cluster.local",
            "outbound|9080|v2|reviews.default.svc.cluster.local",
            "inbound|9080||",
            "PassthroughCluster",
            "BlackHoleCluster",
            "InboundPassthroughCluster",
        ] {
            assert!(clusters.iter().any(|name| name == cluster), "no {cluster} in {clusters:?}");
        }
        let listeners = names("ListenersConfigDump", "dynamic_listeners", "/active_state/listener/name");
        assert_eq!(listeners.len(), 3, "{listeners:?}");
        let routes = names("RoutesConfigDump", "dynamic_route_configs", "/route_config/name");
        assert_eq!(routes, ["9080"]);
        let log = envoy.log();
        assert!(
            !log.contains("rejected") && !log.contains("[error]") && !log.contains("deprecated"),
            "{log}"
        );
    }
}
