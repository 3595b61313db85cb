//! A pod with everything it can refer to, for the tests of this folder.

use super::*;

/// Owns what a context borrows.
pub(crate) struct Example {
    objects: BTreeMap<ObjectKey, Arc<Object>>,
    pod: Arc<Object>,
}

impl Example {
    /// The context of the example's pod.
    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            meta: &self.pod.meta,
            pod: self.pod.as_pod().expect("a pod"),
            address: Ipv4Addr::new(10, 44, 0, 7),
            cores: 4,
            memory: 8 << 30,
            objects: &self.objects,
        }
    }
}

const TEXT: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue, size: big}
binaryData: {raw: AAEC}
---
apiVersion: v1
kind: Secret
metadata: {name: passwords}
data: {admin: c2VjcmV0}
---
apiVersion: v1
kind: Pod
metadata:
  name: app-1
  uid: 11111111-2222-4333-8444-555555555555
  labels: {app: shop}
  annotations: {note: some text}
spec:
  serviceAccountName: shop
  containers:
  - name: main
    image: app
    command: [app]
    resources: {limits: {cpu: 1500m, memory: 64Mi}}
    envFrom:
    - {prefix: C_, configMapRef: {name: settings}}
    env:
    - {name: PATH, value: "$(PATH):/own"}
    - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    - {name: NOTE, valueFrom: {fieldRef: {fieldPath: "metadata.annotations['note']"}}}
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: passwords, key: admin}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: JOINED, value: "$(POD):$(COLOR)"}
"#;

/// The example.
pub(crate) fn example() -> Example {
    let parsed = resources::parse("example.yaml", TEXT, "default");
    assert!(!parsed.has_errors(), "{:?}", parsed.problems);
    let objects: BTreeMap<ObjectKey, Arc<Object>> =
        parsed.objects.into_iter().map(|object| (object.key.clone(), object)).collect();
    let pod = objects[&ObjectKey::new(Kind::Pod, "default", "app-1")].clone();
    Example { objects, pod }
}

#[test]
fn quantities_are_numbers() {
    for (text, expected) in [("250m", 0.25), ("2", 2.0), ("1Ki", 1024.0), ("1.5G", 1.5e9)] {
        assert_eq!(quantity(&Value::from(text)), Some(expected));
    }
    assert_eq!(quantity(&Value::from(3)), Some(3.0));
    assert_eq!(quantity(&Value::from("much")), None);
}

#[test]
fn unlimited_is_as_large_as_the_machine() {
    let example = example();
    let context = example.context();
    let reference = serde_json::json!({"resource": "limits.cpu"});
    assert_eq!(context.resource(&reference, &Container::default()), Ok("4".to_owned()));
    let reference = serde_json::json!({"resource": "requests.memory", "containerName": "main"});
    assert_eq!(context.resource(&reference, &Container::default()), Ok("0".to_owned()));
    let reference = serde_json::json!({"resource": "limits.cpu", "containerName": "nobody"});
    assert!(context.resource(&reference, &Container::default()).is_err());
}
