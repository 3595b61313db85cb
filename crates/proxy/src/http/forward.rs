//! Forwarding: the head for upstreams, and the attempts.

use routing::decision::{Decision, Forwarding};

use crate::alarm::Alarm;
use crate::flags::Flag;
use crate::http::attempts::{Attempts, retries};
use crate::http::connection::Next;
use crate::http::ends::Downstream;
use crate::http::exchange::{Exchange, Tunnel};
use crate::http::local_reply::{self, LocalReply};
use crate::http::{mirror, steering, upstream_head};
use crate::shared::Live;

/// Forwards a request and brings back what becomes of it.
pub async fn forward<'c>(
    exchange: &mut Exchange<'c>,
    decision: &Decision<'c>,
    forwarding: &Forwarding<'c>,
    live: &Live,
    io: &mut Downstream<'_, '_>,
    alarm: &mut Alarm,
) -> Next {
    if !may_upgrade(exchange, forwarding) {
        exchange.keep_alive = false;
        return local_reply::send(exchange, io, Some(decision), LocalReply::new(403, "upgrade_failed")).await;
    }
    if exchange.tunnel.is_some() && forwarding.options.terminates_connect {
        exchange.tunnel = Some(Tunnel::Terminated);
    }
    let Some(cluster) = exchange.cluster.clone() else {
        exchange.flags.set(Flag::NoClusterFound);
        let reply = LocalReply::new(forwarding.options.cluster_not_found, "cluster_not_found");
        return local_reply::send(exchange, io, Some(decision), reply).await;
    };
    let asked = steering::time(exchange);
    upstream_head::finish(exchange, decision, forwarding);
    let own_retry = steering::retry(exchange, forwarding.retry);
    let own;
    let forwarding = match (asked, &own_retry) {
        (None, None) => forwarding,
        (asked, policy) => {
            let timeout = match asked.and_then(|asked| asked.response) {
                Some(limit) => (!limit.is_zero()).then_some(limit),
                None => forwarding.timeout,
            };
            own = Forwarding { retry: policy.as_ref().or(forwarding.retry), timeout, ..forwarding.clone() };
            &own
        }
    };
    let retries = forwarding.retry.is_some_and(|retry| retries(retry, exchange));
    if retries || !forwarding.options.mirrors.is_empty() {
        exchange.body.keep(buffer_limit(exchange));
    }
    cluster.stats.rq_total.increment();
    cluster.stats.rq_active.add(1);
    cluster.first_attempt();
    let mut attempts = Attempts::new(exchange, forwarding, &cluster, asked);
    attempts.copies = mirror::draw(exchange, forwarding, live);
    let next = attempts.run(exchange, decision, forwarding, io, alarm).await;
    attempts.copies.send(exchange);
    cluster.stats.rq_active.add(-1);
    next
}

/// How much of a body is kept for another attempt.
fn buffer_limit(exchange: &Exchange<'_>) -> usize {
    let configured = exchange
        .route
        .and_then(|route| route.buffer_limit)
        .or(exchange.virtual_host.and_then(|host| host.buffer_limit));
    let limit = configured.and_then(|limit| usize::try_from(limit).ok());
    limit.unwrap_or(exchange.connection.listener.buffer_limit)
}

fn may_upgrade(exchange: &Exchange<'_>, forwarding: &Forwarding<'_>) -> bool {
    let protocol = match (&exchange.upgrade, exchange.tunnel) {
        (Some(protocol), _) => protocol,
        (None, Some(_)) => "connect",
        (None, None) => return true,
    };
    forwarding.options.allows_upgrade(protocol).unwrap_or_else(|| {
        exchange.http.manager.upgrades.iter().any(|allowed| allowed.eq_ignore_ascii_case(protocol))
    })
}
