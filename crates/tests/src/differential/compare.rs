//! What came of a request through each data plane, side by side.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::mask::{self, Still};

use super::access_log::{self, Line};
use super::request::{End, Reply};
use super::world::{GATEWAY, SIDECAR};

/// Answers may be so far apart and count as equally fast.
const TOLERANCE: Duration = Duration::from_millis(90);

/// All that is known of a request through one data plane.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// At the client.
    pub reply: Reply,
    /// At the servers, each attempt.
    pub backend: Vec<Value>,
    /// In the access log.
    pub line: Option<Line>,
}

/// A value that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub at: String,
    /// What Envoy made of it.
    pub envoy: String,
    /// What our proxy made of it.
    pub lateen: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: envoy {}, lateen {}", self.at, self.envoy, self.lateen)
    }
}

/// Everything that differs and may not.
pub fn compare(envoy: &Observed, lateen: &Observed) -> Vec<Difference> {
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    flatten(&view(envoy), &mut Vec::new(), &mut left);
    flatten(&view(lateen), &mut Vec::new(), &mut right);
    let mut differences = Vec::new();
    let places: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    for place in places {
        let still = mask::at(place).map(|allowed| allowed.still);
        let (one, other) = (shown(left.get(place), still), shown(right.get(place), still));
        if one != other {
            differences.push(Difference { at: place.join("/"), envoy: one, lateen: other });
        }
    }
    let (fast, slow) = (envoy.reply.took.min(lateen.reply.took), envoy.reply.took.max(lateen.reply.took));
    let broken = [envoy, lateen].iter().all(|seen| seen.reply.end != End::Whole);
    let place = if broken { "broken time" } else { "time" };
    let is_allowed = mask::at(&[place.to_owned()]).is_some();
    if slow - fast > TOLERANCE && !is_allowed {
        let took = |reply: &Reply| format!("{} ms", reply.took.as_millis());
        let (one, other) = (took(&envoy.reply), took(&lateen.reply));
        differences.push(Difference { at: place.to_owned(), envoy: one, lateen: other });
    }
    differences
}

fn view(observed: &Observed) -> Value {
    let mut line = access_log::json(observed.line.as_ref());
    let mut backend = observed.backend.clone();
    // Without a subset, a balancer may take any of the endpoints.
    let drawn = line["cluster"].as_str().is_some_and(is_drawn);
    if drawn && let Some(host) = line["upstream host"].as_str().and_then(|host| host.rsplit(':').next()) {
        line["upstream host"] = json!(format!("any:{host}"));
        for (name, value) in line.as_object_mut().into_iter().flatten() {
            if name.starts_with("%UPSTREAM_HOST") || name.starts_with("%UPSTREAM_REMOTE_ADDRESS") {
                *value = json!("any");
            }
        }
    }
    // Our proxy repeats what a connection that was kept may never have brought
    // to the server; decision 22.
    backend.dedup_by(|next, before| is_same_attempt(next, before));
    for attempt in &mut backend {
        if drawn {
            attempt["host"] = json!("any");
        }
        // Each attempt is another request; what is said of the last is said of all.
        attempt["headers"].as_object_mut().map(|headers| headers.remove("user-agent"));
    }
    if line.is_object() {
        line["user agent"] = json!("");
    }
    // Envoy counts an interim answer that was the last; decision 42.
    if line["%RESPONSE_CODE%"] == json!("100") {
        line["%RESPONSE_CODE%"] = json!("0");
    }
    let (copies, mut backend): (Vec<Value>, Vec<Value>) = backend.into_iter().partition(is_copy);
    if let Some(mut copy) = copies.first().cloned() {
        copy["copies"] = json!(copies.len());
        // Stock Envoy takes the first address of its interface for its own,
        // which is the sidecar's in this world.
        if let Some(hops) = copy["headers"]["x-forwarded-for"].as_str() {
            copy["headers"]["x-forwarded-for"] =
                json!(hops.replace(&GATEWAY.to_string(), &SIDECAR.to_string()));
        }
        backend.push(copy);
    }
    let mut client = observed.reply.json();
    if observed.reply.headers.is_empty()
        && let Some(body) = client["body"].as_str().and_then(without_date)
    {
        client["body"] = json!(body);
    }
    let mut view = json!({"client": client, "backend": backend, "log": line});
    forget_versions(&mut view);
    view
}

/// Whether it is the copy of a request.
fn is_copy(attempt: &Value) -> bool {
    let host = attempt["headers"]["host"].as_str().unwrap_or_default();
    host.split(':').next().is_some_and(|name| name.ends_with("-shadow"))
}

/// Which of two versions gets a request is chance where it is split between
/// them; how many each gets is counted.
fn forget_versions(value: &mut Value) {
    match value {
        Value::String(text) if share_of(text).is_some() => {
            *text = text.replace("-first|", "|").replace("-second|", "|");
        }
        Value::Array(list) => list.iter_mut().for_each(forget_versions),
        Value::Object(fields) => fields.values_mut().for_each(forget_versions),
        _ => {}
    }
}

/// Of a cluster that gets a share: how large the first one's is, and whether
/// this is the first.
pub fn share_of(cluster: &str) -> Option<(u16, bool)> {
    let (share, which) = cluster.split('|').nth(2)?.split_once('-')?;
    Some((share.parse().ok()?, which == "first"))
}

/// An answer of HTTP to bytes that were none, without its time.
fn without_date(body: &str) -> Option<String> {
    let (before, rest) = body.split_once("\ndate: ")?;
    let (_, after) = rest.split_once('\r')?;
    Some(format!("{before}\ndate: \r{after}"))
}

/// Whether chance says which endpoint is taken.
fn is_drawn(cluster: &str) -> bool {
    cluster.contains("||") || share_of(cluster).is_some()
}

/// Whether a request came again as it was: another attempt has another number.
fn is_same_attempt(one: &Value, other: &Value) -> bool {
    ["line", "headers", "body"].iter().all(|part| one[*part] == other[*part])
}

/// Values by their paths; lists of texts are values.
fn flatten(value: &Value, path: &mut Vec<String>, found: &mut BTreeMap<Vec<String>, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                path.push(name.clone());
                flatten(value, path, found);
                path.pop();
            }
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            for (at, value) in list.iter().enumerate() {
                path.push(at.to_string());
                flatten(value, path, found);
                path.pop();
            }
        }
        other => {
            found.insert(path.clone(), other.clone());
        }
    }
}

fn shown(value: Option<&Value>, still: Option<Still>) -> String {
    let text = match value {
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(value) => value.to_string(),
    };
    let is_there = !matches!(text.as_str(), "nothing" | "\"-\"" | "\"\"" | "\"null\"" | "[]");
    match still {
        None => text,
        Some(Still::Nothing) => String::new(),
        Some(Still::Presence) => if is_there { "something" } else { "nothing" }.to_owned(),
        Some(Still::Ended) => text.replace("Reset", "Closed"),
        Some(Still::Host) => text.rsplit_once(':').map_or(text.clone(), |(host, _)| host.to_owned()),
    }
}
