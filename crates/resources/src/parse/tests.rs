//! Tests of reading whole files.

use super::*;
use crate::path::Path;
use crate::virtual_service::StringMatch;

const REVIEWS: &str = "\
# Reviews, half and half.
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: reviews
spec:
  hosts: [reviews]
  http:
  - match:
    - headers:
        end-user:
          exact: jason
    route:
    - destination: {host: reviews, subset: v2}
  - route:
    - destination:
        host: reviews
        subset: v1
      weight: 50
    - destination:
        host: reviews
        subset: v3
      weight: 50
";

#[test]
fn an_object_knows_what_it_is_and_where_every_field_stands() {
    let parsed = parse("reviews.yaml", REVIEWS, "default");
    assert_eq!(parsed.problems, []);
    let object = &parsed.objects[0];
    assert_eq!(object.key.to_string(), "VirtualService/default/reviews");
    assert_eq!(object.meta.namespace, "default");
    assert_eq!(object.raw["metadata"]["namespace"], "default");
    assert_eq!(object.raw["apiVersion"], "networking.istio.io/v1alpha3");
    let content = object.as_virtual_service().expect("a VirtualService");
    assert_eq!(content.http[0].matches[0].headers["end-user"], StringMatch::Exact("jason".to_owned()));
    assert_eq!(content.http[1].route[1].weight, 50);

    let source = &object.source;
    let lines = [
        ("", 2),
        ("kind", 3),
        ("metadata.name", 5),
        ("spec.http[1]", 15),
        ("http[1]", 15),
        ("http[0].match[0].headers[\"end-user\"].exact", 12),
        ("http[1].route[1].destination", 20),
        ("http[1].route[1].destination.host", 21),
        ("http[1].route[1].destination.port.number", 20),
        ("http[1].route[7].weight", 15),
        ("http[9]", 8),
        ("nothing.like.it", 2),
    ];
    for (path, line) in lines {
        assert_eq!(source.line_of(path), line, "{path}");
    }
    assert_eq!(
        source.position_of(&Path::parse("spec.http[1].route[0].weight")),
        Position { line: 19, column: 15 }
    );
    assert_eq!(source.file.as_ref(), "reviews.yaml");
}

#[test]
fn a_problem_is_written_with_its_place() {
    let text = REVIEWS.replace("weight: 50\n    -", "weight: -1\n    -");
    let parsed = parse("reviews.yaml", &text, "default");
    let shown: Vec<String> = parsed.problems.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["reviews.yaml:19:15: error[LT0303]: `weight` must not be negative, but is -1"]);
    let problem = &parsed.problems[0];
    assert_eq!(problem.path, "spec.http[1].route[0].weight");
    assert_eq!(
        problem.object.as_ref().map(ToString::to_string).as_deref(),
        Some("VirtualService/default/reviews")
    );
    assert!(parsed.objects.is_empty() && parsed.has_errors());
}

#[test]
fn one_bad_object_does_not_hurt_the_others() {
    let text = "\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: one}}
- {apiVersion: v1, kind: Service, metadata: {name: bad}, spec: {ports: 5}}
- {apiVersion: v1, kind: Nothing, metadata: {name: bad}}
---
a: [
---
{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"two\", \"namespace\": \"x\"},
 \"spec\": {\"ports\": [{\"port\": 80}]}}
---
";
    let parsed = parse("a.yaml", text, "default");
    let keys: Vec<String> = parsed.objects.iter().map(|object| object.key.to_string()).collect();
    assert_eq!(keys, ["Namespace/one", "Service/x/two"]);
    let places: Vec<(u32, Code)> =
        parsed.problems.iter().map(|problem| (problem.line, problem.code)).collect();
    assert_eq!(places, [(5, Code::WrongType), (6, Code::UnknownKind), (8, Code::Syntax)]);
    assert_eq!(parsed.objects[1].source.line_of("ports[0].port"), 11);
}

#[test]
fn the_last_of_two_objects_counts() {
    let text = "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: one}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: two}}\n";
    let parsed = parse("a.yaml", text, "default");
    assert_eq!(parsed.objects.len(), 1);
    assert_eq!(parsed.objects[0].as_config_map().expect("a ConfigMap").data["x"], "two");
    assert_eq!(parsed.problems[0].code, Code::DuplicateObject);
    assert!(!parsed.has_errors());
}

#[test]
fn an_object_can_be_read_from_json() {
    let json = serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "uid": "1"},
        "spec": {"containers": [{"name": "a", "image": "b"}]},
        "status": {"podIP": "10.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    let parsed = parse_json("kubelet", &json, "prod");
    assert_eq!(parsed.problems, []);
    let pod = parsed.objects[0].as_pod().expect("a Pod");
    assert!(pod.status.is_ready());
    assert_eq!(parsed.objects[0].key.to_string(), "Pod/prod/a");
    assert_eq!(parsed.objects[0].source.line_of("spec.containers[0].name"), 1);
}

#[test]
fn an_object_with_very_many_problems_is_told_in_part() {
    let hosts: String = (0..200).map(|number| format!("  - {number}\n")).collect();
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  hosts:\n{hosts}"
    );
    let parsed = parse("a.yaml", &text, "default");
    assert_eq!(parsed.problems.len(), 51);
    assert_eq!(parsed.problems.iter().filter(|problem| problem.code == Code::TooManyProblems).count(), 1);
}

#[test]
fn large_bodies_are_told() {
    let told = |size: usize| {
        let body = "x".repeat(size);
        let text = format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  hosts: [a]\n  http:\n  - directResponse: {{status: 200, body: {{string: {body}}}}}\n"
        );
        parse("a.yaml", &text, "default").problems.iter().map(|problem| problem.code).collect::<Vec<_>>()
    };
    assert_eq!(told(100 << 10), []);
    assert_eq!(told(101 << 10), [Code::LargeBody]);
    assert_eq!(told((1 << 20) + 1), [Code::BodyTooLarge]);
}

#[test]
fn kinds_are_known_by_all_their_names() {
    for text in [
        "vs",
        "VirtualService",
        "virtualservices",
        "VIRTUALSERVICE",
        "virtualservices.networking.istio.io",
        "vs.v1.networking.istio.io",
    ] {
        assert_eq!(Kind::parse(text), Some(Kind::VirtualService), "{text}");
    }
    assert_eq!(Kind::parse("deploy"), Some(Kind::Deployment));
    assert_eq!(Kind::parse("pods.apps"), None);
    assert_eq!(Kind::parse("gateways.gateway.networking.k8s.io"), None);
    assert_eq!(Kind::parse("nothing"), None);
    for kind in Kind::ALL {
        assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        assert_eq!(Kind::parse(kind.plural()), Some(kind));
        assert_eq!(Kind::of(kind.api_versions()[0], kind.as_str()), Some(kind));
    }
}

#[test]
fn keys_read_back_as_they_are_written() {
    for text in ["VirtualService/default/reviews", "Namespace/default", "Secret/istio-system/a.b"] {
        let key = ObjectKey::parse(text).expect("a key");
        assert_eq!(key.to_string(), text);
    }
    for text in ["VirtualService/reviews", "Nothing/a/b", "Namespace/", "Secret/a/b/c"] {
        assert_eq!(ObjectKey::parse(text), None, "{text}");
    }
}

#[test]
fn paths_read_back_as_they_are_written() {
    for text in [
        "",
        "spec.http[1].match[0].headers[\"end-user\"].exact",
        "metadata.labels[\"app.kubernetes.io/name\"]",
        "a[0][1].b",
    ] {
        assert_eq!(Path::parse(text).to_string(), text);
    }
}
