//! The objects of a mesh under test.

use std::fmt::Write as _;
use std::path::Path;

use super::server::{GRPC_PORT, HTTP1_PORT, TCP_PORT};

/// Load and server, with a route and a subset, so that there is something to
/// decide, and so many services that nobody calls.
pub(super) fn with_services(tool: &Path, services: usize) -> String {
    let mut yaml = pods(tool);
    for number in 0..services {
        let _ = write!(yaml, "{}", service(number));
    }
    yaml
}

/// One cluster, virtual host and endpoint more.
fn service(number: usize) -> String {
    let address = format!("10.99.{}.{}", number / 250, number % 250 + 1);
    format!(
        r#"---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: service-{number}}}
spec:
  hosts: [service-{number}.bench.test]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: {address}}}]
"#
    )
}

fn pods(tool: &Path) -> String {
    let tool = tool.display();
    format!(
        r#"apiVersion: v1
kind: Service
metadata: {{name: server}}
spec:
  selector: {{app: server}}
  ports:
  - {{name: http, port: {HTTP1_PORT}}}
  - {{name: grpc, port: {GRPC_PORT}}}
  - {{name: tcp, port: {TCP_PORT}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: server}}
spec:
  selector: {{matchLabels: {{app: server}}}}
  template:
    metadata:
      labels: {{app: server, version: v1, sidecar.istio.io/inject: "false"}}
    spec:
      containers:
      - name: server
        image: lateen/lateen
        command: ["{tool}", "bench-server"]
        readinessProbe: {{tcpSocket: {{port: {HTTP1_PORT}}}, periodSeconds: 1}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: load}}
spec:
  selector: {{matchLabels: {{app: load}}}}
  template:
    metadata:
      labels: {{app: load, version: v1}}
      annotations:
        proxy.istio.io/config: '{{"concurrency": 1}}'
    spec:
      containers:
      - name: load
        image: lateen/lateen
        command: ["/bin/sleep", "infinity"]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: server}}
spec:
  host: server
  subsets: [{{name: v1, labels: {{version: v1}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: server}}
spec:
  hosts: [server]
  http:
  - match: [{{headers: {{x-tenant: {{exact: green}}}}}}]
    route: [{{destination: {{host: server, subset: v1}}}}]
  - route: [{{destination: {{host: server, subset: v1}}}}]
"#
    )
}
