//! What `lateen explain` says is what the proxies do: each request is asked
//! about, then really sent, and the access log of the proxy that decided must
//! name a cluster and an endpoint of the answer.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::http::Client;
use tests::mesh::{DataPlane, Mesh};

const GATEWAY: &str = "istio-ingressgateway";

/// How long a line of an access log may wait in a buffer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request; from the gateway's point of view it comes from outside.
struct Sent {
    from: &'static str,
    url: &'static str,
    headers: &'static [&'static str],
}

const fn sent(from: &'static str, url: &'static str, headers: &'static [&'static str]) -> Sent {
    Sent { from, url, headers }
}

/// Under all-v1 and test-v2.
const PINNED: [Sent; 12] = [
    sent("productpage", "http://reviews:9080/reviews/0", &["end-user: jason"]),
    sent("productpage", "http://reviews:9080/reviews/0", &["end-user: jasons"]),
    sent("productpage", "http://reviews.default:9080/reviews/0", &[]),
    sent("productpage", "http://reviews.default.svc.cluster.local:9080/health", &[]),
    sent("productpage", "http://details:9080/details/0", &["end-user: jason"]),
    sent("reviews-v2", "http://ratings:9080/ratings/0", &[]),
    sent("svc/ratings", "http://productpage:9080/productpage", &[]),
    sent("details", "http://istio-ingressgateway.istio-system/productpage", &[]),
    sent("productpage", "http://198.51.100.7:9080/", &[]),
    sent(GATEWAY, "http://127.0.0.1/productpage", &[]),
    sent(GATEWAY, "http://127.0.0.1/static/nothing.css", &[]),
    sent(GATEWAY, "http://127.0.0.1/metrics", &[]),
];

/// Under 90-10 and jason's aborted ratings.
const SHARED: [Sent; 4] = [
    sent("productpage", "http://reviews:9080/reviews/0", &[]),
    sent("productpage", "http://reviews:9080/reviews/1", &["end-user: jason"]),
    sent("reviews", "http://ratings:9080/ratings/0", &["end-user: jason"]),
    sent("reviews", "http://ratings:9080/ratings/0", &[]),
];

/// What the access log says.
#[derive(Debug)]
struct Logged {
    status: String,
    upstream: String,
    cluster: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_agrees_with_stock_envoy() -> Result<()> {
    agrees_with(DataPlane::Envoy).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_agrees_with_our_proxy() -> Result<()> {
    agrees_with(DataPlane::Lateen).await
}

async fn agrees_with(data_plane: DataPlane) -> Result<()> {
    let mesh = Mesh::bookinfo(data_plane)?;
    mesh.apply(&["destination-rule-all"])?;
    mesh.apply(&["virtual-service-all-v1"])?;
    mesh.apply(&["virtual-service-reviews-test-v2"])?;
    agree(&mesh, "pinned", &PINNED).await?;
    mesh.apply(&["virtual-service-reviews-90-10"])?;
    mesh.apply(&["virtual-service-ratings-test-abort"])?;
    agree(&mesh, "shared", &SHARED).await
}

async fn agree(mesh: &Mesh, round: &str, requests: &[Sent]) -> Result<()> {
    let mut explained = Vec::new();
    for (number, request) in requests.iter().enumerate() {
        explained.push(explain(mesh, request)?);
        send(mesh, request, &mark(round, number)).await?;
    }
    for (number, (request, answer)) in requests.iter().zip(&explained).enumerate() {
        let logged = logged(mesh, request.from, &mark(round, number)).await?;
        compare(answer, &logged).with_context(|| {
            format!("{} of {} {:?}: {answer}", request.url, request.from, request.headers)
        })?;
    }
    Ok(())
}

/// The user agent by which a request is found in the log.
fn mark(round: &str, number: usize) -> String {
    format!("agreement-{round}-{number}-")
}

fn explain(mesh: &Mesh, request: &Sent) -> Result<Value> {
    let mut arguments = vec!["explain", "GET", request.url, "--from", request.from];
    request.headers.iter().for_each(|header| arguments.extend(["-H", header]));
    let reply = mesh.json(&arguments)?;
    ensure!(reply["explanation"]["rejected"] == serde_json::json!([]), "rejected: {reply}");
    Ok(reply["explanation"]["answer"].clone())
}

async fn send(mesh: &Mesh, request: &Sent, mark: &str) -> Result<()> {
    if request.from == GATEWAY {
        let path = request.url.trim_start_matches("http://127.0.0.1");
        Client::new(mesh.gateway).get(path, &[("user-agent", mark)]).await?;
        return Ok(());
    }
    let mut arguments = vec!["exec", request.from, "--", "curl", "-sS", "-o", "/dev/null", "-m", "30"];
    arguments.extend(["-A", mark, request.url]);
    request.headers.iter().for_each(|header| arguments.extend(["-H", header]));
    mesh.lateen(&arguments)?;
    Ok(())
}

/// The line that `mark` is in, once the proxy has written it.
async fn logged(mesh: &Mesh, from: &str, mark: &str) -> Result<Logged> {
    let namespace = if from == GATEWAY { "istio-system" } else { "default" };
    let find = async {
        let mut tick = tokio::time::interval(Duration::from_millis(300));
        loop {
            tick.tick().await;
            let log = mesh.lateen(&["logs", from, "-n", namespace, "-c", "istio-proxy"])?;
            // The application may have been asked on behalf of the same client.
            let is_own = |line: &&str| line.contains(mark) && !line.contains(" inbound|");
            if let Some(line) = log.lines().find(is_own) {
                return parse(line).with_context(|| format!("not Istio's line: {line}"));
            }
        }
    };
    tokio::time::timeout(PATIENCE, find).await.with_context(|| format!("no line of `{mark}`"))?
}

/// Of Istio's default format: the status stands after the request line, the
/// upstream host in the seventh pair of quotes, its cluster behind it.
fn parse(line: &str) -> Option<Logged> {
    let parts: Vec<&str> = line.split('"').collect();
    Some(Logged {
        status: parts.get(2)?.split_whitespace().next()?.to_owned(),
        upstream: (*parts.get(13)?).to_owned(),
        cluster: parts.get(14)?.split_whitespace().next()?.to_owned(),
    })
}

fn compare(answer: &Value, logged: &Logged) -> Result<()> {
    if answer["is"] == "noRoute" {
        ensure!(logged.status == "404" && logged.upstream == "-", "{logged:?}");
        return Ok(());
    }
    if answer["faults"]["abortPercent"] == 100.0 {
        let with = answer["faults"]["abort"].as_str().unwrap_or_default();
        ensure!(with == format!("HTTP {}", logged.status) && logged.upstream == "-", "{logged:?}");
        return Ok(());
    }
    ensure!(answer["is"] == "forward", "an answer that no request here gets: {logged:?}");
    let mut destinations = answer["destinations"].as_array().into_iter().flatten();
    let destination = destinations
        .find(|destination| destination["cluster"] == logged.cluster)
        .with_context(|| format!("another cluster: {logged:?}"))?;
    let mut endpoints = destination["endpoints"].as_array().into_iter().flatten();
    ensure!(endpoints.any(|endpoint| endpoint["address"] == logged.upstream), "another endpoint: {logged:?}");
    Ok(())
}
