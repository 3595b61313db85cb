//! Objects as people paste them: images and no commands, and the doors and
//! addresses that follow from them.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::http::Client;
use tests::load::eventually;
use tests::mesh::{DataPlane, Mesh, Person};

/// One service with its account, as charts and samples have them: an image of
/// bookinfo, writable places, no command.
fn version(service: &str, version: &str, registry: &str) -> String {
    format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {service}-{version}
  labels: {{app: {service}, version: {version}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {service}, version: {version}}}}}
  template:
    metadata:
      labels: {{app: {service}, version: {version}}}
      annotations: {{prometheus.io/scrape: \"true\", prometheus.io/port: \"9080\", prometheus.io/path: /metrics}}
    spec:
      serviceAccountName: bookinfo-{service}
      containers:
      - name: {service}
        image: {registry}/examples-bookinfo-{service}-{version}:1.20.3
        imagePullPolicy: IfNotPresent
        env: [{{name: LOG_DIR, value: /tmp/logs}}]
        ports: [{{containerPort: 9080}}]
        volumeMounts:
        - {{name: tmp, mountPath: /tmp}}
        - {{name: output, mountPath: /opt/ibm/wlp/output}}
      volumes:
      - {{name: output, emptyDir: {{}}}}
      - {{name: tmp, emptyDir: {{}}}}
"
    )
}

fn service(name: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Service
metadata: {{name: {name}, labels: {{app: {name}, service: {name}}}}}
spec: {{ports: [{{port: 9080, name: http}}], selector: {{app: {name}}}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: bookinfo-{name}, labels: {{account: {name}}}}}
"
    )
}

fn pasted_bookinfo() -> String {
    let mut text = String::new();
    for (name, versions, registry) in [
        ("details", &["v1"][..], "docker.io/istio"),
        ("ratings", &["v1"], "docker.io/istio"),
        ("reviews", &["v1", "v2", "v3"], "registry.istio.io/release"),
        ("productpage", &["v1"], "docker.io/istio"),
    ] {
        text += &service(name);
        text.extend(versions.iter().map(|it| version(name, it, registry)));
    }
    text
}

/// A pod that only waits to be asked for commands, injected or not.
fn client(name: &str, inject: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec: {{ports: [{{port: 80, name: http}}], selector: {{app: {name}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}, sidecar.istio.io/inject: \"{inject}\"}}}}
    spec:
      terminationGracePeriodSeconds: 0
      serviceAccountName: {name}
      containers:
      - name: {name}
        image: curlimages/curl
        command: [/bin/sleep, infinity]
        imagePullPolicy: IfNotPresent
        volumeMounts: [{{mountPath: /etc/{name}/tls, name: secret-volume}}]
      volumes:
      - name: secret-volume
        secret: {{secretName: {name}-secret, optional: true}}
"
    )
}

const GATEWAY: &str = "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: pages}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: [\"*\"]}
  - {port: {number: 8443, name: more, protocol: HTTP}, hosts: [\"*\"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pages}
spec:
  hosts: [\"*\"]
  gateways: [pages]
  http:
  - match: [{port: 8443}]
    directResponse: {status: 299}
  - route: [{destination: {host: productpage, port: {number: 9080}}}]
";

/// A folder that everybody may read, with one file in it.
fn file(text: &str) -> Result<(tempfile::TempDir, String)> {
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let path = folder.path().join("pasted.yaml");
    std::fs::write(&path, text)?;
    let path = path.to_str().context("a path in UTF-8")?.to_owned();
    Ok((folder, path))
}

fn door(status: &Value, port: u16) -> Option<SocketAddr> {
    let doors = status["doors"].as_array()?.iter();
    doors.filter(|door| door[0] == port).find_map(|door| door[1].as_str()?.parse().ok())
}

/// What people paste from elsewhere runs; a client with a sidecar and one
/// without reach it by name; another port of a Gateway has a door of its own.
async fn pasted_objects_run(person: Person) -> Result<()> {
    let (_folder, bookinfo) = file(&format!("{}{}", pasted_bookinfo(), client("sleep", "true")))?;
    let mesh = Mesh::up_as(person, DataPlane::Lateen, &["-f", &bookinfo])?;
    let (_folder, more) = file(&format!("{}{GATEWAY}", client("curl", "false")))?;
    ensure!(door(&mesh.json(&["status"])?, 8443).is_none(), "a door that nobody asked for");
    mesh.lateen(&["apply", "-f", &more])?;
    eventually("both clients see the page, and the door is open", Duration::from_secs(20), || {
        let page = |client: &str| {
            let page = mesh.lateen(&["exec", client, "--", "curl", "-sS", "productpage:9080/productpage"]);
            page.is_ok_and(|page| page.contains("<title>Simple Bookstore App</title>"))
        };
        let status = mesh.json(&["status"]).unwrap_or_default();
        page("sleep") && page("curl") && door(&status, 8443).is_some()
    })
    .await?;

    let page = Client::new(mesh.gateway).get("/productpage", &[]).await?;
    ensure!(page.status == 200, "the gateway answers {}", page.status);
    let second = door(&mesh.json(&["status"])?, 8443).context("a door")?;
    let answer = Client::new(second).get("/productpage", &[]).await?;
    ensure!(answer.status == 299, "the door to port 8443 answers {}", answer.status);
    ensure!(mesh.lateen(&["status"])?.contains(&format!("gateway port 8443: {second}")), "status is silent");

    mesh.lateen(&["delete", "gateway", "pages"])?;
    eventually("the door closes", Duration::from_secs(5), || std::net::TcpStream::connect(second).is_err())
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pasted_objects_run_as_root() -> Result<()> {
    pasted_objects_run(Person::Tester).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pasted_objects_run_as_an_ordinary_user() -> Result<()> {
    pasted_objects_run(Person::Ordinary).await
}

/// An address of this machine that is not loopback; nothing is sent.
fn own_address() -> Result<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect("192.0.2.1:9").context("this machine has no network: set `LATEEN_SKIP=mesh`")?;
    Ok(socket.local_addr()?.ip())
}

/// A server of the host that says how often it was asked.
fn outside() -> Result<SocketAddr> {
    let listener = TcpListener::bind((own_address()?, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes);
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\noutside");
        }
    });
    Ok(address)
}

/// Hosts outside of the mesh are reached by address and by name, with a sidecar
/// and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outside_is_reached_with_a_sidecar_and_without() -> Result<()> {
    let outside = outside()?;
    let (_folder, hosts) = file(&format!("127.0.0.1 localhost\n{} outside.test\n", outside.ip()))?;
    let (_folder, objects) = file(&format!("{}{}", client("sleep", "true"), client("bare", "false")))?;
    for person in [Person::Tester, Person::Ordinary] {
        let mesh = Mesh::up_where(person, DataPlane::Lateen, &["-f", &objects], Some(Path::new(&hosts)))?;
        let urls = [format!("http://{outside}/"), format!("http://outside.test:{}/", outside.port())];
        for client in ["sleep", "bare"] {
            for url in &urls {
                let answer = mesh.lateen(&["exec", client, "--", "curl", "-sS", "-m", "5", url])?;
                ensure!(answer == "outside", "{client} asked {url}: {answer}");
            }
        }
    }
    Ok(())
}
