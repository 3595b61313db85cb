//! Rules for what happens to a request besides its destination.

use crate::decode;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::{Checker, header};
use crate::virtual_service::{
    Abort, AbortError, CorsPolicy, Delay, HttpDirectResponse, HttpFaultInjection, HttpRedirect, HttpRetry,
    HttpRewrite, HttpRoute, RedirectPort, StringMatch,
};

use super::route;

/// Methods that a cross-origin policy may name.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];

/// Conditions for a retry, HTTP's and gRPC's.
const RETRY_ON: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// Names of gRPC's statuses.
const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Checks everything in a rule but its matches and destinations.
pub(super) fn validate(rule: &HttpRoute, at: &Trail<'_>, check: &mut Checker<'_>) {
    check.headers(&at.key("headers"), rule.headers.as_ref());
    check.duration(&at.key("timeout"), rule.timeout);
    mirrors(rule, at, check);
    authority(rule, at, check);
    if let Some(policy) = &rule.cors_policy {
        cors(policy, &at.key("corsPolicy"), check);
    }
    if let Some(injection) = &rule.fault {
        fault(injection, &at.key("fault"), check);
    }
    if let Some(target) = &rule.redirect {
        redirect(target, rule, &at.key("redirect"), check);
    }
    if let Some(response) = &rule.direct_response {
        direct_response(response, &at.key("directResponse"), check);
    }
    if let Some(policy) = &rule.retries {
        retries(policy, &at.key("retries"), check);
    }
    if let Some(change) = &rule.rewrite {
        rewrite(change, &at.key("rewrite"), check);
    }
}

fn mirrors(rule: &HttpRoute, at: &Trail<'_>, check: &mut Checker<'_>) {
    if let Some(destination) = &rule.mirror {
        route::destination(destination, &at.key("mirror"), check);
    }
    if let Some(percent) = rule.mirror_percent {
        check.whole_percentage(&at.key("mirrorPercent"), percent);
        check
            .note(&at.key("mirrorPercent"), Code::Deprecated, "`mirrorPercent` is deprecated")
            .help(format!("write `mirrorPercentage: {{value: {percent}}}`"));
    }
    check.percentage(&at.key("mirrorPercentage"), rule.mirror_percentage);
    let mirrors_at = at.key("mirrors");
    for (index, mirror) in rule.mirrors.iter().enumerate() {
        let at = mirrors_at.index(index);
        route::destination(&mirror.destination, &at.key("destination"), check);
        check.percentage(&at.key("percentage"), mirror.percentage);
    }
}

/// The authority is set in one place only.
fn authority(rule: &HttpRoute, at: &Trail<'_>, check: &mut Checker<'_>) {
    let mut first =
        rule.rewrite.as_ref().map(|rewrite| rewrite.authority.as_str()).filter(|name| !name.is_empty());
    let Some(request) = rule.headers.as_ref().and_then(|headers| headers.request.as_ref()) else { return };
    let (headers_at, set_at, add_at);
    headers_at = at.key("headers");
    let request_at = headers_at.key("request");
    (set_at, add_at) = (request_at.key("set"), request_at.key("add"));
    for (at, headers) in [(set_at, &request.set), (add_at, &request.add)] {
        for (name, value) in headers.iter().filter(|(name, _)| header::is_authority(name)) {
            match first {
                Some(first) => {
                    let message =
                        format!("the authority is set to `{value}` here and to `{first}` elsewhere");
                    check.note(&at.key(name), Code::AuthorityTwice, message).help("set it in one place");
                }
                None => first = Some(value),
            }
        }
    }
}

fn cors(policy: &CorsPolicy, at: &Trail<'_>, check: &mut Checker<'_>) {
    if !policy.allow_origin.is_empty() {
        check
            .note(&at.key("allowOrigin"), Code::Deprecated, "`allowOrigin` is deprecated")
            .help("write `allowOrigins`, a list of `exact`, `prefix` or `regex`");
    }
    let origins_at = at.key("allowOrigins");
    for (index, origin) in policy.allow_origins.iter().enumerate() {
        let at = origins_at.index(index);
        match origin {
            StringMatch::Regex(pattern) => check.regex(&at.key("regex"), pattern),
            StringMatch::Exact(origin) | StringMatch::Prefix(origin) if !origin.is_empty() => {}
            _ => {
                check.note(
                    &at,
                    Code::EmptyOrigin,
                    "an origin without `exact`, `prefix` or `regex` allows nobody",
                );
            }
        }
    }
    let methods_at = at.key("allowMethods");
    for (index, method) in policy.allow_methods.iter().enumerate() {
        if !METHODS.contains(&method.as_str()) {
            check
                .note(
                    &methods_at.index(index),
                    Code::InvalidMethod,
                    format!("`{method}` is not an HTTP method"),
                )
                .help(format!("known are {}", METHODS.join(", ")));
        }
    }
    for (field, names) in [("allowHeaders", &policy.allow_headers), ("exposeHeaders", &policy.expose_headers)]
    {
        let field_at = at.key(field);
        for (index, name) in names.iter().enumerate() {
            check.cors_header(&field_at.index(index), name);
        }
    }
    check.duration(&at.key("maxAge"), policy.max_age);
    if policy.max_age.is_some_and(|age| age.subsec_nanos() != 0) {
        check.note(&at.key("maxAge"), Code::InvalidDuration, "`maxAge` is told to browsers in whole seconds");
    }
}

fn fault(injection: &HttpFaultInjection, at: &Trail<'_>, check: &mut Checker<'_>) {
    if injection.abort.is_none() && injection.delay.is_none() {
        check.note(at, Code::EmptyFault, "a fault without `delay` or `abort` does nothing");
    }
    if let Some(wait) = &injection.delay {
        delay(wait, &at.key("delay"), check);
    }
    if let Some(error) = &injection.abort {
        abort(error, &at.key("abort"), check);
    }
}

fn delay(delay: &Delay, at: &Trail<'_>, check: &mut Checker<'_>) {
    check.percentage(&at.key("percentage"), delay.percentage);
    check.whole_percentage(&at.key("percent"), delay.percent);
    if delay.percent != 0 {
        check
            .note(&at.key("percent"), Code::Deprecated, "`percent` is deprecated")
            .help(format!("write `percentage: {{value: {}}}`", delay.percent));
    }
    check.duration(&at.key("fixedDelay"), delay.fixed_delay);
    if delay.exponential_delay.is_some() {
        check
            .note(&at.key("exponentialDelay"), Code::Unsupported, "`exponentialDelay` is not supported")
            .help("use `fixedDelay`");
    } else if delay.fixed_delay.is_none() {
        check.note(at, Code::NoEffect, "a delay without `fixedDelay` does nothing");
    } else if delay.share() == 0.0 && delay.percentage.is_none() {
        check
            .note(at, Code::NoEffect, "a delay without `percentage` is applied to no request")
            .help("write `percentage: {value: 100}` for all");
    }
}

fn abort(abort: &Abort, at: &Trail<'_>, check: &mut Checker<'_>) {
    check.percentage(&at.key("percentage"), abort.percentage);
    match &abort.error {
        Some(AbortError::HttpStatus(status)) => http_status(*status, &at.key("httpStatus"), check),
        Some(AbortError::GrpcStatus(status)) if GRPC_STATUS.contains(&status.as_str()) => {}
        Some(AbortError::GrpcStatus(status)) => {
            let found = check.note(
                &at.key("grpcStatus"),
                Code::InvalidGrpcStatus,
                format!("`{status}` is not the name of a gRPC status"),
            );
            match decode::nearest(status, GRPC_STATUS) {
                Some(near) => found.help(format!("did you mean `{near}`?")),
                None => found.help("names are written like `NOT_FOUND`"),
            };
        }
        Some(AbortError::Http2Error(_)) => {
            check.note(&at.key("http2Error"), Code::Unsupported, "`http2Error` is not supported");
        }
        None => {
            check.note(at, Code::NoEffect, "an abort without `httpStatus` or `grpcStatus` does nothing");
        }
    }
    if abort.error.is_some() && abort.percentage.is_none() {
        check
            .note(at, Code::NoEffect, "an abort without `percentage` is applied to no request")
            .help("write `percentage: {value: 100}` for all");
    }
}

fn http_status(status: u32, at: &Trail<'_>, check: &mut Checker<'_>) {
    if !(200..=599).contains(&status) {
        check.note(at, Code::InvalidHttpStatus, format!("a status is from 200 to 599, but this is {status}"));
    }
}

fn redirect(redirect: &HttpRedirect, rule: &HttpRoute, at: &Trail<'_>, check: &mut Checker<'_>) {
    if !redirect.uri.is_empty() && !redirect.prefix_rewrite.is_empty() {
        let message = "a redirect has either `uri` or `prefixRewrite`, not both";
        check.note(&at.key("prefixRewrite"), Code::RedirectConflict, message);
    }
    let by_prefix =
        |condition: &Option<StringMatch>| matches!(condition, None | Some(StringMatch::Prefix(_)));
    if !redirect.prefix_rewrite.is_empty() && !rule.matches.iter().all(|matched| by_prefix(&matched.uri)) {
        let message = "`prefixRewrite` replaces a prefix, but the rule matches `uri` in another way";
        check.note(&at.key("prefixRewrite"), Code::RedirectConflict, message).help("match `uri` by `prefix`");
    }
    let texts = [&redirect.uri, &redirect.prefix_rewrite, &redirect.authority, &redirect.scheme];
    if redirect.port.is_none() && texts.iter().all(|text| text.is_empty()) {
        check
            .note(at, Code::EmptyRedirect, "a redirect to the same place would never end")
            .help("set `uri`, `prefixRewrite`, `authority`, `scheme` or `port`");
    }
    if let Some(code) = redirect.redirect_code
        && code != 0
        && !(300..=399).contains(&code)
    {
        let message = format!("the status of a redirect is from 300 to 399, but this is {code}");
        check.note(&at.key("redirectCode"), Code::InvalidHttpStatus, message);
    }
    if !matches!(redirect.scheme.as_str(), "" | "http" | "https") {
        let message =
            format!("the scheme of a redirect is `http` or `https`, but this is `{}`", redirect.scheme);
        check.note(&at.key("scheme"), Code::InvalidScheme, message);
    }
    if redirect.port == Some(RedirectPort::Number(0)) {
        check.port(&at.key("port"), 0);
    }
}

/// Bodies travel with the configuration to every proxy.
const LARGE_BODY: usize = 100 << 10;
const MAX_BODY: usize = 1 << 20;

fn direct_response(response: &HttpDirectResponse, at: &Trail<'_>, check: &mut Checker<'_>) {
    http_status(response.status, &at.key("status"), check);
    let size = response.body.as_ref().map_or(0, |body| body.as_bytes().len());
    if size > MAX_BODY {
        let message = format!("a body has at most {MAX_BODY} bytes, but this has {size}");
        check.note(&at.key("body"), Code::BodyTooLarge, message).help("serve it from a workload");
    } else if size > LARGE_BODY {
        let message = format!("a body of {size} bytes is sent to every proxy with each change");
        check.note(&at.key("body"), Code::LargeBody, message).help("serve it from a workload");
    }
}

fn retries(policy: &HttpRetry, at: &Trail<'_>, check: &mut Checker<'_>) {
    let configured = policy.per_try_timeout.is_some()
        || !policy.retry_on.is_empty()
        || policy.retry_remote_localities.is_some();
    if policy.attempts == 0 && configured {
        check
            .note(at, Code::RetriesOff, "`attempts` is 0, which turns retries off, but other fields are set")
            .help("set `attempts`, or remove the other fields");
    }
    check.duration(&at.key("perTryTimeout"), policy.per_try_timeout);
    check.duration(&at.key("backoff"), policy.backoff);
    for condition in policy.retry_on.split(',').map(str::trim).filter(|condition| !condition.is_empty()) {
        let status = condition.parse::<u16>().is_ok_and(|status| (100..=599).contains(&status));
        if !status && !RETRY_ON.contains(&condition) {
            let found = check.note(
                &at.key("retryOn"),
                Code::InvalidRetryOn,
                format!("`{condition}` is not a condition for retries"),
            );
            match decode::nearest(condition, RETRY_ON) {
                Some(near) => found.help(format!("did you mean `{near}`?")),
                None => found.help(format!("known are statuses and {}", RETRY_ON.join(", "))),
            };
        }
    }
}

fn rewrite(rewrite: &HttpRewrite, at: &Trail<'_>, check: &mut Checker<'_>) {
    match &rewrite.uri_regex_rewrite {
        Some(_) if !rewrite.uri.is_empty() => {
            let message = "a rewrite has either `uri` or `uriRegexRewrite`, not both";
            check.note(&at.key("uriRegexRewrite"), Code::RewriteConflict, message);
        }
        None if rewrite.uri.is_empty() && rewrite.authority.is_empty() => {
            check
                .note(at, Code::EmptyRewrite, "a rewrite that changes nothing")
                .help("set `uri`, `uriRegexRewrite` or `authority`");
        }
        _ => {}
    }
    if let Some(expression) = &rewrite.uri_regex_rewrite {
        let at = at.key("uriRegexRewrite");
        if expression.pattern.is_empty() {
            check.required(&at.key("match"));
        } else {
            check.regex(&at.key("match"), &expression.pattern);
        }
        if expression.rewrite.is_empty() {
            check.required(&at.key("rewrite"));
        }
    }
}
