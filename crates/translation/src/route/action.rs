//! What happens to a request that a rule matched.

use resources::destination_rule::{ConsistentHashLb, HashKey};
use resources::virtual_service::{
    DirectResponseBody, HttpDirectResponse, HttpMirrorPolicy, HttpRedirect, HttpRouteDestination,
    RedirectPort,
};
use xds::envoy::config::core::v3::{DataSource, RuntimeFractionalPercent, data_source::Specifier};
use xds::envoy::config::route::v3::redirect_action::{
    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
};
use xds::envoy::config::route::v3::route::Action;
use xds::envoy::config::route::v3::route_action::hash_policy::{
    ConnectionProperties, Cookie, CookieAttribute, Header, PolicySpecifier, QueryParameter,
};
use xds::envoy::config::route::v3::route_action::{
    ClusterSpecifier, HashPolicy, HostRewriteSpecifier, RequestMirrorPolicy,
};
use xds::envoy::config::route::v3::weighted_cluster::{
    ClusterWeight, cluster_weight::HostRewriteSpecifier as WeightHostRewrite,
};
use xds::envoy::config::route::v3::{DirectResponseAction, RedirectAction, RouteAction, WeightedCluster};
use xds::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;

use super::condition::expression;
use super::{Destinations, View, headers, policy};
use crate::address::duration;
use crate::cluster::hash_of;
use crate::host::full_name;
use crate::snapshot::HttpRule;

/// A rule, where it is applied, and what it may refer to.
pub(super) struct Scene<'a> {
    pub(super) rule: &'a HttpRule,
    pub(super) port: u16,
    pub(super) view: &'a View,
    pub(super) destinations: &'a Destinations,
}

/// The rule's action; `None` when it has none.
pub(super) fn translate(scene: &Scene<'_>) -> Option<Action> {
    let rule = &scene.rule.rule;
    if let Some(to) = &rule.redirect {
        return Some(Action::Redirect(redirect(to, scene.port)));
    }
    if let Some(response) = &rule.direct_response {
        return Some(Action::DirectResponse(direct_response(response)));
    }
    if rule.route.is_empty() {
        return None;
    }
    Some(Action::Route(forward(scene)))
}

fn forward(scene: &Scene<'_>) -> RouteAction {
    let rule = &scene.rule.rule;
    let timeout = Some(rule.timeout.map(duration).unwrap_or_default());
    let hash = hash(scene);
    let balance = if hash.is_empty() { policy::Balance::Free } else { policy::Balance::Hashed };
    let mut action = RouteAction {
        timeout,
        retry_policy: policy::retry(rule.retries.as_ref(), &scene.view.extensions, balance),
        request_mirror_policies: mirrors(scene),
        hash_policy: hash,
        cluster_specifier: Some(targets(scene)),
        ..RouteAction::default()
    };
    let only = match rule.route.as_slice() {
        [only] => headers::operations(only.headers.as_ref()).authority,
        _ => None,
    };
    let mut authority = only.or(headers::operations(rule.headers.as_ref()).authority);
    if let Some(rewrite) = &rule.rewrite {
        action.prefix_rewrite.clone_from(&rewrite.uri);
        if let Some(regex) = &rewrite.uri_regex_rewrite {
            action.prefix_rewrite.clear();
            action.regex_rewrite = Some(RegexMatchAndSubstitute {
                pattern: Some(expression(&regex.pattern)),
                substitution: regex.rewrite.clone(),
            });
        }
        if !rewrite.authority.is_empty() {
            authority = Some(rewrite.authority.clone());
        }
    }
    action.host_rewrite_specifier = authority.map(HostRewriteSpecifier::HostRewriteLiteral);
    action
}

fn cluster(scene: &Scene<'_>, destination: &resources::virtual_service::Destination) -> String {
    scene.destinations.cluster(destination, &scene.rule.namespace, scene.port)
}

fn targets(scene: &Scene<'_>) -> ClusterSpecifier {
    let weight = |target: &HttpRouteDestination| {
        let operations = headers::operations(target.headers.as_ref());
        ClusterWeight {
            name: cluster(scene, &target.destination),
            weight: Some(target.weight),
            request_headers_to_add: operations.request_add,
            request_headers_to_remove: operations.request_remove,
            response_headers_to_add: operations.response_add,
            response_headers_to_remove: operations.response_remove,
            host_rewrite_specifier: operations.authority.map(WeightHostRewrite::HostRewriteLiteral),
            ..ClusterWeight::default()
        }
    };
    match scene.rule.rule.route.as_slice() {
        [only] => ClusterSpecifier::Cluster(cluster(scene, &only.destination)),
        several => {
            let clusters = several.iter().filter(|target| target.weight > 0).map(weight).collect();
            ClusterSpecifier::WeightedClusters(WeightedCluster { clusters, ..WeightedCluster::default() })
        }
    }
}

/// Several clusters with shares, for connections.
pub(crate) fn weighted(
    targets: &[resources::virtual_service::RouteDestination],
    name: impl Fn(&resources::virtual_service::Destination) -> String,
) -> Vec<(String, u32)> {
    match targets {
        [only] => vec![(name(&only.destination), 1)],
        several => several
            .iter()
            .filter(|target| target.weight > 0)
            .map(|target| (name(&target.destination), target.weight))
            .collect(),
    }
}

fn mirrors(scene: &Scene<'_>) -> Vec<RequestMirrorPolicy> {
    let rule = &scene.rule.rule;
    let single = rule.mirror.as_ref().map(|destination| HttpMirrorPolicy {
        destination: destination.clone(),
        percentage: rule.mirror_percentage.or(rule.mirror_percent.map(f64::from)),
    });
    single
        .iter()
        .chain(&rule.mirrors)
        .filter(|mirror| mirror.percentage != Some(0.0))
        .map(|mirror| RequestMirrorPolicy {
            cluster: cluster(scene, &mirror.destination),
            runtime_fraction: Some(RuntimeFractionalPercent {
                default_value: Some(policy::fraction(mirror.percentage.unwrap_or(100.0))),
                ..RuntimeFractionalPercent::default()
            }),
            trace_sampled: Some(false),
            ..RequestMirrorPolicy::default()
        })
        .collect()
}

/// The hash by which the endpoints of the rule's destinations are chosen.
fn hash(scene: &Scene<'_>) -> Vec<HashPolicy> {
    let mut policies: Vec<HashPolicy> = Vec::new();
    for target in &scene.rule.rule.route {
        let host = full_name(&target.destination.host, &scene.rule.namespace);
        let found = scene.destinations.find(&host).and_then(|found| found.rule.as_ref());
        let port = target.destination.port.unwrap_or(scene.port);
        let policy = found.and_then(|rule| hash_of(rule, &target.destination.subset, port));
        policies
            .extend(policy.and_then(|hash| hash_policy(&hash)).filter(|policy| !policies.contains(policy)));
    }
    policies
}

fn hash_policy(hash: &ConsistentHashLb) -> Option<HashPolicy> {
    let specifier = match hash.hash_key.as_ref()? {
        HashKey::HttpHeaderName(name) => {
            PolicySpecifier::Header(Header { header_name: name.clone(), ..Header::default() })
        }
        HashKey::HttpCookie(cookie) => PolicySpecifier::Cookie(Cookie {
            name: cookie.name.clone(),
            ttl: cookie.ttl.map(duration),
            path: cookie.path.clone(),
            attributes: cookie
                .attributes
                .iter()
                .map(|attribute| CookieAttribute {
                    name: attribute.name.clone(),
                    value: attribute.value.clone(),
                })
                .collect(),
        }),
        HashKey::SourceIp => PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true }),
        HashKey::HttpQueryParameterName(name) => {
            PolicySpecifier::QueryParameter(QueryParameter { name: name.clone() })
        }
    };
    Some(HashPolicy { policy_specifier: Some(specifier), ..HashPolicy::default() })
}

fn redirect(to: &HttpRedirect, port: u16) -> RedirectAction {
    let code = match to.redirect_code {
        Some(302) => RedirectResponseCode::Found,
        Some(303) => RedirectResponseCode::SeeOther,
        Some(307) => RedirectResponseCode::TemporaryRedirect,
        Some(308) => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::MovedPermanently,
    };
    let path = match () {
        () if !to.prefix_rewrite.is_empty() => {
            Some(PathRewriteSpecifier::PrefixRewrite(to.prefix_rewrite.clone()))
        }
        () if to.uri.is_empty() => None,
        () => match to.uri.strip_prefix("%PREFIX()%") {
            Some(prefix) => Some(PathRewriteSpecifier::PrefixRewrite(prefix.to_owned())),
            None => Some(PathRewriteSpecifier::PathRedirect(to.uri.clone())),
        },
    };
    let number = match to.port {
        Some(RedirectPort::Number(number)) => number,
        Some(RedirectPort::RequestPort) => port,
        Some(RedirectPort::ProtocolDefault) | None => 0,
    };
    let implied = matches!((to.scheme.as_str(), number), ("http" | "", 80) | ("https", 443));
    RedirectAction {
        host_redirect: to.authority.clone(),
        port_redirect: if implied { 0 } else { u32::from(number) },
        response_code: code.into(),
        scheme_rewrite_specifier: (!to.scheme.is_empty())
            .then(|| SchemeRewriteSpecifier::SchemeRedirect(to.scheme.clone())),
        path_rewrite_specifier: path,
        ..RedirectAction::default()
    }
}

fn direct_response(response: &HttpDirectResponse) -> DirectResponseAction {
    let specifier = response.body.as_ref().map(|body| match body {
        DirectResponseBody::Text(text) => Specifier::InlineString(text.clone()),
        DirectResponseBody::Bytes(bytes) => Specifier::InlineBytes(bytes.clone()),
    });
    DirectResponseAction {
        status: response.status,
        body: specifier.map(|specifier| DataSource { specifier: Some(specifier), ..DataSource::default() }),
        ..DirectResponseAction::default()
    }
}
