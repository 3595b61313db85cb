//! A cluster that runs whatever it is given: addresses for Services, ready
//! pods for Deployments.

use std::sync::Arc;

use resources::{Kind, Object, parse_json};
use serde_json::{Value, json};

/// The objects of a YAML text and what a cluster would add to them: cluster
/// IPs from 10.96.1.1, and for each Deployment its pods, ready, from 10.44.0.1.
/// The pods of `reviews-v1` are `reviews-v1-0` and so on.
///
/// # Panics
/// When the text has an error: a test's own input is wrong.
pub fn run(text: &str) -> Vec<Arc<Object>> {
    let parsed = resources::parse("test.yaml", text, "default");
    let errors: Vec<String> =
        parsed.problems.iter().filter(|problem| problem.is_error()).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    run_objects(&parsed.objects)
}

/// The same for objects that are parsed already.
pub fn run_objects(given: &[Arc<Object>]) -> Vec<Arc<Object>> {
    let mut objects = Vec::new();
    let (mut services, mut pods) = (0u8, 0u8);
    for object in given.iter().map(Arc::clone) {
        match object.key.kind {
            Kind::Service if needs_address(&object) => {
                services += 1;
                let mut raw = object.raw.clone();
                raw["spec"]["clusterIP"] = json!(format!("10.96.1.{services}"));
                objects.extend(parse(&raw));
            }
            Kind::Deployment => {
                let replicas = object.as_deployment().map_or(1, |deployment| deployment.replicas());
                for number in 0..replicas {
                    pods += 1;
                    objects.extend(parse(&pod(&object, number, pods)));
                }
                objects.push(object);
            }
            _ => objects.push(object),
        }
    }
    objects
}

/// One object from its JSON form.
///
/// # Panics
/// When it is refused.
pub fn parse(raw: &Value) -> Vec<Arc<Object>> {
    let parsed = parse_json("test", raw, "default");
    assert!(!parsed.has_errors(), "{:?}", parsed.problems);
    parsed.objects
}

fn needs_address(object: &Object) -> bool {
    object
        .as_service()
        .is_some_and(|service| service.spec.cluster_ip.is_empty() && service.spec.external_name.is_empty())
}

fn pod(deployment: &Object, number: u32, address: u8) -> Value {
    let template = &deployment.raw["spec"]["template"];
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{}-{number}", deployment.key.name),
            "namespace": deployment.key.namespace,
            "labels": template["metadata"]["labels"],
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": deployment.key.name,
                "uid": "0",
                "controller": true,
            }],
        },
        "spec": template["spec"],
        "status": {
            "phase": "Running",
            "podIP": format!("10.44.0.{address}"),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}
