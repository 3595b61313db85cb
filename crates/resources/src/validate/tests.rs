//! Runs the case files: an object, and everything that is found in it.

use std::collections::BTreeSet;

use crate::Kind;
use crate::problem::{Code, Problem};
use crate::test_cases;

/// The file of cases for each of Istio's kinds, where a case is only the `spec`.
const KINDS: [(&str, &str); 6] = [
    ("virtual_service", "VirtualService"),
    ("destination_rule", "DestinationRule"),
    ("gateway", "Gateway"),
    ("service_entry", "ServiceEntry"),
    ("sidecar", "Sidecar"),
    ("peer_authentication", "PeerAuthentication"),
];

/// What is found, without file and place, which the other tests look at.
fn found(text: &str) -> Vec<String> {
    let tell = |problem: Problem| {
        let Problem { severity, code, path, message, help, .. } = problem;
        let path = if path.is_empty() { String::new() } else { format!("{path} ") };
        let help = if help.is_empty() { help } else { format!(" ({help})") };
        format!("{path}{severity}[{code}]: {message}{help}")
    };
    crate::parse("a.yaml", text, "default").problems.into_iter().map(tell).collect()
}

fn found_in_spec(kind: &str, spec: &str) -> Vec<String> {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    let version = Kind::parse(kind).expect("a kind").api_versions()[0];
    found(&format!("apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: a\nspec:\n{spec}"))
}

#[test]
fn every_rule_is_told_with_place_reason_and_help() {
    let mut all = test_cases::check("kubernetes", found);
    for (file, kind) in KINDS {
        all.extend(test_cases::check(file, |spec| found_in_spec(kind, spec)));
    }
    every_code_is_shown(&all);
}

/// A code without a case is a rule that nobody has seen at work.
fn every_code_is_shown(all: &[String]) {
    let elsewhere = [
        Code::TooLarge,
        Code::Unreadable,
        Code::BodyTooLarge,
        Code::LargeBody,
        Code::TooManyProblems,
        Code::ReferencedResourceNotFound,
        Code::ConflictingVirtualServiceHosts,
        Code::PortRequired,
        Code::HostNotInGateway,
        Code::UnknownDestinationRuleHost,
    ];
    let missing: Vec<Code> = Code::ALL
        .iter()
        .copied()
        .filter(|code| !elsewhere.contains(code))
        .filter(|code| !all.iter().any(|finding| finding.contains(&format!("[{code}]"))))
        .collect();
    assert!(missing.is_empty(), "codes without a case: {missing:?}");
}

#[test]
fn codes_are_unlike_each_other_and_have_a_meaning() {
    let texts: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(texts.len(), Code::ALL.len());
    assert!(Code::ALL.iter().all(|code| code.meaning().ends_with('.')));
}
