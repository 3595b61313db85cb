//! From a configuration and a request that show a difference to the smallest
//! that still do.

use serde_json::Value;

use super::request::{Request, Says};

/// Configurations that have one thing less, the largest things first.
pub fn smaller_objects(objects: &[Value]) -> Vec<Vec<Value>> {
    let mut smaller = Vec::new();
    for at in 0..objects.len() {
        let mut fewer = objects.to_vec();
        fewer.remove(at);
        smaller.push(fewer);
    }
    for (at, object) in objects.iter().enumerate() {
        let mut specs = Vec::new();
        smaller_values(&object["spec"], &mut specs);
        for spec in specs {
            let mut changed = objects.to_vec();
            changed[at]["spec"] = spec;
            smaller.push(changed);
        }
    }
    smaller
}

/// A value without one of its parts, at any depth; outer parts first.
fn smaller_values(value: &Value, smaller: &mut Vec<Value>) {
    match value {
        Value::Object(fields) => {
            for name in fields.keys() {
                let mut fewer = fields.clone();
                fewer.shift_remove(name);
                smaller.push(Value::Object(fewer));
            }
            for (name, inner) in fields {
                let mut inners = Vec::new();
                smaller_values(inner, &mut inners);
                for inner in inners {
                    let mut changed = fields.clone();
                    changed[name] = inner;
                    smaller.push(Value::Object(changed));
                }
            }
        }
        Value::Array(list) => {
            for at in 0..list.len() {
                let mut fewer = list.clone();
                fewer.remove(at);
                smaller.push(Value::Array(fewer));
            }
            for (at, inner) in list.iter().enumerate() {
                let mut inners = Vec::new();
                smaller_values(inner, &mut inners);
                for inner in inners {
                    let mut changed = list.clone();
                    changed[at] = inner;
                    smaller.push(Value::Array(changed));
                }
            }
        }
        _ => {}
    }
}

/// Requests that say less.
pub fn smaller_requests(request: &Request) -> Vec<Request> {
    let Says::Http { version, method, target, headers, body } = &request.says else { return Vec::new() };
    let with = |method: &str, target: &str, headers: Vec<(String, String)>, body: &str| Request {
        to: request.to,
        says: Says::Http {
            version: *version,
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            body: body.to_owned(),
        },
    };
    let mut smaller = Vec::new();
    for at in 0..headers.len() {
        let is_framing = matches!(headers[at].0.as_str(), "Content-Length" | "Transfer-Encoding");
        if headers[at].0 != "host" && !is_framing {
            let mut fewer = headers.clone();
            fewer.remove(at);
            smaller.push(with(method, target, fewer, body));
        }
    }
    if method != "GET" {
        let mut plain = headers.clone();
        plain.retain(|(name, _)| !matches!(name.as_str(), "Content-Length" | "Transfer-Encoding"));
        smaller.push(with("GET", target, plain, ""));
    }
    if let Some((path, _)) = target.split_once('?') {
        smaller.push(with(method, path, headers.clone(), body));
    }
    if target != "/" {
        smaller.push(with(method, "/", headers.clone(), body));
    }
    smaller
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn parts_are_taken_away_at_every_depth() {
        let all = super::smaller_objects(&[json!({"spec": {"a": [1, {"b": 2}]}})]);
        let specs: Vec<_> =
            all.iter().filter_map(|objects| objects.first()).map(|object| &object["spec"]).collect();
        assert_eq!(
            specs,
            [&json!({}), &json!({"a": [{"b": 2}]}), &json!({"a": [1]}), &json!({"a": [1, {}]})]
        );
        assert!(all[0].is_empty());
    }
}
