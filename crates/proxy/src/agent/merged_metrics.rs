//! One page of metrics for a pod: the proxy's, the agent's and the
//! application's.

use std::fmt::Write as _;
use std::time::Duration;

use super::http_call::{Call, call};
use super::settings::AppMetrics;

/// Stock Envoy serves Istio's metrics below a scope of their own.
const ENVOY_SCOPE: &str = "envoy_istiocustom_";

/// A slow application must not cost the proxy's metrics.
const APP_LIMIT: Duration = Duration::from_secs(5);

/// The application's own metrics; empty when it has none or does not answer.
pub async fn application(metrics: Option<&AppMetrics>) -> String {
    let Some(metrics) = metrics.filter(|metrics| metrics.scrape.parse() == Ok(true)) else {
        return String::new();
    };
    let Ok(port) = metrics.port.parse() else {
        return String::new();
    };
    let path = if metrics.path.is_empty() { "/metrics" } else { &metrics.path };
    match call(Call { limit: APP_LIMIT, ..Call::local(port, path) }).await {
        Ok(answer) if answer.status().is_success() => presentable(&String::from_utf8_lossy(answer.body())),
        Ok(answer) => {
            tracing::debug!(status = answer.status().as_u16(), "the application's metrics");
            String::new()
        }
        Err(error) => {
            tracing::debug!(%error, "the application's metrics");
            String::new()
        }
    }
}

/// What may stand on a merged page. OpenMetrics ends a page with `# EOF`, which
/// would end the merged one; and a line that is none would cost all others.
fn presentable(text: &str) -> String {
    let is_line = |line: &&str| {
        let is_sample = line.starts_with(|first: char| first.is_ascii_alphabetic() || "_:{".contains(first));
        line.starts_with('#') && line.trim() != "# EOF" || is_sample && line.contains(' ')
    };
    let mut kept = String::with_capacity(text.len());
    for line in text.lines().filter(is_line) {
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

/// Stock Envoy's page with Istio's metrics under Istio's names, and `unknown`
/// where a label is empty.
pub fn from_envoy(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    for line in page.lines() {
        match renamed(line) {
            Some(line) => text.push_str(&line),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

fn renamed(line: &str) -> Option<String> {
    if let Some(rest) = line.strip_prefix("# TYPE ") {
        return rest.strip_prefix(ENVOY_SCOPE).map(|rest| format!("# TYPE {rest}"));
    }
    line.strip_prefix(ENVOY_SCOPE)
        .map(|rest| rest.replace("=\"\"", "=\"unknown\"").replace("=\"-\"", "=\"unknown\""))
        .map(|line| restore_flags(&line))
}

/// `response_flags="-"` is the one label whose dash is a value, and what is
/// not gRPC has no status of it, known or not.
fn restore_flags(line: &str) -> String {
    line.replace("response_flags=\"unknown\"", "response_flags=\"-\"")
        .replace("grpc_response_status=\"unknown\"", "grpc_response_status=\"\"")
}

/// The agent's own series.
pub fn agent(version: &str, uptime: Duration) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "# TYPE istio_build gauge");
    let _ = writeln!(text, "istio_build{{component=\"agent\",tag=\"{version}\"}} 1");
    let _ = writeln!(text, "# TYPE istio_agent_uptime_seconds gauge");
    let _ = writeln!(text, "istio_agent_uptime_seconds {}", uptime.as_secs());
    text
}

#[cfg(test)]
mod tests;
