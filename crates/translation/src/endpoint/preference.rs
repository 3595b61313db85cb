//! Which endpoints a client prefers by where they are: shares by locality, or
//! priorities that take over one after the other.

use std::collections::BTreeMap;

use resources::destination_rule::{LoadBalancerSettings, LocalityLoadBalancerSetting};

use crate::mesh::CLUSTER_ID;
use crate::node::{Facets, Locality};

/// What a rule says about localities.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Preference {
    /// Shares of the traffic from one locality.
    Distribute(Vec<Shares>),
    /// Near endpoints first, farther ones when they fail.
    Failover {
        /// Which region takes over from which.
        regions: Vec<(String, String)>,
        /// Labels by which endpoints are ranked.
        labels: Vec<String>,
    },
}

/// Shares of the traffic from one locality.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shares {
    from: String,
    to: Vec<(String, u32)>,
}

/// Where a client is, as far as preferences look.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) locality: Locality,
    pub(crate) labels: BTreeMap<String, String>,
}

/// Endpoints of one locality and priority.
pub(crate) struct Group<E> {
    pub(crate) locality: Locality,
    pub(crate) priority: u32,
    /// In place of the sum of the endpoints' weights.
    pub(crate) weight: Option<u32>,
    pub(crate) endpoints: Vec<E>,
}

/// An endpoint as preferences see it.
pub(crate) trait Located {
    /// Its labels.
    fn labels(&self) -> &BTreeMap<String, String>;
    /// Its weight.
    fn weight(&self) -> u32;
}

const NETWORK: &str = "topology.istio.io/network";

impl Preference {
    /// What the settings mean; failing over needs somebody who notices
    /// failures.
    pub(crate) fn of(settings: Option<&LoadBalancerSettings>, detects_outliers: bool) -> Option<Preference> {
        let setting = settings.and_then(|settings| settings.locality_lb_setting.as_ref());
        let default = LocalityLoadBalancerSetting::default();
        let setting = setting.unwrap_or(&default);
        if setting.enabled == Some(false) {
            return None;
        }
        if !setting.distribute.is_empty() {
            let shares = |distribute: &resources::destination_rule::Distribute| Shares {
                from: distribute.from.clone(),
                to: distribute.to.iter().map(|(place, share)| (place.clone(), *share)).collect(),
            };
            return Some(Preference::Distribute(setting.distribute.iter().map(shares).collect()));
        }
        detects_outliers.then(|| Preference::Failover {
            regions: setting.failover.iter().map(|region| (region.from.clone(), region.to.clone())).collect(),
            labels: setting.failover_priority.clone(),
        })
    }

    /// Whether weights of localities count.
    pub(crate) fn weighs_localities(&self) -> bool {
        match self {
            Preference::Distribute(_) => true,
            Preference::Failover { regions, labels } => !regions.is_empty() || !labels.is_empty(),
        }
    }

    /// Groups as this client prefers them.
    pub(crate) fn apply<E: Located>(&self, place: &Place, groups: Vec<Group<E>>) -> Vec<Group<E>> {
        match self {
            Preference::Distribute(shares) => distribute(shares, place, groups),
            Preference::Failover { regions, labels } if labels.is_empty() => {
                by_locality(regions, place, groups)
            }
            Preference::Failover { regions, labels } => {
                let groups = by_labels(labels, place, groups);
                if regions.is_empty() { groups } else { by_locality(regions, place, groups) }
            }
        }
    }
}

impl Place {
    /// Where a data plane is.
    pub(crate) fn of(facets: &Facets) -> Place {
        let locality = match facets.locality == Locality::default() {
            true => Locality::of_labels(&facets.labels),
            false => facets.locality.clone(),
        };
        Place { labels: with_topology(&facets.labels, &locality), locality }
    }
}

/// Labels and what the place adds to them.
pub(crate) fn with_topology(
    labels: &BTreeMap<String, String>,
    locality: &Locality,
) -> BTreeMap<String, String> {
    let mut all = labels.clone();
    let topology = [
        ("topology.kubernetes.io/region", locality.region.as_str()),
        ("topology.kubernetes.io/zone", &locality.zone),
        ("topology.istio.io/subzone", &locality.sub_zone),
        ("topology.istio.io/cluster", CLUSTER_ID),
    ];
    for (name, value) in topology.into_iter().filter(|(_, value)| !value.is_empty()) {
        all.insert(name.to_owned(), value.to_owned());
    }
    all
}

/// Whether a locality is one of those that `pattern` names: parts that are
/// `*` or absent mean any.
fn matches(locality: &Locality, pattern: &str) -> bool {
    let mut parts = pattern.splitn(3, '/');
    let region = parts.next().unwrap_or_default();
    let any = |part: Option<&str>, own: &str| match part {
        None | Some("" | "*") => true,
        Some(part) => part == own,
    };
    let (zone, sub_zone) = (parts.next(), parts.next());
    (region == "*" || region == locality.region)
        && any(zone, &locality.zone)
        && any(sub_zone, &locality.sub_zone)
}

fn distribute<E: Located>(shares: &[Shares], place: &Place, mut groups: Vec<Group<E>>) -> Vec<Group<E>> {
    let Some(mine) = shares.iter().find(|shares| matches(&place.locality, &shares.from)) else {
        return groups;
    };
    let mut is_named = vec![false; groups.len()];
    for (pattern, share) in &mine.to {
        let named: Vec<usize> = (0..groups.len())
            .filter(|at| !is_named[*at] && matches(&groups[*at].locality, pattern))
            .collect();
        let total: u64 = named.iter().map(|at| u64::from(groups[*at].total())).sum();
        for at in named {
            is_named[at] = true;
            let own = u64::from(groups[at].total()) * u64::from(*share);
            let weight = own.div_ceil(total.max(1));
            if weight > 0 {
                groups[at].weight = Some(u32::try_from(weight).unwrap_or(u32::MAX));
            }
        }
    }
    // What is named nowhere gets nothing.
    for (group, is_named) in groups.iter_mut().zip(is_named) {
        if !is_named {
            group.endpoints.clear();
        }
    }
    groups
}

/// The same zone before the same region before others.
fn by_locality<E: Located>(
    regions: &[(String, String)],
    place: &Place,
    mut groups: Vec<Group<E>>,
) -> Vec<Group<E>> {
    let mine = &place.locality;
    for group in &mut groups {
        let theirs = &group.locality;
        let distance = match () {
            () if mine.region != theirs.region => {
                let takes_over = regions.iter().find(|(from, _)| *from == mine.region);
                if takes_over.is_some_and(|(_, to)| *to != theirs.region) { 4 } else { 3 }
            }
            () if mine.zone != theirs.zone => 2,
            () if mine.sub_zone != theirs.sub_zone => 1,
            () => 0,
        };
        group.priority = group.priority * 5 + distance;
    }
    without_gaps(groups)
}

/// The more labels agree with the client's, from the first on, the sooner.
fn by_labels<E: Located>(labels: &[String], place: &Place, groups: Vec<Group<E>>) -> Vec<Group<E>> {
    let wanted: Vec<(&str, Option<&str>)> = labels
        .iter()
        .map(|label| match label.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (label.as_str(), place.labels.get(label).map(String::as_str)),
        })
        .collect();
    let mut ranked = Vec::new();
    for group in groups {
        let mut by_rank: BTreeMap<u32, Vec<E>> = BTreeMap::new();
        for endpoint in group.endpoints {
            by_rank.entry(rank(&wanted, endpoint.labels())).or_default().push(endpoint);
        }
        ranked.extend(by_rank.into_iter().map(|(priority, endpoints)| Group {
            locality: group.locality.clone(),
            priority,
            weight: None,
            endpoints,
        }));
    }
    without_gaps(ranked)
}

fn rank(wanted: &[(&str, Option<&str>)], labels: &BTreeMap<String, String>) -> u32 {
    let count = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    let mut from_network = 0;
    for (at, (name, value)) in (0u32..).zip(wanted) {
        let own = labels.get(*name).map_or("", String::as_str);
        if own == value.unwrap_or_default() {
            continue;
        }
        if at == 0 && *name == NETWORK {
            // Another network comes after everything in the own one, but is
            // ranked too.
            from_network = count;
            continue;
        }
        return count - at + from_network;
    }
    from_network
}

/// Priorities from zero on, none left out.
fn without_gaps<E>(mut groups: Vec<Group<E>>) -> Vec<Group<E>> {
    let mut used: Vec<u32> = groups.iter().map(|group| group.priority).collect();
    used.sort_unstable();
    used.dedup();
    for group in &mut groups {
        let at = used.binary_search(&group.priority).unwrap_or(0);
        group.priority = u32::try_from(at).unwrap_or(0);
    }
    groups
}

impl<E: Located> Group<E> {
    /// Its weight, given or summed up.
    pub(crate) fn total(&self) -> u32 {
        self.weight.unwrap_or_else(|| self.endpoints.iter().map(Located::weight).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locality(text: &str) -> Locality {
        let mut parts = text.split('/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Locality { region: next(), zone: next(), sub_zone: next() }
    }

    #[test]
    fn patterns_name_localities() {
        let table = [
            ("r/z/s", "r/z/s", true),
            ("r/z/s", "r/z/*", true),
            ("r/z/s", "r/*", true),
            ("r/z/s", "r", true),
            ("r/z/s", "*", true),
            ("r/z/s", "r/z/t", false),
            ("r/z/s", "r/y/s", false),
            ("r/z/s", "q/*", false),
            ("r/z/z", "r/y/z", false),
        ];
        for (own, pattern, expected) in table {
            assert_eq!(matches(&locality(own), pattern), expected, "{own} {pattern}");
        }
    }
}
