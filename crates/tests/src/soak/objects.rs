//! What people wrote, and what the cluster says: YAML.

use std::net::Ipv4Addr;

use super::servers::{HTTP1_PORT, HTTP2_PORT, TCP_PORT};

/// The service's address.
pub const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
/// The gateway's port for HTTP.
pub const GATEWAY_HTTP: u16 = 8000;
/// The gateway's port for TCP.
pub const GATEWAY_TCP: u16 = 9100;
/// The header that tells which routes are in use.
pub const GENERATION: &str = "x-generation";

/// The service, the gateway, and where it leads.
pub fn always() -> String {
    format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: default}}}}\n---\n\
         {{apiVersion: v1, kind: Namespace, metadata: {{name: istio-system}}}}\n---\n\
         {{apiVersion: v1, kind: ConfigMap, metadata: {{name: istio, namespace: istio-system}}, \
           data: {{mesh: 'accessLogFile: /dev/stdout'}}}}\n---\n\
         {{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {{clusterIP: {SERVICE}, \
           selector: {{app: web}}, ports: [\
           {{name: http, port: {HTTP1_PORT}}}, {{name: http2, port: {HTTP2_PORT}}}, \
           {{name: tcp, port: {TCP_PORT}}}]}}}}\n---\n\
         {{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {{name: front}}, \
           spec: {{selector: {{istio: front}}, servers: [\
           {{port: {{number: {GATEWAY_HTTP}, name: http, protocol: HTTP}}, hosts: ['*']}}, \
           {{port: {{number: {GATEWAY_TCP}, name: tcp, protocol: TCP}}, hosts: ['*']}}]}}}}\n---\n\
         {{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {{name: front-tcp}}, \
           spec: {{hosts: ['*'], gateways: [front], tcp: [{{match: [{{port: {GATEWAY_TCP}}}], \
           route: [{{destination: {{host: web, port: {{number: {TCP_PORT}}}}}}}]}}]}}}}\n"
    )
}

/// Routes that say which generation they are, and of which every other one is
/// built differently.
pub fn routes(generation: u64) -> String {
    let rule = |port: u16, prefix: &str| {
        let conditions = match generation % 2 {
            0 => format!("[{{uri: {{prefix: {prefix}}}}}]"),
            _ => format!(
                "[{{uri: {{prefix: {prefix}x}}}}, {{uri: {{prefix: {prefix}}}, method: {{regex: '.*'}}}}]"
            ),
        };
        format!(
            "{{match: {conditions}, timeout: {}s, \
             headers: {{response: {{set: {{{GENERATION}: '{generation}'}}}}}}, \
             route: [{{destination: {{host: web, port: {{number: {port}}}}}}}]}}",
            120 + generation % 3
        )
    };
    format!(
        "{{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {{name: front}}, \
           spec: {{hosts: ['*'], gateways: [front], http: [{}, {}]}}}}\n---\n\
         {{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {{name: web}}, \
           spec: {{hosts: [web], http: [\
           {{match: [{{port: {HTTP1_PORT}}}], timeout: {}s, \
             headers: {{response: {{set: {{{GENERATION}: '{generation}'}}}}}}, \
             route: [{{destination: {{host: web, port: {{number: {HTTP1_PORT}}}}}}}]}}, \
           {{match: [{{port: {HTTP2_PORT}}}], timeout: {}s, \
             route: [{{destination: {{host: web, port: {{number: {HTTP2_PORT}}}}}}}]}}]}}}}\n",
        rule(HTTP2_PORT, "/two"),
        rule(HTTP1_PORT, "/"),
        120 + generation % 3,
        120 + generation % 2,
    )
}

/// A pod behind the service.
pub fn pod(address: Ipv4Addr) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {}, labels: {{app: web, version: v1}}}}, \
         spec: {{containers: [{{name: app, image: app}}]}}, \
         status: {{phase: Running, podIP: {address}, conditions: [{{type: Ready, status: 'True'}}]}}}}\n---\n",
        pod_name(address)
    )
}

/// The pod's name.
pub fn pod_name(address: Ipv4Addr) -> String {
    format!("web-{}", address.to_string().replace('.', "-"))
}
