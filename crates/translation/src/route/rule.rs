//! A VirtualService's HTTP rules as routes.

use resources::virtual_service::{HttpMatchRequest, MESH_GATEWAY};
use xds::envoy::config::core::v3::Metadata;
use xds::envoy::config::route::v3::{
    Decorator, Route, RouteMatch, route::Action, route_action::ClusterSpecifier, route_match::PathSpecifier,
};
use xds::origin::{Origin, string_struct};

use super::{Destinations, View, action, condition, everything, headers, policy};
use crate::snapshot::{HttpRule, VirtualService};

/// The routes of a VirtualService for requests to `port`, up to the first that
/// matches everything.
pub(super) fn routes(
    service: &VirtualService,
    port: u16,
    view: &View,
    destinations: &Destinations,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for rule in &service.http {
        let alternatives: Vec<Option<(usize, &HttpMatchRequest)>> = if rule.rule.matches.is_empty() {
            vec![None]
        } else {
            rule.rule.matches.iter().enumerate().map(Some).collect()
        };
        for alternative in alternatives {
            let route = route(service, rule, alternative, port, view, destinations);
            let Some(route) = route else { continue };
            let ends = is_catch_all(&route);
            routes.push(route);
            if ends {
                return routes;
            }
        }
    }
    routes
}

/// Whether a route matches every request.
pub(super) fn is_catch_all(route: &Route) -> bool {
    let Some(condition) = &route.r#match else { return false };
    let every_path = match &condition.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => prefix == "/",
        Some(PathSpecifier::SafeRegex(regex)) => regex.regex == ".*" || regex.regex == "*",
        _ => false,
    };
    every_path && condition.headers.is_empty() && condition.query_parameters.is_empty()
}

fn route(
    service: &VirtualService,
    rule: &HttpRule,
    alternative: Option<(usize, &HttpMatchRequest)>,
    port: u16,
    view: &View,
    destinations: &Destinations,
) -> Option<Route> {
    let condition = match alternative {
        Some((_, alternative)) if !holds_here(service, alternative, port, view) => return None,
        Some((_, alternative)) => condition::translate(alternative)?,
        None => everything(),
    };
    let scene = action::Scene { rule, port, view, destinations };
    let action = action::translate(&scene)?;
    let mut route = Route {
        name: name(&rule.rule.name, alternative.map(|(_, it)| it.name.as_str()).unwrap_or_default()),
        metadata: Some(metadata(service, rule)),
        decorator: Some(Decorator {
            operation: operation(&condition, &action, service, port),
            propagate: None,
        }),
        r#match: Some(condition),
        stat_prefix: alternative.map(|(_, it)| it.stat_prefix.clone()).unwrap_or_default(),
        action: Some(action),
        ..Route::default()
    };
    headers::apply_to_route(&mut route, &rule.rule);
    policy::per_filter(&mut route, &rule.rule, &view.extensions);
    Some(route)
}

/// Conditions that are decided here and now: where the rule is applied, by
/// whom, and on which port.
fn holds_here(service: &VirtualService, alternative: &HttpMatchRequest, port: u16, view: &View) -> bool {
    let gateway = alternative.gateways.is_empty()
        || alternative.gateways.iter().any(|gateway| {
            let gateway = service.full_gateway(gateway);
            match view.gateways.is_empty() {
                true => gateway == MESH_GATEWAY,
                false => view.gateways.contains(&gateway),
            }
        });
    let labels = alternative
        .source_labels
        .iter()
        .all(|(key, value)| view.client.as_ref().is_some_and(|client| client.labels.get(key) == Some(value)));
    let namespace = alternative.source_namespace.is_empty() || alternative.source_namespace == view.namespace;
    gateway && labels && namespace && alternative.port.is_none_or(|wanted| wanted == port)
}

fn name(rule: &str, alternative: &str) -> String {
    if alternative.is_empty() { rule.to_owned() } else { format!("{rule}.{alternative}") }
}

fn metadata(service: &VirtualService, rule: &HttpRule) -> Metadata {
    let config = format!(
        "/apis/networking.istio.io/v1/namespaces/{}/virtual-service/{}",
        service.namespace(),
        service.object.key.name
    );
    let mut metadata = Metadata::default();
    metadata.filter_metadata.insert("istio".to_owned(), string_struct([("config", config)]));
    let Origin { object, path } = &rule.origin;
    Origin { object: object.clone(), path: path.clone() }.write(&mut metadata);
    metadata
}

/// What traces call the request: the destination when there is one, else the
/// object, and the path.
fn operation(condition: &RouteMatch, action: &Action, service: &VirtualService, port: u16) -> String {
    let path = match &condition.path_specifier {
        Some(PathSpecifier::Prefix(prefix)) => format!("{prefix}*"),
        Some(PathSpecifier::Path(path)) => path.clone(),
        Some(PathSpecifier::SafeRegex(regex)) => regex.regex.clone(),
        _ => "/*".to_owned(),
    };
    if let Action::Route(route) = action
        && let Some(ClusterSpecifier::Cluster(cluster)) = &route.cluster_specifier
        && let [_, port, _, host] = cluster.split('|').collect::<Vec<_>>().as_slice()
    {
        return format!("{host}:{port}{path}");
    }
    format!("{}:{port}{path}", service.object.key.name)
}
