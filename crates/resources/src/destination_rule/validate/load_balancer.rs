//! Rules for the choice of an endpoint.

use std::collections::BTreeSet;

use super::locality;
use crate::destination_rule::{
    ConsistentHashLb, HashAlgorithm, HashKey, HttpCookie, LoadBalancerPolicy, LoadBalancerSettings,
    OutlierDetection, SimpleLb,
};
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;

/// Largest table for Maglev, as in Envoy.
const MAX_TABLE: u64 = 5_000_011;

/// Checks the choice of an endpoint.
pub(super) fn validate(
    settings: &LoadBalancerSettings,
    detection: Option<&OutlierDetection>,
    at: &Trail<'_>,
    check: &mut Checker<'_>,
) {
    match &settings.policy {
        Some(LoadBalancerPolicy::ConsistentHash(hash)) => {
            consistent_hash(hash, &at.key("consistentHash"), check)
        }
        Some(LoadBalancerPolicy::Simple(SimpleLb::LeastConn)) => {
            check
                .note(&at.key("simple"), Code::Deprecated, "`LEAST_CONN` is deprecated")
                .help("write `LEAST_REQUEST`, which is the same");
        }
        _ => {}
    }
    if settings.locality_lb_setting.is_some() && settings.zone_aware_lb_setting.is_some() {
        let message = "`localityLbSetting` and `zoneAwareLbSetting` exclude each other";
        check.note(&at.key("zoneAwareLbSetting"), Code::LocalityConflict, message);
    }
    if let Some(setting) = &settings.locality_lb_setting {
        locality::locality(setting, detection, &at.key("localityLbSetting"), check);
    }
    if let Some(setting) = &settings.zone_aware_lb_setting {
        locality::zone_aware(setting, detection, &at.key("zoneAwareLbSetting"), check);
    }
    warmup(settings, at, check);
}

fn warmup(settings: &LoadBalancerSettings, at: &Trail<'_>, check: &mut Checker<'_>) {
    if settings.warmup_duration_secs.is_some() {
        check
            .note(&at.key("warmupDurationSecs"), Code::Deprecated, "`warmupDurationSecs` is deprecated")
            .help("write `warmup: {duration: ...}`");
    }
    let Some(warmup) = &settings.warmup else { return };
    let at = at.key("warmup");
    if warmup.duration.is_none() {
        check.required(&at.key("duration"));
    }
    check.duration(&at.key("duration"), warmup.duration);
    if warmup.minimum_percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
        check.note(&at.key("minimumPercent"), Code::InvalidPercentage, "a percentage is from 0 to 100");
    }
    if warmup.aggression.is_some_and(|aggression| aggression.is_nan() || aggression <= 0.0) {
        check.note(&at.key("aggression"), Code::InvalidWarmup, "`aggression` is greater than 0");
    }
}

fn consistent_hash(hash: &ConsistentHashLb, at: &Trail<'_>, check: &mut Checker<'_>) {
    match &hash.hash_key {
        Some(HashKey::HttpCookie(cookie)) => validate_cookie(cookie, &at.key("httpCookie"), check),
        Some(_) => {}
        None => {
            check
                .note(at, Code::NoEffect, "nothing is said to be hashed, so every request is treated alike")
                .help("set `httpHeaderName`, `httpCookie`, `useSourceIp` or `httpQueryParameterName`");
        }
    }
    if hash.minimum_ring_size != 0 {
        let ring_at = at.key("minimumRingSize");
        check
            .note(&ring_at, Code::Deprecated, "`minimumRingSize` is deprecated here")
            .help(format!("write `ringHash: {{minimumRingSize: {}}}`", hash.minimum_ring_size));
        if hash.algorithm.is_some() {
            check.note(
                &ring_at,
                Code::HashConflict,
                "the algorithm is chosen by `ringHash` or `maglev` already",
            );
        }
    }
    if let Some(HashAlgorithm::Maglev { table_size }) = hash.algorithm
        && (table_size >= MAX_TABLE || !is_prime(table_size))
    {
        let message = format!("the table's size is a prime below {MAX_TABLE}, but this is {table_size}");
        check.note(&at.key("maglev").key("tableSize"), Code::InvalidTable, message).help("65537 is usual");
    }
}

fn validate_cookie(cookie: &HttpCookie, at: &Trail<'_>, check: &mut Checker<'_>) {
    if cookie.name.is_empty() {
        check.required(&at.key("name"));
    }
    let attributes_at = at.key("attributes");
    let mut names = BTreeSet::new();
    for (index, attribute) in cookie.attributes.iter().enumerate() {
        let at = attributes_at.index(index);
        if attribute.name.is_empty() {
            check.required(&at.key("name"));
        } else if !names.insert(attribute.name.as_str()) {
            let message = format!("the attribute `{}` is set above already", attribute.name);
            check.note(&at.key("name"), Code::Duplicate, message);
        }
    }
}

fn is_prime(number: u64) -> bool {
    number >= 2
        && (2..).take_while(|factor| factor * factor <= number).all(|factor| !number.is_multiple_of(factor))
}
