//! Why the proxy answered a request itself: the flags, the details, and the
//! object of the user's configuration behind them.

use xds::origin::Origin;

use crate::flags::Flag;
use crate::http::exchange::Exchange;
use crate::http1::head::Head;

/// The response header that tells the reason, where that is asked for.
const HEADER: &[u8] = b"x-lateen-reason";

/// Flags whose cause is the cluster: its endpoints, or the rule for it.
const BY_CLUSTER: [Flag; 4] = [
    Flag::NoHealthyUpstream,
    Flag::UpstreamConnectionFailure,
    Flag::UpstreamConnectionTermination,
    Flag::UpstreamProtocolError,
];

/// The object that made the proxy answer itself: of the cluster when its
/// endpoints failed, else of the route, the virtual host or the listener, the
/// nearest that came from an object. None for what a server answered.
pub fn cause<'e>(exchange: &'e Exchange<'_>) -> Option<&'e Origin> {
    if !exchange.answered_here {
        return None;
    }
    let cluster = exchange.cluster.as_ref().and_then(|cluster| cluster.cluster.origin.as_ref());
    let by_cluster = BY_CLUSTER.iter().any(|flag| exchange.flags.has(*flag));
    cluster
        .filter(|_| by_cluster)
        .or(exchange.route.and_then(|route| route.origin.as_ref()))
        .or(exchange.virtual_host.and_then(|host| host.origin.as_ref()))
        .or(exchange.connection.listener.origin.as_ref())
}

/// Says the reason in the response:
/// `flags=UH; details=no_healthy_upstream; object=Service/default/reviews ports[0]`.
pub fn tell(exchange: &Exchange<'_>, head: &mut Head) {
    if !exchange.connection.worker.shared.tells_reasons() {
        return;
    }
    let object = cause(exchange).map(|origin| format!("; object={} {}", origin.object, origin.path));
    let reason = format!(
        "flags={}; details={}{}",
        exchange.flags.text(),
        exchange.details,
        object.as_deref().map_or("", str::trim_end)
    );
    head.add(HEADER, reason.as_bytes());
}
