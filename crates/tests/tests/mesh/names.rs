//! The agent's name server in a mesh: names that only the mesh knows, and a
//! proxy that is replaced while it is asked.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tests::load::{Load, eventually};
use tests::mesh::{DataPlane, Mesh, Person};

/// A client whose questions are captured, and a service that DNS does not know.
const OBJECTS: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: asking
  annotations:
    proxy.istio.io/config: 'proxyMetadata: {ISTIO_META_DNS_CAPTURE: \"true\"}'
spec:
  containers: [{name: main, image: any, command: [sleep, infinity]}]
---
apiVersion: v1
kind: Pod
metadata: {name: server, labels: {app: server}}
spec:
  containers:
  - {name: main, image: lateen/lateen, args: [bookinfo, details, \"9080\"], ports: [{containerPort: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {ports: [{port: 9080, name: http}], selector: {app: server}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: internal}
spec:
  hosts: [address.internal]
  ports: [{number: 9080, name: http, protocol: HTTP}]
  resolution: DNS
  endpoints: [{address: server.default.svc.cluster.local, ports: {http: 9080}}]
";

async fn names_are_answered(person: Person, data_plane: DataPlane) -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let file = folder.path().join("objects.yaml");
    std::fs::write(&file, OBJECTS)?;
    let mesh = Mesh::up_as(person, data_plane, &["-f", file.to_str().context("a path in UTF-8")?])?;
    let ask = |words: &[&str]| {
        let mut command = vec!["exec", "asking", "--"];
        command.extend(words);
        mesh.lateen(&command)
    };
    let mut seen = String::new();
    eventually("the name has an address of its own", Duration::from_secs(10), || {
        seen = ask(&["getent", "ahostsv4", "address.internal"]).unwrap_or_default();
        seen.starts_with("240.240.")
    })
    .await
    .with_context(|| seen)?;
    // Names of the cluster and of the host are answered as before.
    let cluster = ask(&["getent", "ahostsv4", "server"])?;
    ensure!(cluster.starts_with("10.96."), "`server` is {cluster}");
    ensure!(ask(&["getent", "ahostsv4", "no-such-name"]).is_err(), "a name that nobody knows has an address");
    let mut answer = String::new();
    eventually("the address leads to the endpoint", Duration::from_secs(10), || {
        let url = "http://address.internal:9080/details/0";
        answer = ask(&["curl", "-sS", "-m", "5", url]).unwrap_or_default();
        answer.contains("\"author\"")
    })
    .await
    .with_context(|| answer)?;
    let metrics = ask(&["curl", "-sS", "localhost:15020/stats/prometheus"])?;
    let asked = metrics.lines().find_map(|line| line.strip_prefix("istio_agent_dns_requests_total "));
    let asked: u64 = asked.context("no count of questions")?.parse()?;
    ensure!(asked > 0, "no question came to the agent");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captured_names_are_answered_beside_our_proxy() -> Result<()> {
    names_are_answered(Person::Tester, DataPlane::Lateen).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captured_names_are_answered_beside_envoy() -> Result<()> {
    names_are_answered(Person::Tester, DataPlane::Envoy).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn captured_names_are_answered_for_an_ordinary_user() -> Result<()> {
    names_are_answered(Person::Ordinary, DataPlane::Lateen).await
}

/// A second proxy process takes the first one's place in a pod; when the first
/// one's container has ended and starts again, it takes the second one's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_is_replaced_in_its_pod_and_no_request_fails() -> Result<()> {
    let mesh = Mesh::bookinfo(DataPlane::Lateen)?;
    let load = Load::start(mesh.gateway, 200, 10);
    for version in ["reviews-v1", "reviews-v2", "reviews-v3"] {
        let domain = "default.svc.cluster.local";
        let words = ["lateen", "proxy", "sidecar", "--domain", domain, "--proxyLogLevel=warning"];
        let mut command = vec!["exec", version, "-c", "istio-proxy", "--"];
        command.extend(words);
        // It ends when the container's own process has taken over again.
        mesh.lateen(&command).with_context(|| format!("replace the proxy of {version}"))?;
        let status = mesh.json(&["status"])?;
        let pods = status["pods"].as_array().context("pods")?;
        let pod = pods.iter().find(|pod| pod["deployment"] == version).context("a pod")?;
        let containers = pod["containers"].as_array().context("containers")?;
        let proxy =
            containers.iter().find(|container| container["name"] == "istio-proxy").context("a proxy")?;
        ensure!(proxy["restarts"] == 1, "the proxy of {version}: {proxy}");
    }
    let tally = load.finish().await?;
    let failures = &tally.failures;
    ensure!(failures.is_empty(), "{} of {} failed: {:?}", failures.len(), tally.sent, &failures[..1]);
    ensure!(tally.sent > 30, "only {} requests were sent", tally.sent);
    Ok(())
}
