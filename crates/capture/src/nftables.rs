//! The rules as `nft` reads them.
//!
//! One table per family, put in place of an older one in a single transaction, so that applying twice is applying
//! once.

use std::fmt::Write;

use crate::Family;
use crate::rules::{Chain, Match, Rule, RuleSet, Verdict};

/// The table's name, as Istio's native nftables mode has it.
pub const TABLE: &str = "istio-proxy-nat";

// A jump needs its target declared before: the kernel's two chains come last.
const CHAINS: [Chain; 6] =
    [Chain::Redirect, Chain::InRedirect, Chain::Inbound, Chain::Outbound, Chain::Prerouting, Chain::Output];

/// Text for `nft -f -`.
pub fn render(set: &RuleSet) -> String {
    let family = match set.family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    let mut text = format!("add table {family} {TABLE}\ndelete table {family} {TABLE}\n");
    line(&mut text, format_args!("table {family} {TABLE} {{"));
    for chain in CHAINS {
        line(&mut text, format_args!("  chain {} {{", name(chain)));
        if let Some(hook) = hook(chain) {
            line(&mut text, format_args!("    {hook}"));
        }
        for rule in set.rules.iter().filter(|rule| rule.chain == chain) {
            line(&mut text, format_args!("    {}", statement(rule, family)));
        }
        text.push_str("  }\n");
    }
    text.push_str("}\n");
    text
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("a String takes any text");
}

fn hook(chain: Chain) -> Option<&'static str> {
    match chain {
        Chain::Prerouting => Some("type nat hook prerouting priority -100; policy accept;"),
        Chain::Output => Some("type nat hook output priority -100; policy accept;"),
        Chain::Inbound | Chain::Redirect | Chain::InRedirect | Chain::Outbound => None,
    }
}

fn statement(rule: &Rule, family: &str) -> String {
    let follows_port = |at: usize| {
        matches!(rule.matches.get(at + 1), Some(Match::Port(_) | Match::NotPort(_) | Match::NotPorts(_)))
    };
    let transport = if rule.matches.contains(&Match::Udp) { "udp" } else { "tcp" };
    let mut words: Vec<String> = Vec::new();
    for (at, condition) in rule.matches.iter().enumerate() {
        // `tcp dport` says TCP by itself, and `udp dport` UDP.
        if matches!(condition, Match::Tcp | Match::Udp) && follows_port(at) {
            continue;
        }
        words.push(expression(condition, family, transport));
    }
    words.push(match rule.verdict {
        Verdict::Return => "return".to_owned(),
        Verdict::Jump(chain) => format!("jump {}", name(chain)),
        Verdict::RedirectTo(port) => format!("redirect to :{port}"),
    });
    words.join(" ")
}

fn expression(condition: &Match, family: &str, transport: &str) -> String {
    match condition {
        Match::InInterface(name) => format!("iifname \"{name}\""),
        Match::OutInterface(name) => format!("oifname \"{name}\""),
        Match::Source(range) => format!("{family} saddr {range}"),
        Match::Destination(range) => format!("{family} daddr {range}"),
        Match::NotDestination(range) => format!("{family} daddr != {range}"),
        Match::Tcp => "meta l4proto tcp".to_owned(),
        Match::Udp => "meta l4proto udp".to_owned(),
        Match::Port(port) => format!("{transport} dport {port}"),
        Match::NotPort(port) => format!("{transport} dport != {port}"),
        Match::NotPorts([one, other]) => format!("{transport} dport != {{ {one}, {other} }}"),
        Match::Uid(uid) => format!("meta skuid {uid}"),
        Match::NotUid(uid) => format!("meta skuid != {uid}"),
        Match::Gid(gid) => format!("meta skgid {gid}"),
        Match::NotGid(gid) => format!("meta skgid != {gid}"),
        Match::Dscp(value) => format!("{family} dscp {value:#04x}"),
        Match::NotDscp(value) => format!("{family} dscp != {value:#04x}"),
    }
}

fn name(chain: Chain) -> &'static str {
    match chain {
        Chain::Prerouting => "prerouting",
        Chain::Output => "output",
        Chain::Inbound => "istio-inbound",
        Chain::Redirect => "istio-redirect",
        Chain::InRedirect => "istio-in-redirect",
        Chain::Outbound => "istio-output",
    }
}
