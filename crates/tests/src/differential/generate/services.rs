//! Services and pods: the same in every configuration.

/// The service whose versions get shares.
pub(super) const SPLIT: &str = "split";
/// The shares of its first version, in percent.
pub(super) const SHARES: [u16; 4] = [10, 50, 75, 90];

/// YAML of what is always there.
pub(super) fn always() -> String {
    let mut text = String::new();
    for namespace in ["default", "shop", "istio-system"] {
        push(&mut text, &format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {namespace}}}}}"));
    }
    let many = "{name: http, port: 80, targetPort: 8080}, {name: http-more, port: 8081, targetPort: 8081}, \
        {name: tcp, port: 9000, targetPort: 9000}, {name: tls-in, port: 9443, targetPort: 9001}, \
        {name: any, port: 7000, targetPort: 8082}, {name: http2, port: 8083, targetPort: 8083}, \
        {name: grpc-web, port: 8084, targetPort: 8084}, \
        {name: odd, appProtocol: kubernetes.io/h2c, port: 8085, targetPort: 8083}";
    service(&mut text, "default", "web", "10.96.0.1", many);
    service(&mut text, "default", "api", "10.96.0.2", "{name: http, port: 80, targetPort: 8080}");
    service(&mut text, "default", "auto", "10.96.0.3", "{name: web, port: 80, targetPort: 8082}");
    service(&mut text, "shop", "cart", "10.96.0.4", "{name: http-web, port: 80, targetPort: 8080}");
    service(
        &mut text,
        "default",
        "dead",
        "10.96.0.5",
        "{name: http, port: 80, targetPort: 7999}, {name: tcp, port: 9000, targetPort: 7999}",
    );
    service(
        &mut text,
        "default",
        "empty",
        "10.96.0.6",
        "{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 9000, targetPort: 9000}",
    );
    service(
        &mut text,
        "default",
        "headless",
        "None",
        "{name: http, port: 8080, targetPort: 8080}, {name: tcp, port: 9000, targetPort: 9000}",
    );
    let own = "{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 9000, targetPort: 9000}, \
        {name: any, port: 8082, targetPort: 8082}, {name: grpc, port: 8083, targetPort: 8083}";
    service(&mut text, "default", "probe", "10.96.0.9", own);
    service(&mut text, "default", SPLIT, "10.96.0.8", "{name: http, port: 80, targetPort: 8080}");
    push(&mut text, &split());
    let mut pod = |namespace: &str, app: &str, version: &str, address: &str| {
        push(
            &mut text,
            &format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: {app}-{version}, namespace: {namespace}, \
                 labels: {{app: {app}, version: {version}}}}}, spec: {{containers: [{{name: app, image: app}}]}}, \
                 status: {{phase: Running, podIP: {address}, conditions: [{{type: Ready, status: 'True'}}]}}}}"
            ),
        );
    };
    pod("default", "web", "v1", "10.44.2.1");
    pod("default", "web", "v2", "10.44.2.2");
    pod("default", "api", "v1", "10.44.2.3");
    pod("default", "auto", "v1", "10.44.2.4");
    pod("shop", "cart", "v1", "10.44.2.5");
    pod("default", "dead", "v1", "10.44.2.6");
    pod("default", "headless", "v1", "10.44.2.7");
    pod("default", SPLIT, "v1", "10.44.2.8");
    pod("default", SPLIT, "v2", "10.44.2.9");
    pod("default", "probe", "v1", "10.44.1.1");
    text
}

/// Pairs of subsets between which requests are split, named by the first one's
/// share: so clusters tell how likely they are.
fn split() -> String {
    let pairs = SHARES.map(|share| {
        format!(
            "{{name: {share}-first, labels: {{version: v1}}}}, {{name: {share}-second, labels: {{version: v2}}}}"
        )
    });
    format!(
        "{{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {{name: {SPLIT}, namespace: default}}, \
         spec: {{host: {SPLIT}, subsets: [{}]}}}}",
        pairs.join(", ")
    )
}

fn service(text: &mut String, namespace: &str, name: &str, address: &str, ports: &str) {
    push(
        text,
        &format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {namespace}}}, \
             spec: {{clusterIP: {address}, selector: {{app: {name}}}, ports: [{ports}]}}}}"
        ),
    );
}

fn push(text: &mut String, document: &str) {
    text.push_str("---\n");
    text.push_str(document);
    text.push('\n');
}
