//! Lines of an access log, taken apart: in Istio's default format, or in JSON
//! with every operator that `operators.txt` lists.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use serde_json::{Value, json};

/// Operators of Envoy, one to a line.
const OPERATORS: &str = include_str!("operators.txt");

/// The fields after the time, in order.
const FIELDS: [&str; 21] = [
    "request",
    "code",
    "flags",
    "details",
    "termination",
    "transport failure",
    "received",
    "sent",
    "duration",
    "service time",
    "forwarded for",
    "user agent",
    "request id",
    "authority",
    "upstream host",
    "cluster",
    "upstream local",
    "local",
    "remote",
    "server name",
    "route",
];

/// A line by its fields' names.
pub type Line = HashMap<String, String>;

/// The mesh's settings for lines in JSON.
pub fn json_settings() -> Value {
    let named = [
        ("cluster", "%UPSTREAM_CLUSTER_RAW%"),
        ("upstream host", "%UPSTREAM_HOST%"),
        ("remote", "%DOWNSTREAM_REMOTE_ADDRESS%"),
        ("user agent", "%REQ(USER-AGENT)%"),
    ];
    let fields = named.into_iter().chain(OPERATORS.lines().map(|operator| (operator, operator)));
    let format: serde_json::Map<String, Value> =
        fields.map(|(name, operator)| (name.to_owned(), json!(operator))).collect();
    let mesh = json!({"accessLogEncoding": "JSON", "accessLogFormat": Value::Object(format).to_string()});
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": mesh.to_string()},
    })
}

/// Lines as they are written.
pub struct Lines {
    path: PathBuf,
    file: Option<File>,
    rest: String,
    by_agent: HashMap<String, Line>,
    by_port: HashMap<u16, Line>,
}

impl Lines {
    /// Of a file that may not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, rest: String::new(), by_agent: HashMap::new(), by_port: HashMap::new() }
    }

    /// Reads what was written since.
    pub fn refresh(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(File::open(&self.path)?);
        }
        if let Some(file) = &mut self.file {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            self.rest.push_str(&String::from_utf8_lossy(&bytes));
        }
        while let Some((line, rest)) = self.rest.split_once('\n') {
            if let Some(line) = parse(line) {
                match line["user agent"].as_str() {
                    "-" | "null" => {
                        let port = line["remote"].rsplit(':').next().and_then(|port| port.parse().ok());
                        self.by_port.insert(port.unwrap_or(0), line);
                    }
                    agent => {
                        self.by_agent.insert(agent.to_owned(), line);
                    }
                }
            }
            self.rest = rest.to_owned();
        }
        Ok(())
    }

    /// The line of a request, by its name or else by the client's port.
    pub fn take(&mut self, id: &str, port: u16) -> Option<Line> {
        self.by_agent.remove(id).or_else(|| self.by_port.remove(&port))
    }

    /// Forgets lines that nobody asked for.
    pub fn clear(&mut self) {
        self.by_agent.clear();
        self.by_port.clear();
    }
}

/// As JSON, for the comparison.
pub fn json(line: Option<&Line>) -> Value {
    let Some(line) = line else { return Value::Null };
    line.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

fn parse(line: &str) -> Option<Line> {
    if line.starts_with('{') {
        return parse_json(line);
    }
    let rest = line.strip_prefix('[')?;
    let (_, mut rest) = rest.split_once("] ")?;
    let mut fields = Line::new();
    for name in FIELDS {
        let value;
        if let Some(quoted) = rest.strip_prefix('"') {
            (value, rest) = quoted.split_once("\" ").or_else(|| quoted.split_once('"'))?;
        } else if name == "details" && rest.contains('{') && rest.find('{') < rest.find(' ') {
            let end = rest.find('}')? + 1;
            (value, rest) = (&rest[..end], rest[end..].trim_start());
        } else if name == "route" {
            (value, rest) = (rest, "");
        } else {
            (value, rest) = rest.split_once(' ')?;
        }
        fields.insert(name.to_owned(), value.to_owned());
    }
    Some(fields)
}

/// Values of operators keep their form: a number is not the text of a number.
fn parse_json(line: &str) -> Option<Line> {
    let fields: serde_json::Map<String, Value> = serde_json::from_str(line).ok()?;
    let text = |name: &str, value: Value| match value {
        Value::String(text) if !name.starts_with('%') => text,
        other => other.to_string(),
    };
    Some(fields.into_iter().map(|(name, value)| (name.clone(), text(&name, value))).collect())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_line_has_all_fields() {
        let line = "[2026-01-01T00:00:00.000Z] \"GET /a HTTP/1.1\" 200 - via_upstream - \"-\" 0 5 3 2 \"-\" \"me\" \"id\" \
            \"web\" \"10.44.2.1:8080\" outbound|80||web 1.1.1.1:1 2.2.2.2:2 3.3.3.3:3 - a b";
        let fields = parse(line).expect("a line");
        assert_eq!((fields["user agent"].as_str(), fields["route"].as_str()), ("me", "a b"));
        assert_eq!(fields["upstream host"], "10.44.2.1:8080");
        assert!(parse("[warning] something").is_none());
    }
}
