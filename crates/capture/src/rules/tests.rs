//! What each option changes; the whole text is in the golden files.

use super::*;
use crate::arguments::parse;

fn outbound_rules(line: &[&str], family: Family) -> Vec<Rule> {
    let options = parse(line).expect("a known line").options;
    build(&options, family).rules.into_iter().filter(|rule| rule.chain == Chain::Outbound).collect()
}

#[test]
fn no_inbound_ports_means_no_jump_from_prerouting() {
    let options = parse(&["-b", "", "-i", "*"]).expect("a known line").options;
    let rules = build(&options, Family::V4).rules;
    assert!(rules.iter().all(|rule| rule.chain != Chain::Prerouting));
}

#[test]
fn ranges_of_the_other_family_are_left_out() {
    let line = ["-i", "10.0.0.0/8,fd00::/8", "-x", "10.9.0.0/16"];
    let captures = |family| {
        let rules = outbound_rules(&line, family);
        rules.iter().filter(|rule| rule.verdict == Verdict::Jump(Chain::Redirect)).count()
    };
    assert_eq!((captures(Family::V4), captures(Family::V6)), (1, 1));
    let excluded = Match::Destination("10.9.0.0/16".parse().expect("a range"));
    assert!(outbound_rules(&line, Family::V4).iter().any(|rule| rule.matches.contains(&excluded)));
    assert!(!outbound_rules(&line, Family::V6).iter().any(|rule| rule.matches.contains(&excluded)));
}

#[test]
fn excluded_ports_leave_before_anything_else() {
    let rules = outbound_rules(&["-o", "5432", "-i", "*"], Family::V4);
    assert_eq!(rules[0].matches, [Match::Tcp, Match::Port(5432)]);
    assert_eq!(rules[0].verdict, Verdict::Return);
}
