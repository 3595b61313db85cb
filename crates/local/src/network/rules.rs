//! What the world's packet filter does, and its text for `nft` and for `iptables-restore`.
//!
//! Cluster addresses become endpoint addresses, everything beyond the mesh goes to the egress relay, a pod that
//! reaches itself by its Service is given a foreign source, and a Service without endpoints refuses at once.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::{EGRESS_PORT, LINK_PREFIX, LINK_RANGE, LOOPBACK_RANGE, POD_RANGE, SERVICE_RANGE};

/// A transport protocol of a Service port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

/// One port of a Service with a cluster address, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The cluster address.
    pub(crate) address: Ipv4Addr,
    /// The Service's port.
    pub(crate) port: u16,
    /// Its protocol.
    pub(crate) protocol: Protocol,
    /// The endpoints; none means that connections are refused.
    pub(crate) endpoints: Vec<(Ipv4Addr, u16)>,
}

/// Everything the world's rules depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Ports of Services.
    pub(crate) destinations: Vec<Destination>,
    /// Addresses of pods.
    pub(crate) pods: Vec<Ipv4Addr>,
}

impl Rules {
    fn reachable(&self) -> impl Iterator<Item = &Destination> {
        self.destinations.iter().filter(|destination| !destination.endpoints.is_empty())
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("a String takes any text");
}

/// The rules for `nft -f -`; they replace those before them in one transaction.
pub(crate) fn nftables(rules: &Rules) -> String {
    let mut text = String::from("add table ip lateen\ndelete table ip lateen\ntable ip lateen {\n");
    for (number, destination) in rules.reachable().enumerate() {
        line(&mut text, format_args!("  chain service-{number} {{ {}; }}", translation(destination)));
    }
    text.push_str("  chain services {\n");
    for (number, destination) in rules.reachable().enumerate() {
        let Destination { address, port, protocol, .. } = destination;
        let protocol = protocol.name();
        line(&mut text, format_args!("    ip daddr {address} {protocol} dport {port} goto service-{number}"));
    }
    text.push_str("  }\n");
    line(&mut text, format_args!("  chain prerouting {{\n    type nat hook prerouting priority -100;"));
    text.push_str("    jump services\n");
    line(
        &mut text,
        format_args!(
            "    iifname \"{LINK_PREFIX}*\" ip daddr != {{ {POD_RANGE}, {SERVICE_RANGE}, {LINK_RANGE}, \
             {LOOPBACK_RANGE} }} meta l4proto tcp redirect to :{EGRESS_PORT}\n  }}"
        ),
    );
    text.push_str("  chain output {\n    type nat hook output priority -100;\n    jump services\n  }\n");
    text.push_str("  chain postrouting {\n    type nat hook postrouting priority 100;\n");
    for pod in &rules.pods {
        line(&mut text, format_args!("    ip saddr {pod} ip daddr {pod} masquerade"));
    }
    text.push_str("  }\n");
    text.push_str("  chain forward {\n    type filter hook forward priority 0;\n");
    line(&mut text, format_args!("    ip daddr {SERVICE_RANGE} meta l4proto tcp reject with tcp reset"));
    line(&mut text, format_args!("    ip daddr {SERVICE_RANGE} reject\n  }}\n}}"));
    text
}

fn translation(destination: &Destination) -> String {
    let protocol = destination.protocol.name();
    match destination.endpoints.as_slice() {
        [(address, port)] => format!("meta l4proto {protocol} dnat to {address}:{port}"),
        endpoints => {
            let choices: Vec<String> = endpoints
                .iter()
                .enumerate()
                .map(|(number, (address, port))| format!("{number} : {address} . {port}"))
                .collect();
            format!(
                "meta l4proto {protocol} dnat ip to numgen random mod {} map {{ {} }}",
                endpoints.len(),
                choices.join(", ")
            )
        }
    }
}

/// The rules for `iptables-restore`; they replace everything in the tables `nat` and `filter`.
pub(crate) fn iptables(rules: &Rules) -> String {
    let mut text = String::from("*nat\n:SERVICES - [0:0]\n:EGRESS - [0:0]\n");
    for destination in rules.reachable() {
        iptables_destination(&mut text, destination);
    }
    for range in [POD_RANGE, SERVICE_RANGE, LINK_RANGE, LOOPBACK_RANGE] {
        line(&mut text, format_args!("-A EGRESS -d {range} -j RETURN"));
    }
    line(&mut text, format_args!("-A EGRESS -p tcp -j REDIRECT --to-ports {EGRESS_PORT}"));
    text.push_str("-A PREROUTING -j SERVICES\n");
    line(&mut text, format_args!("-A PREROUTING -i {LINK_PREFIX}+ -j EGRESS"));
    text.push_str("-A OUTPUT -j SERVICES\n");
    for pod in &rules.pods {
        line(&mut text, format_args!("-A POSTROUTING -s {pod} -d {pod} -j MASQUERADE"));
    }
    text.push_str("COMMIT\n*filter\n");
    line(&mut text, format_args!("-A FORWARD -d {SERVICE_RANGE} -p tcp -j REJECT --reject-with tcp-reset"));
    line(&mut text, format_args!("-A FORWARD -d {SERVICE_RANGE} -j REJECT"));
    text.push_str("COMMIT\n");
    text
}

/// Each endpoint is drawn with the chance that gives all of them the same share.
fn iptables_destination(text: &mut String, destination: &Destination) {
    let Destination { address, port, protocol, endpoints } = destination;
    let protocol = protocol.name();
    let mut left = endpoints.len();
    for (endpoint, endpoint_port) in endpoints {
        let chance = match left {
            1 => String::new(),
            left => {
                let share = 1.0 / f64::from(u32::try_from(left).unwrap_or(u32::MAX));
                format!(" -m statistic --mode random --probability {share:.10}")
            }
        };
        line(
            text,
            format_args!(
                "-A SERVICES -d {address} -p {protocol} --dport {port}{chance} -j DNAT --to-destination \
                 {endpoint}:{endpoint_port}"
            ),
        );
        left -= 1;
    }
}

#[cfg(test)]
mod tests;
