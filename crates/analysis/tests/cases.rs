//! Objects and a request in, the decision out: each document of `cases/` is
//! a question to one proxy and what the answer should say.
//!
//! `given` names bundled samples, `objects` is YAML beside them; both go into
//! a cluster that has the ingress gateway already; `like` takes both from
//! another case. Only the fields that a case
//! names are compared, and every case is asked twice: of a proxy with stock
//! Envoy's extensions and of one with our own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use analysis::explain::{self, Answer, Explanation, Request, ResolvedBy, Side};
use resources::{Kind, Object, ObjectKey};
use serde::Deserialize;
use serde_json::json;
use translation::node::Node;
use translation::snapshot::{Change, Snapshot};

/// A question and what the answer should say.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    given: Vec<String>,
    #[serde(default)]
    objects: String,
    /// A case whose `given` and `objects` hold here too.
    like: Option<String>,
    /// A Deployment.
    from: String,
    /// `GET http://reviews:9080/`.
    request: String,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(flatten)]
    expected: Expected,
}

/// What is compared, in the order in which a proxy decides.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    listener: Option<String>,
    chain: Option<String>,
    virtual_host: Option<String>,
    rule: Option<String>,
    /// `forward`, `tcp`, `noRoute`, …
    answer: Option<String>,
    respond: Option<String>,
    redirect: Option<String>,
    to: Option<BTreeMap<String, f64>>,
    defined_by: Option<Vec<String>>,
    endpoints: Option<Vec<String>>,
    path: Option<String>,
    host: Option<String>,
    request_headers: Option<Vec<String>>,
    response_headers: Option<Vec<String>>,
    /// In seconds; 0 is none.
    timeout: Option<f64>,
    retries: Option<u32>,
    per_try_timeout: Option<f64>,
    delay: Option<Delay>,
    abort: Option<Abort>,
    mirrors: Option<BTreeMap<String, f64>>,
    help: Option<String>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Delay {
    percent: f64,
    seconds: f64,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Abort {
    percent: f64,
    with: String,
}

/// What Envoy 1.36 has of what is ever sent.
const ENVOY: [&str; 16] = [
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
    "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
];

/// What our own proxy has.
const LATEEN: [&str; 17] = [
    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
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
    "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "io.istio.http.peer_metadata.Config",
    "stats.PluginConfig",
];

const DATA_PLANES: [(&str, &[&str]); 2] = [("Envoy", &ENVOY), ("Lateen", &LATEEN)];

const GATEWAY: &str = "istio-ingressgateway";
const GATEWAY_NAMESPACE: &str = "istio-system";

#[test]
fn every_case_holds() {
    let mut wrong = Vec::new();
    for case in cases() {
        for (name, extensions) in DATA_PLANES {
            if let Err(difference) = check(&case, extensions) {
                wrong.push(format!("{} ({name}): {difference}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_networking_sample_is_in_a_case() {
    let files = std::fs::read_dir(samples().join("bookinfo/networking")).expect("the samples");
    let names = files
        .map(|file| file.expect("a file").path())
        .filter_map(|path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    let given: BTreeSet<String> = cases().into_iter().flat_map(|case| case.given).collect();
    let missing: Vec<String> = names.filter(|name| !given.contains(name)).collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn cases_have_names_of_their_own() {
    let mut seen = BTreeSet::new();
    for case in cases() {
        assert!(seen.insert(case.name.clone()), "two cases are named `{}`", case.name);
    }
}

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).expect("a case file");
        serde_saphyr::from_multiple::<Case>(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let mut cases: Vec<Case> = files.iter().flat_map(read).collect();
    for at in 0..cases.len() {
        let Some(name) = &cases[at].like else { continue };
        let other =
            cases.iter().find(|case| case.name == *name).unwrap_or_else(|| panic!("no case `{name}`"));
        let (given, objects) = (other.given.clone(), other.objects.clone());
        (cases[at].given, cases[at].objects) = (given, objects);
    }
    cases
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples")
}

fn sample(name: &str) -> String {
    let places = ["bookinfo/platform/kube", "bookinfo/networking", "sleep"];
    let found = places
        .iter()
        .find_map(|place| std::fs::read_to_string(samples().join(place).join(format!("{name}.yaml"))).ok());
    found.unwrap_or_else(|| panic!("no sample `{name}`"))
}

/// What every local mesh has.
fn platform() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lateen/src/mesh/platform.yaml");
    std::fs::read_to_string(file).expect("the platform's objects")
}

fn check(case: &Case, extensions: &[&str]) -> Result<(), String> {
    let texts = std::iter::once(platform())
        .chain(case.given.iter().map(|name| sample(name)))
        .chain([case.objects.clone()]);
    let objects = objects(&texts.collect::<Vec<_>>());
    let changes: Vec<Change> = objects.values().cloned().map(Change::Upsert).collect();
    let snapshot = Snapshot::empty().apply(&changes);

    let (method, url) = case.request.split_once(' ').expect("a method and a URL");
    let request = Request::parse(method, url, &case.headers).expect("a request");
    let (kind, namespace) = match case.from.as_str() {
        GATEWAY => ("router", GATEWAY_NAMESPACE),
        _ => ("sidecar", "default"),
    };
    let pod = pod(&objects, &case.from, namespace);
    let node = node(kind, pod, extensions);
    let compiled = explain::compiled(&snapshot, &node);
    if let Some(rejection) = compiled.rejections.first() {
        return Err(format!("rejected: {rejection:?}"));
    }
    let (side, destination) = match kind {
        "router" => {
            let port = explain::gateway_port(&objects, pod, request.port);
            let address = (node.ip.parse::<std::net::Ipv4Addr>().expect("an address"), port).into();
            (Side::Gateway, explain::Resolved { address, by: ResolvedBy::Itself })
        }
        _ => (Side::Outbound, explain::resolve(&objects, &request, namespace)),
    };
    let locate = |_: &xds::origin::Origin| None;
    let explanation = explain::explain(&compiled, side, &request, &destination, &locate);
    compare(&case.expected, &explanation).map_err(|difference| format!("{difference}\n  {explanation:?}"))
}

/// Of an object that stands in two samples the later one counts.
fn objects(texts: &[String]) -> BTreeMap<ObjectKey, Arc<Object>> {
    let mut documents: BTreeMap<ObjectKey, Arc<Object>> = BTreeMap::new();
    for text in texts {
        let parsed = resources::parse("case.yaml", text, "default");
        assert!(!parsed.has_errors(), "{:?}", parsed.problems);
        documents.extend(parsed.objects.into_iter().map(|object| (object.key.clone(), object)));
    }
    let documents: Vec<Arc<Object>> = documents.into_values().collect();
    let running = testkit::cluster::run_objects(&documents);
    running.into_iter().map(|object| (object.key.clone(), object)).collect()
}

/// The first pod of a Deployment, with or without its version.
fn pod<'a>(objects: &'a BTreeMap<ObjectKey, Arc<Object>>, from: &str, namespace: &str) -> &'a Arc<Object> {
    let named = [format!("{from}-0"), format!("{from}-v1-0")];
    let mut pods = named.iter().filter_map(|name| objects.get(&ObjectKey::new(Kind::Pod, namespace, name)));
    pods.next().unwrap_or_else(|| panic!("no pod of `{from}`"))
}

fn node(kind: &str, pod: &Object, extensions: &[&str]) -> Node {
    let address = pod.as_pod().map(|pod| pod.status.pod_ip.as_str()).unwrap_or_default();
    let (name, namespace) = (&pod.key.name, &pod.key.namespace);
    let json = json!({
        "id": format!("{kind}~{address}~{name}.{namespace}~{namespace}.svc.cluster.local"),
        "metadata": {
            "LABELS": pod.meta.labels,
            "WORKLOAD_NAME": pod.meta.owner_references.first().map(|owner| owner.name.clone()),
        },
        "extensions": [{"name": "all", "type_urls": extensions}],
    });
    Node::from_xds(&xds::json::decode(&json).expect("a node")).expect("a node")
}

/// The first of the expected decisions that was made otherwise.
fn compare(expected: &Expected, explanation: &Explanation) -> Result<(), String> {
    let found = Found::of(explanation);
    same("listener", &expected.listener, &explanation.listener.clone().unwrap_or_default())?;
    same("chain", &expected.chain, &explanation.filter_chain.clone().unwrap_or_default())?;
    same("virtualHost", &expected.virtual_host, &explanation.virtual_host.clone().unwrap_or_default())?;
    same("rule", &expected.rule, &explanation.rule.as_ref().map(place).unwrap_or_default())?;
    same("answer", &expected.answer, &found.answer)?;
    same("respond", &expected.respond, &found.respond)?;
    same("redirect", &expected.redirect, &found.redirect)?;
    same("to", &expected.to, &found.to)?;
    same("definedBy", &expected.defined_by, &found.defined_by)?;
    same("endpoints", &expected.endpoints, &found.endpoints)?;
    same("path", &expected.path, &found.path)?;
    same("host", &expected.host, &found.host)?;
    same("requestHeaders", &expected.request_headers, &found.request_headers)?;
    same("responseHeaders", &expected.response_headers, &found.response_headers)?;
    same("timeout", &expected.timeout, &found.timeout)?;
    same("retries", &expected.retries, &found.retries)?;
    same("perTryTimeout", &expected.per_try_timeout, &found.per_try_timeout)?;
    // A fault that a case does not name would change what it says of the rest.
    if found.answer == "forward" {
        compared("delay", &expected.delay, &found.delay)?;
        compared("abort", &expected.abort, &found.abort)?;
        compared("mirrors", &expected.mirrors.clone().unwrap_or_default(), &found.mirrors)?;
    }
    match (&expected.help, explanation.help.as_deref().unwrap_or_default()) {
        (Some(part), help) if !help.contains(part) => Err(format!("help: `{part}` is not in `{help}`")),
        _ => Ok(()),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &Option<T>, found: &T) -> Result<(), String> {
    expected.as_ref().map_or(Ok(()), |expected| compared(what, expected, found))
}

fn compared<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    match expected == found {
        true => Ok(()),
        false => Err(format!("{what}: expected {expected:?}, found {found:?}")),
    }
}

/// An answer in the form of the cases.
#[derive(Default)]
struct Found {
    answer: String,
    respond: String,
    redirect: String,
    to: BTreeMap<String, f64>,
    defined_by: Vec<String>,
    endpoints: Vec<String>,
    path: String,
    host: String,
    request_headers: Vec<String>,
    response_headers: Vec<String>,
    timeout: f64,
    retries: u32,
    per_try_timeout: f64,
    delay: Option<Delay>,
    abort: Option<Abort>,
    mirrors: BTreeMap<String, f64>,
}

impl Found {
    fn of(explanation: &Explanation) -> Self {
        let mut found = Self::default();
        let answer = match &explanation.answer {
            Answer::NotListening => "notListening",
            Answer::Closed => "closed",
            Answer::NoRoute => "noRoute",
            Answer::Redirect { status, location } => {
                found.redirect = format!("{status} {location}");
                "redirect"
            }
            Answer::Respond { status, body } => {
                found.respond = format!("{status} {body}").trim_end().to_owned();
                "respond"
            }
            Answer::Tcp { destinations } => {
                found.destinations(destinations);
                "tcp"
            }
            Answer::Forward { .. } => {
                found.forward(&explanation.answer);
                "forward"
            }
        };
        answer.clone_into(&mut found.answer);
        found
    }

    fn destinations(&mut self, destinations: &[explain::Destination]) {
        for destination in destinations {
            self.to.insert(short(&destination.cluster), destination.percent);
            self.defined_by.extend(destination.defined_by.as_ref().map(place));
            let endpoints = destination.endpoints.iter();
            self.endpoints.extend(
                endpoints
                    .map(|endpoint| endpoint.workload.clone().unwrap_or_else(|| endpoint.address.clone())),
            );
            self.request_headers.extend(destination.request_headers.iter().cloned());
            self.response_headers.extend(destination.response_headers.iter().cloned());
        }
    }

    fn forward(&mut self, answer: &Answer) {
        let Answer::Forward {
            destinations,
            timeout,
            retries,
            faults,
            path,
            host,
            request_headers,
            response_headers,
            mirrors,
        } = answer
        else {
            return;
        };
        self.destinations(destinations);
        self.path = path.clone().unwrap_or_default();
        self.host = host.clone().unwrap_or_default();
        self.request_headers.extend(request_headers.iter().cloned());
        self.response_headers.extend(response_headers.iter().cloned());
        self.timeout = timeout.map_or(0.0, |timeout| timeout.as_secs_f64());
        self.retries = retries.as_ref().map_or(0, |retries| retries.attempts);
        self.per_try_timeout = retries
            .as_ref()
            .and_then(|retries| retries.per_try_timeout)
            .map_or(0.0, |timeout| timeout.as_secs_f64());
        if let Some(faults) = faults {
            self.delay = faults
                .delay
                .map(|delay| Delay { percent: faults.delay_percent, seconds: delay.as_secs_f64() });
            self.abort = faults.abort.clone().map(|with| Abort { percent: faults.abort_percent, with });
        }
        self.mirrors = mirrors.iter().map(|mirror| (short(&mirror.cluster), mirror.percent)).collect();
    }
}

/// Without what all names of clusters have.
fn short(cluster: &str) -> String {
    cluster.trim_start_matches("outbound|").trim_end_matches(".default.svc.cluster.local").to_owned()
}

fn place(place: &explain::Place) -> String {
    format!("{} {}", place.object, place.path).trim_end().to_owned()
}
