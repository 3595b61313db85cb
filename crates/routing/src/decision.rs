//! What happens to a connection and to a request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::config::Config;
use crate::cors::Cors;
use crate::fault::Fault;
use crate::filter_chain::{ConnectionInfo, FilterChain};
use crate::hcm::HttpConnectionManager;
use crate::header_mutation::HeaderMutations;
use crate::headers::{RequestHead, joined};
use crate::listener::Listener;
use crate::redirect::Redirect;
use crate::retry::RetryPolicy;
use crate::rewrite::HostRewrite;
use crate::route::{Action, DirectResponse, Forward, Route, Target, WeightedCluster};
use crate::virtual_host::{RequireTls, RouteTable, VirtualHost};

/// What takes a connection.
#[derive(Debug, Clone)]
pub struct Accepted<'c> {
    /// The listener that has it after a hand-over by original destination.
    pub listener: &'c Arc<Listener>,
    /// The chain; `None`: the connection is closed.
    pub chain: Option<&'c Arc<FilterChain>>,
}

/// Decides on a connection that arrived at a listener: which listener it is
/// handed to, and which filter chain it gets.
pub fn on_connection<'c>(
    config: &'c Config,
    arrived_at: &'c Arc<Listener>,
    connection: &ConnectionInfo<'_>,
) -> Accepted<'c> {
    let listener = handed_to(config, arrived_at, connection.destination);
    Accepted { listener, chain: listener.chains.find(connection) }
}

/// The listener that a connection is handed to by its original destination.
pub fn handed_to<'c>(
    config: &'c Config,
    arrived_at: &'c Arc<Listener>,
    destination: std::net::SocketAddr,
) -> &'c Arc<Listener> {
    if !arrived_at.use_original_dst {
        return arrived_at;
    }
    config.listener_for(destination).unwrap_or(arrived_at)
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub struct Decision<'c> {
    /// The route configuration; `None`: it is not there.
    pub table: Option<&'c RouteTable>,
    /// The virtual host; `None`: none has that name.
    pub virtual_host: Option<&'c VirtualHost>,
    /// The route; `None`: none matches.
    pub route: Option<&'c Route>,
    /// What to do.
    pub outcome: Outcome<'c>,
    /// What may be injected, whatever the route would do otherwise.
    pub fault: Option<&'c Fault>,
    /// The cross-origin policy, when the filter is there and the route
    /// forwards.
    pub cors: Option<&'c Cors>,
}

/// What to do with a request.
#[derive(Debug, Clone)]
pub enum Outcome<'c> {
    /// Nothing is configured for it.
    NoRoute,
    /// The client is sent elsewhere.
    Redirect {
        /// With this status.
        status: u16,
        /// To this address.
        location: String,
    },
    /// It is answered with this.
    Respond(&'c DirectResponse),
    /// It goes to a cluster.
    Forward(Forwarding<'c>),
}

/// How a request goes to a cluster.
#[derive(Debug, Clone)]
pub struct Forwarding<'c> {
    /// The options of the route.
    pub options: &'c Forward,
    /// The cluster's name.
    pub cluster_name: Cow<'c, str>,
    /// The cluster; `None`: it does not exist.
    pub cluster: Option<&'c Arc<Cluster>>,
    /// The entry of a list of weighted clusters.
    pub weighted: Option<&'c WeightedCluster>,
    /// How long the answer may take.
    pub timeout: Option<Duration>,
    /// Whether and when it is tried again.
    pub retry: Option<&'c RetryPolicy>,
}

/// Decides on a request. The random number stands for the request: it
/// decides fractions of routes and the choice among weighted clusters.
pub fn on_request<'c, R: RequestHead>(
    config: &'c Config,
    manager: &'c HttpConnectionManager,
    request: &R,
    random: u64,
) -> Decision<'c> {
    let mut decision = Decision {
        table: config.routes_of(manager),
        virtual_host: None,
        route: None,
        outcome: Outcome::NoRoute,
        fault: None,
        cors: None,
    };
    let Some(table) = decision.table else { return decision };
    if joined(request, "x-forwarded-proto").is_some_and(|scheme| scheme.is_empty()) {
        return decision;
    }
    let Some(host) = table.virtual_host(request.authority()) else { return decision };
    decision.virtual_host = Some(host);
    if requires_tls(host, request) {
        decision.outcome =
            Outcome::Redirect { status: 301, location: Redirect::to_https().location(request, None) };
        return decision;
    }
    let Some(route) = host.route(request, random) else { return decision };
    decision.route = Some(route);
    // Envoy's filter does not look at requests that go nowhere.
    if manager.filters.cors && matches!(route.action, Action::Forward(_)) {
        let policies = [&route.per_filter, &host.per_filter, &table.per_filter];
        decision.cors = policies.iter().find_map(|level| level.cors.as_deref());
    }
    decision.outcome = match &route.action {
        Action::Redirect(redirect) => Outcome::Redirect {
            status: redirect.status,
            location: redirect.location(request, Some(route.matcher.path())),
        },
        Action::Respond(response) => Outcome::Respond(response),
        Action::NonForwarding => Outcome::NoRoute,
        Action::Forward(options) => Outcome::Forward(forward(config, host, options, request, random)),
    };
    decision.fault = fault(manager, &decision, request);
    decision
}

/// The most specific word on faults, when it concerns the request.
fn fault<'c, R: RequestHead>(
    manager: &'c HttpConnectionManager,
    decision: &Decision<'c>,
    request: &R,
) -> Option<&'c Fault> {
    let own = manager.filters.fault.as_deref()?;
    let levels = [
        decision.weighted().map(|weighted| &weighted.per_filter),
        decision.route.map(|route| &route.per_filter),
        decision.virtual_host.map(|host| &host.per_filter),
        decision.table.map(|table| &table.per_filter),
    ];
    let fault = match levels.into_iter().flatten().find_map(|level| level.fault.as_ref()) {
        Some(instead) => instead.as_deref()?,
        None => own,
    };
    let cluster = match &decision.outcome {
        Outcome::Forward(forwarding) => &*forwarding.cluster_name,
        _ => "",
    };
    (!fault.is_idle() && fault.applies(request, cluster)).then_some(fault)
}

fn forward<'c, R: RequestHead>(
    config: &'c Config,
    host: &'c VirtualHost,
    options: &'c Forward,
    request: &R,
    random: u64,
) -> Forwarding<'c> {
    let mut weighted = None;
    let cluster_name: Cow<'c, str> = match &options.target {
        Target::Cluster(name) => Cow::Borrowed(&**name),
        Target::Weighted(clusters) => {
            weighted = clusters.choose(random);
            weighted.map(|chosen| Cow::Borrowed(&*chosen.name)).unwrap_or_default()
        }
        Target::Header(name) => {
            let value = joined(request, name).unwrap_or_default();
            Cow::Owned(String::from_utf8_lossy(&value).into_owned())
        }
    };
    Forwarding {
        options,
        cluster: config.cluster(&cluster_name),
        cluster_name,
        weighted,
        timeout: options.timeout,
        retry: options.retry.as_ref().or(host.retry.as_ref()),
    }
}

fn requires_tls<R: RequestHead>(host: &VirtualHost, request: &R) -> bool {
    let secure = || {
        let forwarded = joined(request, "x-forwarded-proto");
        forwarded.as_deref().unwrap_or(request.scheme().as_bytes()).eq_ignore_ascii_case(b"https")
    };
    match host.require_tls {
        RequireTls::None => false,
        RequireTls::All => !secure(),
        RequireTls::External => {
            let internal = joined(request, "x-envoy-internal").as_deref() == Some(&b"true"[..]);
            !internal && !secure()
        }
    }
}

impl<'c> Decision<'c> {
    /// Changes of the request's headers, in the order in which they act.
    pub fn request_mutations(&self) -> impl Iterator<Item = &'c HeaderMutations> {
        let weighted = self.weighted().map(|weighted| &weighted.request_headers);
        self.ordered([
            weighted,
            self.route.map(|route| &route.request_headers),
            self.virtual_host.map(|host| &host.request_headers),
            self.table.map(|table| &table.request_headers),
        ])
    }

    /// Changes of the response's headers, in the order in which they act.
    pub fn response_mutations(&self) -> impl Iterator<Item = &'c HeaderMutations> {
        let weighted = self.weighted().map(|weighted| &weighted.response_headers);
        self.ordered([
            weighted,
            self.route.map(|route| &route.response_headers),
            self.virtual_host.map(|host| &host.response_headers),
            self.table.map(|table| &table.response_headers),
        ])
    }

    fn ordered(
        &self,
        mut levels: [Option<&'c HeaderMutations>; 4],
    ) -> impl Iterator<Item = &'c HeaderMutations> {
        if self.table.is_some_and(|table| table.most_specific_wins) {
            levels.reverse();
        }
        levels.into_iter().flatten().filter(|mutations| !mutations.is_empty())
    }

    fn weighted(&self) -> Option<&'c WeightedCluster> {
        match &self.outcome {
            Outcome::Forward(forwarding) => forwarding.weighted,
            _ => None,
        }
    }
}

impl<'c> Forwarding<'c> {
    /// What replaces the host: the weighted cluster's word counts before the
    /// route's.
    pub fn host_rewrite(&self) -> Option<&'c HostRewrite> {
        self.weighted
            .and_then(|weighted| weighted.host_rewrite.as_ref())
            .or(self.options.host_rewrite.as_ref())
    }
}

#[cfg(test)]
mod tests;
