//! Step by step or at once, the result is the same; and a step rebuilds only
//! what reads what it changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use resources::Object;
use serde_json::{Value, json};
use translation::node::Node;
use translation::snapshot::{Change, Snapshot};
use translation::{Generator, generate};
use xds::resource::ResourceSet;

/// Objects that come and go, each in several forms.
const SLOTS: &[&[&str]] = &[
    &[
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: 10.96.0.1, selector: {app: a},
          ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 9000}]}}",
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {clusterIP: None, selector: {app: a},
          ports: [{name: http, port: 80, targetPort: web}, {name: tcp, port: 9000}, {name: x, port: 7000}]}}",
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {type: ExternalName,
          externalName: other.test, ports: [{name: http, port: 80}]}}",
    ],
    &[
        "{apiVersion: v1, kind: Service, metadata: {name: b, namespace: other}, spec: {clusterIP: 10.96.0.2,
          selector: {app: b}, ports: [{name: http, port: 80}, {name: any, port: 7000}, {name: tls, port: 443}]}}",
        "{apiVersion: v1, kind: Service, metadata: {name: b, namespace: other,
          annotations: {networking.istio.io/exportTo: .}}, spec: {clusterIP: 10.96.0.2, selector: {app: b},
          ports: [{name: http2, port: 80}]}}",
    ],
    &[
        "{apiVersion: v1, kind: Pod, metadata: {name: a-0, labels: {app: a, version: v1}}, spec: {containers:
          [{name: a, image: a, ports: [{name: web, containerPort: 8080}]}]}, status: {podIP: 10.44.0.1,
          conditions: [{type: Ready, status: 'True'}]}}",
        "{apiVersion: v1, kind: Pod, metadata: {name: a-0, labels: {app: a, version: v2}}, spec: {containers:
          [{name: a, image: a, ports: [{name: web, containerPort: 8081}]}]}, status: {podIP: 10.44.0.1,
          conditions: [{type: Ready, status: 'False'}]}}",
    ],
    &[
        "{apiVersion: v1, kind: Pod, metadata: {name: b-0, namespace: other, labels: {app: b}}, spec: {containers:
          [{name: b, image: b}]}, status: {podIP: 10.44.0.2, conditions: [{type: Ready, status: 'True'}]}}",
    ],
    &[
        "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: a}, spec: {hosts: [a],
          http: [{match: [{headers: {x: {exact: '1'}}}], route: [{destination: {host: a, subset: v1}}]},
          {route: [{destination: {host: a}, weight: 90}, {destination: {host: b.other.svc.cluster.local},
          weight: 10}]}], tcp: [{match: [{port: 9000}], route: [{destination: {host: b.other.svc.cluster.local,
          port: {number: 7000}}}]}]}}",
        "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: a}, spec: {hosts: [a, new.test],
          gateways: [mesh, front], http: [{match: [{sourceLabels: {app: a}}], delegate: {name: part}},
          {route: [{destination: {host: a}}]}]}}",
    ],
    &[
        "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: part}, spec: {http:
          [{match: [{uri: {prefix: /part}}], route: [{destination: {host: a}}]}]}}",
        "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: part}, spec: {http:
          [{timeout: 3s, route: [{destination: {host: a}}]}]}}",
    ],
    &[
        "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: a}, spec: {host: a,
          trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x}}},
          subsets: [{name: v1, labels: {version: v1}}]}}",
        "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: a}, spec: {host: a,
          trafficPolicy: {connectionPool: {tcp: {maxConnections: 3}}}, subsets: [{name: v1, labels: {version: v1}},
          {name: v2, labels: {version: v2}, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]}}",
    ],
    &[
        "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: a2}, spec: {host: a,
          subsets: [{name: v3, labels: {version: v3}}]}}",
        "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: a2}, spec: {host: '*.test',
          trafficPolicy: {outlierDetection: {consecutive5xxErrors: 2}}}}",
    ],
    &[
        "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: out}, spec: {hosts: [out.test],
          resolution: DNS, location: MESH_EXTERNAL, ports: [{number: 80, name: http, protocol: HTTP},
          {number: 443, name: tls, protocol: TLS}]}}",
        "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: out}, spec: {hosts: [out.test,
          too.test], resolution: STATIC, addresses: [10.9.0.1], endpoints: [{address: 10.8.0.1, locality: r/z}],
          ports: [{number: 7000, name: any, protocol: TLS}]}}",
        "{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: out}, spec: {hosts: [out.test],
          resolution: STATIC, workloadSelector: {labels: {app: a}}, addresses: [10.0.0.0/8],
          ports: [{number: 7000, name: any, protocol: TCP}]}}",
    ],
    &[
        "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s}, spec: {egress: [{hosts:
          ['./*']}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}}",
        "{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s}, spec: {workloadSelector: {labels:
          {app: a}}, ingress: [{port: {number: 8080, name: http, protocol: HTTP},
          defaultEndpoint: 127.0.0.1:8081}], egress: [{port: {number: 80, name: http, protocol: HTTP}, hosts:
          ['other/*']}, {hosts: ['*/*']}]}}",
    ],
    &[
        "{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: front}, spec: {selector: {app: front},
          servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}}",
        "{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: front}, spec: {selector: {app: front},
          servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.test], tls: {httpsRedirect: true}},
          {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']}]}}",
    ],
];

fn object(text: &str) -> Arc<Object> {
    let parsed = resources::parse("pool.yaml", text, "default");
    assert!(!parsed.has_errors(), "{text}: {:?}", parsed.problems);
    Arc::clone(&parsed.objects[0])
}

fn node(id: &str, labels: Value, extensions: Option<&[String]>) -> Node {
    let listed = extensions.map_or_else(|| json!([]), |names| json!([{"name": "x", "type_urls": names}]));
    let json = json!({"id": id, "metadata": {"WORKLOAD_NAME": labels["app"], "LABELS": labels}, "extensions": listed});
    Node::from_xds(&xds::json::decode(&json).expect("a node")).expect("a node")
}

fn nodes() -> Vec<Node> {
    vec![
        node("sidecar~10.44.0.1~a-0.default~default.svc.cluster.local", json!({"app": "a"}), None),
        node("sidecar~10.44.0.2~b-0.other~other.svc.cluster.local", json!({"app": "b"}), None),
        node("router~10.44.0.3~front-0.default~default.svc.cluster.local", json!({"app": "front"}), None),
    ]
}

/// A slot and the form that its object takes; `None` takes it away.
fn steps() -> impl Strategy<Value = Vec<(usize, Option<usize>)>> {
    let step = (0..SLOTS.len()).prop_flat_map(|slot| {
        proptest::option::weighted(0.75, 0..SLOTS[slot].len()).prop_map(move |form| (slot, form))
    });
    proptest::collection::vec(step, 1..24)
}

fn whole(forms: &[Option<usize>]) -> Snapshot {
    let objects = forms.iter().enumerate().filter_map(|(slot, form)| Some(object(SLOTS[slot][(*form)?])));
    let changes: Vec<Change> = objects.map(Change::Upsert).collect();
    Snapshot::empty().apply(&changes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn incremental_equals_from_scratch(steps in steps()) {
        let mut generator = Generator::default();
        let mut snapshot = Snapshot::empty();
        let mut forms = vec![None; SLOTS.len()];
        for (slot, form) in steps {
            forms[slot] = form;
            let change = match form {
                Some(form) => Change::Upsert(object(SLOTS[slot][form])),
                None => Change::Remove(object(SLOTS[slot][0]).key.clone()),
            };
            snapshot = snapshot.apply(&[change]);
            for node in nodes() {
                let steps = generator.generate(&snapshot, &node);
                let scratch = generate(&whole(&forms), &node);
                for (type_url, named) in scratch.iter() {
                    let found = steps.get(type_url).expect("every type");
                    let names = |named: &xds::resource::Named| named.keys().cloned().collect::<Vec<String>>();
                    prop_assert_eq!(names(found), names(named));
                    for (name, resource) in named.iter() {
                        prop_assert_eq!(
                            xds::json::encode_any(&found[name].body), xds::json::encode_any(&resource.body)
                        );
                    }
                }
                prop_assert_eq!(&steps, &scratch);
            }
            generator.sweep();
        }
    }

    #[test]
    fn nothing_is_sent_that_the_node_does_not_hold(
        steps in steps(),
        held in proptest::collection::vec(any::<bool>(), TYPES.len()),
    ) {
        let names: Vec<String> = TYPES.iter().zip(held).filter(|(_, held)| *held).map(|(name, _)| (*name).to_owned()).collect();
        prop_assume!(!names.is_empty());
        let mut forms = vec![None; SLOTS.len()];
        for (slot, form) in steps {
            forms[slot] = form;
        }
        let snapshot = whole(&forms);
        for (id, labels) in [("sidecar~1.1.1.1~a-0.default~default.svc.cluster.local", json!({"app": "a"})),
            ("router~1.1.1.1~front-0.default~default.svc.cluster.local", json!({"app": "front"}))] {
            let set = generate(&snapshot, &node(id, labels, Some(&names)));
            for name in types_in(&set) {
                prop_assert!(names.contains(&name), "{} is not held", name);
            }
        }
    }
}

/// Everything that is ever sent, and some more.
const TYPES: &[&str] = &[
    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    "envoy.extensions.access_loggers.stats.v3.Config",
    "envoy.extensions.filters.http.cors.v3.Cors",
    "envoy.extensions.filters.http.cors.v3.CorsPolicy",
    "envoy.extensions.filters.http.fault.v3.HTTPFault",
    "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
    "envoy.extensions.filters.http.router.v3.Router",
    "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
    "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "stats.PluginConfig",
];

fn types_in(set: &ResourceSet) -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    for (_, named) in set.iter() {
        for resource in named.values() {
            let json = xds::json::encode_any(&resource.body);
            for (key, value) in json.as_object().into_iter().flatten() {
                if key != "@type" {
                    collect(value, &mut types);
                }
            }
        }
    }
    types
}

fn collect(value: &Value, types: &mut BTreeSet<String>) {
    if let Some(url) = value["@type"].as_str() {
        types.insert(xds::any::message_name(url).to_owned());
    }
    let fields = value.as_object().into_iter().flatten().map(|(_, value)| value);
    fields.chain(value.as_array().into_iter().flatten()).for_each(|value| collect(value, types));
}

/// What a change of the mesh makes a generator build.
struct Bench {
    generator: Generator,
    snapshot: Snapshot,
    nodes: Vec<Node>,
}

impl Bench {
    /// Bookinfo's shape: services `a` and `b`, two proxies of each.
    fn new() -> Self {
        let texts = [SLOTS[0][0], SLOTS[1][0], SLOTS[2][0], SLOTS[3][0], SLOTS[4][0], SLOTS[6][1]];
        let changes: Vec<Change> = texts.iter().map(|text| Change::Upsert(object(text))).collect();
        let mut nodes = nodes();
        nodes.push(node(
            "sidecar~10.44.0.9~a-1.default~default.svc.cluster.local",
            json!({"app": "a"}),
            None,
        ));
        let snapshot = Snapshot::empty().apply(&changes);
        let mut bench = Self { generator: Generator::default(), snapshot, nodes };
        bench.generate();
        bench
    }

    fn generate(&mut self) -> Vec<ResourceSet> {
        self.nodes.iter().map(|node| self.generator.generate(&self.snapshot, node)).collect()
    }

    /// Builds of clusters, endpoints, listeners and routes that the change causes.
    fn builds(&mut self, change: Change) -> [u64; 4] {
        let before = self.generator.builds();
        self.snapshot = self.snapshot.apply(&[change]);
        self.generate();
        let after = self.generator.builds();
        [
            after.clusters - before.clusters,
            after.endpoints - before.endpoints,
            after.listeners - before.listeners,
            after.routes - before.routes,
        ]
    }
}

#[test]
fn change_rebuilds_only_what_reads_it() {
    let mut bench = Bench::new();
    // Not ready any more: two ports of `a`, whole and in two subsets.
    assert_eq!(bench.builds(Change::Upsert(object(SLOTS[2][1]))), [0, 6, 0, 0], "endpoints");
    // Routes of port 80 in two namespaces; the opaque listener of `a` in both.
    let mut bench = Bench::new();
    assert_eq!(bench.builds(Change::Upsert(object(SLOTS[4][1]))), [0, 0, 2, 2], "rules");
    // The clusters of `a` alone, a third fewer: whole and `v1`; the routes read its hash.
    let mut bench = Bench::new();
    let builds = bench.builds(Change::Upsert(object(SLOTS[6][0])));
    assert_eq!(builds, [4 + 4, 0, 0, 2], "policies");
    // The same text again, from another file.
    let mut bench = Bench::new();
    assert_eq!(bench.builds(Change::Upsert(object(SLOTS[4][0]))), [0; 4], "nothing");
}

#[test]
fn replicas_share_everything() {
    let mut bench = Bench::new();
    let sets = bench.generate();
    for (type_url, named) in sets[0].iter() {
        assert!(Arc::ptr_eq(named, sets[3].get(type_url).expect("every type")), "{type_url}");
    }
}

#[test]
fn unchanged_sets_keep_their_allocation() {
    let mut bench = Bench::new();
    let before = bench.generate();
    bench.builds(Change::Upsert(object(SLOTS[4][1])));
    let after = bench.generate();
    for type_url in [xds::type_url::CLUSTER, xds::type_url::ENDPOINT] {
        let (before, after) = (before[0].get(type_url), after[0].get(type_url));
        assert!(before.zip(after).is_some_and(|(before, after)| Arc::ptr_eq(before, after)), "{type_url}");
    }
}
