//! DestinationRules by namespace and host, those of one host merged.

use std::collections::BTreeMap;
use std::sync::Arc;

use resources::Object;
use resources::destination_rule::{LoadBalancerPolicy, Subset, TrafficPolicy};
use xds::origin::Origin;

use crate::host::{covers, full_name, specificity};
use crate::memo::Shared;
use crate::mesh::ROOT_NAMESPACE;
use crate::snapshot::seniority;
use crate::visibility::Visibility;

/// What the DestinationRules of one host and namespace say together.
#[derive(Debug)]
pub(crate) struct Rule {
    /// The first policy, and where it stands.
    pub(crate) policy: Option<(TrafficPolicy, Origin)>,
    /// All subsets, and where they stand.
    pub(crate) subsets: Vec<(Subset, Origin)>,
    /// The first object.
    pub(crate) object: Arc<Object>,
    visibility: Visibility,
    /// Labels of the clients that it is limited to.
    selector: BTreeMap<String, String>,
    objects: Vec<Arc<Object>>,
}

/// All DestinationRules.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    by_namespace: BTreeMap<String, BTreeMap<String, Vec<Shared<Rule>>>>,
    reads_client: bool,
}

/// A client that looks for a rule.
pub(crate) struct Client<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) labels: &'a BTreeMap<String, String>,
}

impl Rule {
    /// The subset of this name.
    pub(crate) fn subset(&self, name: &str) -> Option<&(Subset, Origin)> {
        self.subsets.iter().find(|(subset, _)| subset.name == name)
    }

    /// Whether any of its policies chooses endpoints by a hash.
    pub(crate) fn hashes(&self) -> bool {
        let subsets = self.subsets.iter().filter_map(|(subset, _)| subset.traffic_policy.as_ref());
        let mut policies = self.policy.iter().map(|(policy, _)| policy).chain(subsets);
        policies.any(|policy| {
            let ports = policy.port_level_settings.iter().filter_map(|port| port.load_balancer.as_ref());
            policy
                .load_balancer
                .iter()
                .chain(ports)
                .any(|settings| matches!(settings.policy, Some(LoadBalancerPolicy::ConsistentHash(_))))
        })
    }

    fn applies_to(&self, client: &Client<'_>, namespace: &str) -> bool {
        let selected = self.selector.iter().all(|(key, value)| client.labels.get(key) == Some(value));
        let own = client.namespace == namespace;
        selected && (own || self.selector.is_empty()) && self.visibility.includes(client.namespace)
    }
}

impl Rules {
    /// Whether a rule looks at the labels of the client.
    pub(crate) fn reads_client(&self) -> bool {
        self.reads_client
    }

    /// The rule for a client and a host whose service is in
    /// `service_namespace`: from the client's namespace, else the service's,
    /// else the root; of the most specific host.
    pub(crate) fn find(
        &self,
        client: &Client<'_>,
        host: &str,
        service_namespace: &str,
    ) -> Option<&Shared<Rule>> {
        [client.namespace, service_namespace, ROOT_NAMESPACE]
            .into_iter()
            .find_map(|namespace| self.find_in(namespace, client, host))
    }

    fn find_in(&self, namespace: &str, client: &Client<'_>, host: &str) -> Option<&Shared<Rule>> {
        let hosts = self.by_namespace.get(namespace)?;
        let exact = hosts.get(host).into_iter();
        let wild = hosts.range("*".to_owned()..).take_while(|(pattern, _)| pattern.starts_with('*'));
        let mut wild: Vec<_> = wild.filter(|(pattern, _)| covers(pattern, host)).collect();
        wild.sort_by_key(|(pattern, _)| specificity(pattern));
        exact
            .chain(wild.into_iter().map(|(_, rules)| rules))
            .find_map(|rules| rules.iter().find(|rule| rule.applies_to(client, namespace)))
    }

    /// The index over `objects`; groups that read the same keep their identity.
    pub(crate) fn next<'a>(&self, objects: impl Iterator<Item = &'a Arc<Object>>) -> Self {
        let mut objects: Vec<&Arc<Object>> = objects.collect();
        objects.sort_by(|left, right| seniority(left).cmp(&seniority(right)));
        let mut groups: BTreeMap<(&str, String), Vec<Vec<&Arc<Object>>>> = BTreeMap::new();
        for object in objects {
            let Some(spec) = object.as_destination_rule() else { continue };
            let host = full_name(&spec.host, &object.key.namespace).to_ascii_lowercase();
            let same_host = groups.entry((&object.key.namespace, host)).or_default();
            match same_host.iter_mut().find(|group| is_merged(group[0], object)) {
                Some(group) => group.push(object),
                None => same_host.push(vec![object]),
            }
        }
        let mut next = Self::default();
        for ((namespace, host), mut same_host) in groups {
            // A rule for some clients comes before one for all.
            same_host.sort_by_key(|group| selector(group[0]).is_empty());
            let rules: Vec<Shared<Rule>> =
                same_host.iter().map(|group| self.keep(namespace, &host, group)).collect();
            next.reads_client |= rules.iter().any(|rule| !rule.selector.is_empty());
            next.by_namespace.entry(namespace.to_owned()).or_default().insert(host, rules);
        }
        next
    }

    fn keep(&self, namespace: &str, host: &str, group: &[&Arc<Object>]) -> Shared<Rule> {
        let known = self.by_namespace.get(namespace).and_then(|hosts| hosts.get(host)).into_iter().flatten();
        let same = |rule: &&Shared<Rule>| {
            rule.objects.len() == group.len()
                && rule.objects.iter().zip(group).all(|(left, right)| Arc::ptr_eq(left, right))
        };
        known.clone().find(same).cloned().unwrap_or_else(|| Shared::new(merged(group)))
    }
}

fn selector(object: &Object) -> BTreeMap<String, String> {
    let spec = object.as_destination_rule();
    spec.and_then(|spec| spec.workload_selector.as_ref())
        .map(|it| it.match_labels.clone())
        .unwrap_or_default()
}

/// Rules of one host merge when the same clients see them and none is limited
/// to some of them.
fn is_merged(left: &Object, right: &Object) -> bool {
    let export = |object: &Object| object.as_destination_rule().map(|spec| spec.export_to.clone());
    selector(left).is_empty() && selector(right).is_empty() && export(left) == export(right)
}

fn merged(group: &[&Arc<Object>]) -> Rule {
    let first = group[0];
    let spec =
        |object: &Arc<Object>| object.as_destination_rule().expect("only these objects are grouped").clone();
    let mut rule = Rule {
        policy: None,
        subsets: Vec::new(),
        object: Arc::clone(first),
        visibility: Visibility::parse(&spec(first).export_to, &first.key.namespace),
        selector: selector(first),
        objects: group.iter().map(|object| Arc::clone(object)).collect(),
    };
    for object in group {
        let origin = |path: String| Origin { object: object.key.to_string(), path };
        let spec = spec(object);
        if rule.policy.is_none() {
            rule.policy = spec.traffic_policy.map(|policy| (policy, origin("trafficPolicy".to_owned())));
        }
        for (at, subset) in spec.subsets.into_iter().enumerate() {
            if rule.subset(&subset.name).is_none() {
                rule.subsets.push((subset, origin(format!("subsets[{at}]"))));
            }
        }
    }
    rule
}
