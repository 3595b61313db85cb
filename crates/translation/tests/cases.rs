//! Objects in, resources out: each file of `cases/` is YAML objects, then a
//! document that says, in JSON, which node asks and what it should get.
//!
//! `given` names samples whose objects come first; `node` is `sidecar POD` or
//! `router POD`; `clusters`, `listeners` and `routes` are complete lists of
//! names; `show` says of single resources what must be in them: an object
//! holds at least these fields, a list exactly these items. `hide` names
//! resources that must not be there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use translation::node::Node;
use translation::snapshot::{Change, Snapshot};
use xds::resource::ResourceSet;
use xds::type_url::{CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET};

const SEPARATOR: &str = "\n--- # expect\n";

#[test]
fn every_case_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let wrong: Vec<String> = files.iter().filter_map(|file| check(file).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(file: &Path) -> Result<(), String> {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let text = std::fs::read_to_string(file).expect("a case");
    let (objects, expected) = text.split_once(SEPARATOR).unwrap_or_else(|| panic!("{name}: no expectation"));
    let expected: Value = serde_json::from_str(expected).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut given = String::new();
    for sample in expected["given"].as_array().into_iter().flatten() {
        given.push_str(&sample_text(sample.as_str().unwrap_or_default()));
        given.push_str("\n---\n");
    }
    given.push_str(objects);
    let objects = testkit::cluster::run(&given);
    let changes: Vec<Change> = objects.iter().map(|object| Change::Upsert(Arc::clone(object))).collect();
    let snapshot = Snapshot::empty().apply(&changes);
    let node = node(expected["node"].as_str().unwrap_or_default(), &snapshot, &expected["extensions"]);
    let set = translation::generate(&snapshot, &node);
    compare(&set, &expected).map_err(|difference| format!("{name}: {difference}"))
}

fn sample_text(name: &str) -> String {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
    let places = ["bookinfo/platform/kube", "bookinfo/networking", "sleep"];
    let found = places
        .iter()
        .find_map(|place| std::fs::read_to_string(samples.join(place).join(format!("{name}.yaml"))).ok());
    found.unwrap_or_else(|| panic!("no sample `{name}`"))
}

/// `sidecar reviews-v1-0`, in namespace default.
fn node(text: &str, snapshot: &Snapshot, extensions: &Value) -> Node {
    let (kind, pod) = text.split_once(' ').unwrap_or_else(|| panic!("node `{text}`"));
    let (pod, namespace) = pod.split_once('.').unwrap_or((pod, "default"));
    let key = resources::ObjectKey::new(resources::Kind::Pod, namespace, pod);
    let object = snapshot.object(&key).unwrap_or_else(|| panic!("no pod `{pod}`"));
    let address = object.as_pod().map(|pod| pod.status.pod_ip.clone()).unwrap_or_default();
    let json = json!({
        "id": format!("{kind}~{address}~{pod}.{namespace}~{namespace}.svc.cluster.local"),
        "metadata": {
            "LABELS": object.meta.labels,
            "WORKLOAD_NAME": object.meta.owner_references.first().map(|owner| owner.name.clone()),
        },
        "extensions": extensions.as_array().map(|names| json!([{"name": "x", "type_urls": names}]))
            .unwrap_or_else(|| json!([])),
    });
    Node::from_xds(&xds::json::decode(&json).expect("a node")).expect("a node")
}

fn compare(set: &ResourceSet, expected: &Value) -> Result<(), String> {
    for (field, type_url) in [("clusters", CLUSTER), ("listeners", LISTENER), ("routes", ROUTE)] {
        if let Some(names) = expected[field].as_array() {
            let found: Vec<Value> = set
                .get(type_url)
                .into_iter()
                .flat_map(|named| named.keys())
                .map(|name| json!(name))
                .collect();
            if found != *names {
                return Err(format!("{field}: found {}", Value::from(found)));
            }
        }
    }
    for (key, wanted) in expected["show"].as_object().into_iter().flatten() {
        let (kind, name) = key.split_once(' ').unwrap_or_else(|| panic!("`{key}` is not `KIND NAME`"));
        let resource = set.resource(type_url(kind), name).ok_or_else(|| format!("no {kind} `{name}`"))?;
        let found = xds::json::encode_any(&resource.body);
        contains(&found, wanted, key)?;
    }
    for key in expected["hide"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let (kind, name) = key.split_once(' ').unwrap_or_else(|| panic!("`{key}` is not `KIND NAME`"));
        if set.resource(type_url(kind), name).is_some() {
            return Err(format!("there is a {kind} `{name}`"));
        }
    }
    Ok(())
}

fn type_url(kind: &str) -> &'static str {
    match kind {
        "cluster" => CLUSTER,
        "endpoints" => ENDPOINT,
        "listener" => LISTENER,
        "route" => ROUTE,
        "secret" => SECRET,
        other => panic!("unknown kind `{other}`"),
    }
}

/// Says the first place where `found` lacks something of `wanted`.
fn contains(found: &Value, wanted: &Value, path: &str) -> Result<(), String> {
    match (found, wanted) {
        (Value::Object(found_fields), Value::Object(wanted)) => {
            for (key, wanted) in wanted {
                let place = format!("{path}.{key}");
                match found_fields.get(key) {
                    Some(_) if *wanted == json!("ABSENT") => {
                        return Err(format!("{place}: is there: {found}"));
                    }
                    None if *wanted == json!("ABSENT") => {}
                    Some(value) => contains(value, wanted, &place)?,
                    None => return Err(format!("{place}: is not in {found}")),
                }
            }
            Ok(())
        }
        (Value::Array(items), Value::Array(wanted)) if items.len() == wanted.len() => {
            for (at, (item, wanted)) in items.iter().zip(wanted).enumerate() {
                contains(item, wanted, &format!("{path}[{at}]"))?;
            }
            Ok(())
        }
        _ if found == wanted => Ok(()),
        _ => Err(format!("{path}: found {found}")),
    }
}
