//! VirtualServices by the hosts and gateways they hold for, delegates merged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use resources::virtual_service::{HttpMatchRequest, HttpRoute, MESH_GATEWAY, StringMatch};
use resources::{Kind, Object, ObjectKey};
use xds::origin::Origin;

use crate::host::full_name;
use crate::memo::Shared;
use crate::snapshot::seniority;
use crate::visibility::Visibility;

/// A VirtualService with its names in full.
#[derive(Debug)]
pub(crate) struct VirtualService {
    /// The object that says it.
    pub(crate) object: Arc<Object>,
    /// Hosts by full name.
    pub(crate) hosts: Vec<String>,
    /// Its HTTP rules, those of delegates in the place of the delegation.
    pub(crate) http: Vec<HttpRule>,
    /// Hosts that its rules send to, by full name.
    pub(crate) destinations: BTreeSet<String>,
    /// Whether a rule looks at the labels of the client.
    pub(crate) reads_client: bool,
    /// `mesh`, or `namespace/name`.
    gateways: Vec<String>,
    visibility: Visibility,
    delegates: Vec<Arc<Object>>,
}

/// An HTTP rule and where it stands.
#[derive(Debug)]
pub(crate) struct HttpRule {
    pub(crate) rule: HttpRoute,
    pub(crate) origin: Origin,
    /// Where short names in it belong.
    pub(crate) namespace: String,
}

/// All VirtualServices.
#[derive(Debug, Default)]
pub(crate) struct VirtualServices {
    /// The oldest first; delegates are not among them.
    list: Vec<Shared<VirtualService>>,
    by_host: BTreeMap<String, Vec<Shared<VirtualService>>>,
}

impl VirtualService {
    pub(crate) fn namespace(&self) -> &str {
        &self.object.key.namespace
    }

    pub(crate) fn spec(&self) -> &resources::virtual_service::VirtualService {
        self.object.as_virtual_service().expect("only these objects are indexed here")
    }

    /// Whether sidecars apply it.
    pub(crate) fn is_for_mesh(&self) -> bool {
        self.gateways.iter().any(|gateway| gateway == MESH_GATEWAY)
    }

    /// Whether the gateway `namespace/name` applies it.
    pub(crate) fn is_for_gateway(&self, gateway: &str) -> bool {
        self.gateways.iter().any(|name| name == gateway)
    }

    pub(crate) fn is_visible_in(&self, namespace: &str) -> bool {
        self.visibility.includes(namespace)
    }

    /// `mesh` and `namespace/name`, as a list in a match writes them.
    pub(crate) fn full_gateway(&self, name: &str) -> String {
        full_gateway(name, self.namespace())
    }
}

impl VirtualServices {
    /// Whether a rule looks at the labels of the client.
    pub(crate) fn reads_client(&self) -> bool {
        self.list.iter().any(|rules| rules.reads_client)
    }

    /// Those that hold for gateways, the oldest first.
    pub(crate) fn for_gateway<'a>(
        &'a self,
        gateway: &str,
    ) -> impl Iterator<Item = &'a Shared<VirtualService>> {
        self.list.iter().filter(move |service| service.is_for_gateway(gateway))
    }

    /// Those that sidecars in `namespace` apply, the oldest first.
    pub(crate) fn for_mesh<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = &'a Shared<VirtualService>> {
        self.list.iter().filter(move |it| it.is_for_mesh() && it.is_visible_in(namespace))
    }

    /// The one that a sidecar in `namespace` applies to a host: of the most
    /// specific pattern, the oldest.
    pub(crate) fn for_host(&self, host: &str, namespace: &str) -> Option<&Shared<VirtualService>> {
        patterns(host)
            .filter_map(|pattern| self.by_host.get(&pattern))
            .find_map(|list| list.iter().find(|it| it.is_for_mesh() && it.is_visible_in(namespace)))
    }

    /// The index over `objects`; entries that read the same keep their identity.
    pub(crate) fn next<'a>(&self, objects: impl Iterator<Item = &'a Arc<Object>>) -> Self {
        let mut objects: Vec<&Arc<Object>> = objects.collect();
        objects.sort_by(|left, right| seniority(left).cmp(&seniority(right)));
        let by_key: BTreeMap<&ObjectKey, &Arc<Object>> =
            objects.iter().map(|object| (&object.key, *object)).collect();
        let known: BTreeMap<&ObjectKey, &Shared<VirtualService>> =
            self.list.iter().map(|service| (&service.object.key, service)).collect();
        let mut next = Self::default();
        for object in &objects {
            let Some(spec) = object.as_virtual_service() else { continue };
            if spec.hosts.is_empty() {
                continue;
            }
            let delegates = delegates(object, &by_key);
            let same = known.get(&object.key).filter(|known| {
                Arc::ptr_eq(&known.object, object)
                    && known.delegates.len() == delegates.len()
                    && known.delegates.iter().zip(&delegates).all(|(left, right)| Arc::ptr_eq(left, right))
            });
            let service =
                same.map_or_else(|| Shared::new(entry(object, delegates)), |known| Shared::clone(known));
            for host in &service.hosts {
                next.by_host.entry(host.clone()).or_default().push(service.clone());
            }
            next.list.push(service);
        }
        next
    }
}

/// A name, and the wildcards that cover it, from narrow to wide.
fn patterns(host: &str) -> impl Iterator<Item = String> {
    let rest = host.strip_prefix('*').unwrap_or(host).to_owned();
    let suffixes: Vec<String> = rest.match_indices('.').map(|(at, _)| format!("*{}", &rest[at..])).collect();
    std::iter::once(host.to_owned()).chain(suffixes).chain(std::iter::once("*".to_owned()))
}

fn full_gateway(name: &str, namespace: &str) -> String {
    if name == MESH_GATEWAY || name.contains('/') { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// The delegates that an object's rules name, in order, as far as they exist
/// and may be used.
fn delegates(object: &Object, by_key: &BTreeMap<&ObjectKey, &Arc<Object>>) -> Vec<Arc<Object>> {
    let rules = object.as_virtual_service().into_iter().flat_map(|spec| &spec.http);
    rules
        .filter_map(|rule| rule.delegate.as_ref())
        .filter_map(|delegate| {
            let namespace =
                if delegate.namespace.is_empty() { &object.key.namespace } else { &delegate.namespace };
            let key = ObjectKey::new(Kind::VirtualService, namespace, &delegate.name);
            let found = by_key.get(&key)?;
            let spec = found.as_virtual_service()?;
            let visible = Visibility::parse(&spec.export_to, namespace).includes(&object.key.namespace);
            (visible && spec.hosts.is_empty()).then(|| Arc::clone(found))
        })
        .collect()
}

fn entry(object: &Arc<Object>, delegates: Vec<Arc<Object>>) -> VirtualService {
    let spec = object.as_virtual_service().expect("the caller looked");
    let namespace = &object.key.namespace;
    let gateways = if spec.gateways.is_empty() {
        vec![MESH_GATEWAY.to_owned()]
    } else {
        spec.gateways.iter().map(|name| full_gateway(name, namespace)).collect()
    };
    let http: Vec<HttpRule> =
        spec.http.iter().enumerate().flat_map(|(at, rule)| rules(object, at, rule, &delegates)).collect();
    VirtualService {
        destinations: destinations(spec, &http, namespace),
        reads_client: reads_client(spec, &http),
        hosts: spec.hosts.iter().map(|host| full_name(host, namespace).to_ascii_lowercase()).collect(),
        http,
        gateways,
        visibility: Visibility::parse(&spec.export_to, namespace),
        object: Arc::clone(object),
        delegates,
    }
}

fn destinations(
    spec: &resources::virtual_service::VirtualService,
    http: &[HttpRule],
    namespace: &str,
) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for HttpRule { rule, namespace, .. } in http {
        let mirrors = rule.mirrors.iter().map(|mirror| &mirror.destination).chain(&rule.mirror);
        let all = rule.route.iter().map(|weighted| &weighted.destination).chain(mirrors);
        hosts.extend(all.map(|destination| full_name(&destination.host, namespace)));
    }
    let tls = spec.tls.iter().flat_map(|rule| &rule.route);
    let opaque = tls.chain(spec.tcp.iter().flat_map(|rule| &rule.route));
    hosts.extend(opaque.map(|weighted| full_name(&weighted.destination.host, namespace)));
    hosts
}

fn reads_client(spec: &resources::virtual_service::VirtualService, http: &[HttpRule]) -> bool {
    http.iter().flat_map(|it| &it.rule.matches).any(|it| !it.source_labels.is_empty())
        || spec.tcp.iter().flat_map(|it| &it.matches).any(|it| !it.source_labels.is_empty())
        || spec.tls.iter().flat_map(|it| &it.matches).any(|it| !it.source_labels.is_empty())
}

/// A rule as it stands, or the rules of its delegate.
fn rules(object: &Object, at: usize, rule: &HttpRoute, delegates: &[Arc<Object>]) -> Vec<HttpRule> {
    let one = |rule: HttpRoute, object: &Object, at: usize| HttpRule {
        rule,
        origin: Origin { object: object.key.to_string(), path: format!("http[{at}]") },
        namespace: object.key.namespace.clone(),
    };
    let Some(delegate) = &rule.delegate else { return vec![one(rule.clone(), object, at)] };
    let namespace = if delegate.namespace.is_empty() { &object.key.namespace } else { &delegate.namespace };
    let child = delegates.iter().find(|it| it.key.name == delegate.name && it.key.namespace == *namespace);
    let Some(child) = child else { return Vec::new() };
    let spec = child.as_virtual_service().expect("only these objects are delegates");
    spec.http.iter().enumerate().filter_map(|(at, below)| Some(one(merge(rule, below)?, child, at))).collect()
}

/// The child's rule under the root's conditions; what the child leaves open,
/// the root says. `None` when nothing can match both.
fn merge(root: &HttpRoute, child: &HttpRoute) -> Option<HttpRoute> {
    let mut merged = child.clone();
    merged.delegate = None;
    merged.matches = match (root.matches.is_empty(), child.matches.is_empty()) {
        (true, _) => child.matches.clone(),
        (false, true) => root.matches.clone(),
        (false, false) => {
            let both =
                root.matches.iter().flat_map(|left| child.matches.iter().map(move |right| (left, right)));
            let both: Vec<HttpMatchRequest> =
                both.filter_map(|(left, right)| intersect(left, right)).collect();
            if both.is_empty() {
                return None;
            }
            both
        }
    };
    if merged.name.is_empty() {
        merged.name.clone_from(&root.name);
    }
    merged.rewrite = merged.rewrite.or_else(|| root.rewrite.clone());
    merged.timeout = merged.timeout.or(root.timeout);
    merged.retries = merged.retries.or_else(|| root.retries.clone());
    merged.fault = merged.fault.or_else(|| root.fault.clone());
    merged.mirror = merged.mirror.or_else(|| root.mirror.clone());
    merged.mirror_percentage = merged.mirror_percentage.or(root.mirror_percentage);
    merged.cors_policy = merged.cors_policy.or_else(|| root.cors_policy.clone());
    merged.headers = merged.headers.or_else(|| root.headers.clone());
    if merged.mirrors.is_empty() {
        merged.mirrors.clone_from(&root.mirrors);
    }
    Some(merged)
}

fn intersect(root: &HttpMatchRequest, child: &HttpMatchRequest) -> Option<HttpMatchRequest> {
    let mut both = child.clone();
    both.uri = narrower(root.uri.as_ref(), child.uri.as_ref())?;
    both.scheme = narrower(root.scheme.as_ref(), child.scheme.as_ref())?;
    both.method = narrower(root.method.as_ref(), child.method.as_ref())?;
    both.authority = narrower(root.authority.as_ref(), child.authority.as_ref())?;
    both.ignore_uri_case = root.ignore_uri_case || child.ignore_uri_case;
    both.port = agree(root.port, child.port)?;
    for (key, condition) in &root.headers {
        both.headers.entry(key.clone()).or_insert_with(|| condition.clone());
    }
    for (key, condition) in &root.without_headers {
        both.without_headers.entry(key.clone()).or_insert_with(|| condition.clone());
    }
    for (key, condition) in &root.query_params {
        both.query_params.entry(key.clone()).or_insert_with(|| condition.clone());
    }
    for (key, value) in &root.source_labels {
        both.source_labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    if !root.gateways.is_empty() {
        both.gateways.clone_from(&root.gateways);
    }
    if !root.name.is_empty() {
        both.name =
            if child.name.is_empty() { root.name.clone() } else { format!("{}-{}", root.name, child.name) };
    }
    Some(both)
}

fn agree<T: PartialEq>(root: Option<T>, child: Option<T>) -> Option<Option<T>> {
    match (root, child) {
        (Some(root), Some(child)) => (root == child).then_some(Some(child)),
        (root, child) => Some(root.or(child)),
    }
}

/// The condition that implies the other; `None` when neither does.
fn narrower(root: Option<&StringMatch>, child: Option<&StringMatch>) -> Option<Option<StringMatch>> {
    let (root, child) = match (root, child) {
        (Some(root), Some(child)) => (root, child),
        (root, child) => return Some(root.or(child).cloned()),
    };
    let implies = match (root, child) {
        (StringMatch::Any, _) => true,
        (StringMatch::Prefix(root), StringMatch::Prefix(child) | StringMatch::Exact(child)) => {
            child.starts_with(root.as_str())
        }
        (root, child) => root == child,
    };
    implies.then(|| Some(child.clone()))
}
