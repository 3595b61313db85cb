//! Every kind of probe, before and after.

use super::*;

#[test]
fn probes_go_through_the_agent_and_commands_do_not() {
    let mut pod = json!({"spec": {"containers": [
        {
            "name": "app",
            "ports": [{"name": "web", "containerPort": 9080}],
            "livenessProbe": {"httpGet": {"path": "/health", "port": "web"}, "timeoutSeconds": 4, "periodSeconds": 7},
            "readinessProbe": {"tcpSocket": {"port": 5432}},
            "startupProbe": {"exec": {"command": ["true"]}},
            "lifecycle": {"preStop": {"httpGet": {"path": "/bye", "port": 9080, "scheme": "HTTPS"}}, "postStart": {"exec": {"command": ["x"]}}},
        },
        {"name": "rpc", "livenessProbe": {"grpc": {"port": 7, "service": "s"}}},
        {"name": "lost", "livenessProbe": {"httpGet": {"port": "nowhere"}}},
        {"name": "istio-proxy", "readinessProbe": {"httpGet": {"path": "/healthz/ready", "port": 15021}}},
    ]}});
    let originals = rewrite(&mut pod, 15020, "istio-proxy");
    let app = &pod["spec"]["containers"][0];
    assert_eq!(
        app["livenessProbe"],
        json!({"httpGet": {"path": "/app-health/app/livez", "port": 15020}, "timeoutSeconds": 4, "periodSeconds": 7})
    );
    assert_eq!(app["readinessProbe"], json!({"httpGet": {"path": "/app-health/app/readyz", "port": 15020}}));
    assert_eq!(app["startupProbe"], json!({"exec": {"command": ["true"]}}));
    assert_eq!(
        app["lifecycle"]["preStop"],
        json!({"httpGet": {"path": "/app-lifecycle/app/preStop", "port": 15020}})
    );
    assert_eq!(app["lifecycle"]["postStart"], json!({"exec": {"command": ["x"]}}));
    assert_eq!(pod["spec"]["containers"][2]["livenessProbe"], json!({"httpGet": {"port": "nowhere"}}));
    assert_eq!(pod["spec"]["containers"][3]["readinessProbe"]["httpGet"]["port"], 15021);
    assert_eq!(
        json!(originals),
        json!({
            "/app-health/app/livez": {"httpGet": {"path": "/health", "port": 9080}, "timeoutSeconds": 4},
            "/app-health/app/readyz": {"tcpSocket": {"port": 5432}},
            "/app-health/rpc/livez": {"grpc": {"port": 7, "service": "s"}},
            "/app-lifecycle/app/preStop": {"httpGet": {"path": "/bye", "port": 9080, "scheme": "HTTPS"}},
        })
    );
}
