//! Rules for limits on connections and requests.

use std::time::Duration;

use crate::destination_rule::{ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, TcpSettings};
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;

/// Checks limits on connections and requests.
pub(crate) fn validate(settings: &ConnectionPoolSettings, at: &Trail<'_>, check: &mut Checker<'_>) {
    if settings.tcp.is_none() && settings.http.is_none() {
        check
            .note(at, Code::EmptyConnectionPool, "a connection pool that sets nothing")
            .help("set `tcp` or `http`");
    }
    if let Some(settings) = &settings.tcp {
        tcp(settings, &at.key("tcp"), check);
    }
    if let Some(settings) = &settings.http {
        http(settings, &at.key("http"), check);
    }
}

fn tcp(settings: &TcpSettings, at: &Trail<'_>, check: &mut Checker<'_>) {
    check.duration(&at.key("connectTimeout"), settings.connect_timeout);
    check.duration(&at.key("maxConnectionDuration"), settings.max_connection_duration);
    // Zero turns the timeout off.
    let idle = settings.idle_timeout.filter(|idle| *idle >= Duration::from_millis(1));
    check.duration(&at.key("idleTimeout"), idle);
    if let Some(keepalive) = &settings.tcp_keepalive {
        let at = at.key("tcpKeepalive");
        check.duration(&at.key("time"), keepalive.time);
        check.duration(&at.key("interval"), keepalive.interval);
    }
}

fn http(settings: &HttpSettings, at: &Trail<'_>, check: &mut Checker<'_>) {
    check.duration(&at.key("idleTimeout"), settings.idle_timeout);
    if settings.use_client_protocol && settings.h2_upgrade_policy == H2UpgradePolicy::Upgrade {
        let message =
            "`useClientProtocol` keeps the client's protocol, `h2UpgradePolicy: UPGRADE` changes it";
        check
            .note(&at.key("useClientProtocol"), Code::UpgradeConflict, message)
            .help("remove one of the two");
    }
    if let Some(keepalive) = &settings.http2_keep_alive {
        let at = at.key("http2KeepAlive");
        for (field, duration) in [("interval", keepalive.interval), ("timeout", keepalive.timeout)] {
            if duration.is_none() {
                check.required(&at.key(field));
            }
            check.duration(&at.key(field), duration);
        }
    }
}
