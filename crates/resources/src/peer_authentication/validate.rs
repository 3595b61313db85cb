//! Rules for a PeerAuthentication.

use super::PeerAuthentication;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;

/// Checks a PeerAuthentication.
pub(crate) fn validate(content: &PeerAuthentication, at: &Trail<'_>, check: &mut Checker<'_>) {
    if let Some(selector) = &content.selector {
        check.workload_selector(&at.key("selector").key("matchLabels"), &selector.match_labels);
    }
    let ports_at = at.key("portLevelMtls");
    if !content.port_level_mtls.is_empty() && content.labels().is_none() {
        check
            .note(
                &ports_at,
                Code::PortsWithoutSelector,
                "ports are those of a workload, and none is selected",
            )
            .help("set `selector.matchLabels`");
    }
    for port in content.port_level_mtls.keys() {
        if !port.parse::<u16>().is_ok_and(|number| number > 0) {
            let message = format!("a port is a number from 1 to 65535, but this is `{port}`");
            check.note(&ports_at.key(port), Code::InvalidPort, message);
        }
    }
}
