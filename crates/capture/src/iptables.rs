//! The rules as `iptables-restore` reads them.

use std::fmt::Write;

use crate::rules::{Chain, Match, Rule, RuleSet, Verdict};

const CHAINS: [Chain; 4] = [Chain::Inbound, Chain::Redirect, Chain::InRedirect, Chain::Outbound];

/// Text for `iptables-restore --noflush`, or `ip6tables-restore` when the set is for IPv6.
pub fn render(set: &RuleSet) -> String {
    let mut text = String::from("* nat\n");
    for chain in CHAINS {
        line(&mut text, format_args!("-N {}", name(chain)));
    }
    for rule in &set.rules {
        line(&mut text, format_args!("{}", append(rule)));
    }
    text.push_str("COMMIT\n");
    text
}

/// Text that takes the rules of [`render`] away again, for `iptables-restore --noflush`.
///
/// It fails when they are not there.
pub fn render_removal(set: &RuleSet) -> String {
    let mut text = String::from("* nat\n");
    let of_kernel = |rule: &&Rule| matches!(rule.chain, Chain::Prerouting | Chain::Output);
    for rule in set.rules.iter().filter(of_kernel) {
        line(&mut text, format_args!("{}", append(rule).replacen("-A", "-D", 1)));
    }
    for chain in CHAINS {
        line(&mut text, format_args!("-F {}", name(chain)));
    }
    for chain in CHAINS {
        line(&mut text, format_args!("-X {}", name(chain)));
    }
    text.push_str("COMMIT\n");
    text
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    writeln!(text, "{words}").expect("a String takes any text");
}

fn append(rule: &Rule) -> String {
    let mut words = vec![format!("-A {}", name(rule.chain))];
    words.extend(rule.matches.iter().map(condition));
    words.push(match rule.verdict {
        Verdict::Return => "-j RETURN".to_owned(),
        Verdict::Jump(chain) => format!("-j {}", name(chain)),
        Verdict::RedirectTo(port) => format!("-j REDIRECT --to-ports {port}"),
    });
    words.join(" ")
}

fn condition(condition: &Match) -> String {
    match condition {
        Match::InInterface(name) => format!("-i {name}"),
        Match::OutInterface(name) => format!("-o {name}"),
        Match::Source(range) => format!("-s {range}"),
        Match::Destination(range) => format!("-d {range}"),
        Match::NotDestination(range) => format!("! -d {range}"),
        Match::Tcp => "-p tcp".to_owned(),
        Match::Udp => "-p udp".to_owned(),
        Match::Port(port) => format!("--dport {port}"),
        Match::NotPort(port) => format!("! --dport {port}"),
        Match::NotPorts([one, other]) => format!("-m multiport ! --dports {one},{other}"),
        Match::Uid(uid) => format!("-m owner --uid-owner {uid}"),
        Match::NotUid(uid) => format!("-m owner ! --uid-owner {uid}"),
        Match::Gid(gid) => format!("-m owner --gid-owner {gid}"),
        Match::NotGid(gid) => format!("-m owner ! --gid-owner {gid}"),
        Match::Dscp(value) => format!("-m dscp --dscp {value:#04x}"),
        Match::NotDscp(value) => format!("-m dscp ! --dscp {value:#04x}"),
    }
}

fn name(chain: Chain) -> &'static str {
    match chain {
        Chain::Prerouting => "PREROUTING",
        Chain::Output => "OUTPUT",
        Chain::Inbound => "ISTIO_INBOUND",
        Chain::Redirect => "ISTIO_REDIRECT",
        Chain::InRedirect => "ISTIO_IN_REDIRECT",
        Chain::Outbound => "ISTIO_OUTPUT",
    }
}
