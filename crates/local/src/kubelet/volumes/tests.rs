//! What volumes hold, and that their files change at once.

use super::*;
use crate::kubelet::context::tests::example;

fn volume(yaml: &str) -> Volume {
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers: [{{name: a, image: b}}]\n  volumes:\n  - {yaml}\n"
    );
    let parsed = resources::parse("pod.yaml", &pod, "default");
    assert!(!parsed.has_errors(), "{:?}", parsed.problems);
    parsed.objects[0].as_pod().expect("a pod").spec.volumes[0].clone()
}

fn listed(yaml: &str) -> Vec<String> {
    let example = example();
    match content(&example.context(), &volume(yaml)).expect("content") {
        Content::Empty => vec!["empty".to_owned()],
        Content::Files(files) => files
            .iter()
            .map(|(path, file)| {
                format!(
                    "{} {:o} {}",
                    path.display(),
                    file.mode,
                    String::from_utf8_lossy(&file.bytes).escape_debug()
                )
            })
            .collect(),
    }
}

#[test]
fn every_kind_of_volume_holds_what_it_should() {
    assert_eq!(listed("{name: v, emptyDir: {}}"), ["empty"]);
    assert_eq!(
        listed("{name: v, configMap: {name: settings}}"),
        ["color 644 blue", "raw 644 \\0\\u{1}\\u{2}", "size 644 big"]
    );
    assert_eq!(
        listed(
            "{name: v, configMap: {name: settings, defaultMode: 256, items: [{key: size, path: deep/size}]}}"
        ),
        ["deep/size 400 big"]
    );
    assert_eq!(listed("{name: v, secret: {secretName: passwords}}"), ["admin 644 secret"]);
    assert_eq!(listed("{name: v, configMap: {name: nobody, optional: true}}"), [""; 0]);
    assert_eq!(
        listed("{name: v, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}"),
        ["labels 644 app=\\\"shop\\\""]
    );
    assert_eq!(
        listed(
            "{name: v, projected: {sources: [{secret: {name: passwords}}, {configMap: {name: settings, items: [{key: color, path: c}]}}]}}"
        ),
        ["admin 644 secret", "c 644 blue"]
    );
}

#[test]
fn what_cannot_be_had_is_refused_in_a_sentence() {
    let example = example();
    let refused = |yaml: &str| content(&example.context(), &volume(yaml)).expect_err("a refusal").message;
    assert!(refused("{name: v, hostPath: {path: /etc}}").contains("volume `v` is of kind hostPath"));
    assert!(refused("{name: v, configMap: {name: nobody}}").contains("ConfigMap `nobody` is not there"));
    assert!(
        refused("{name: v, configMap: {name: settings, items: [{key: color, path: ../x}]}}")
            .contains("not inside")
    );
}

#[test]
fn files_change_all_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("v");
    let files = |pairs: &[(&str, &str)]| {
        Content::Files(
            pairs
                .iter()
                .map(|(path, text)| {
                    (PathBuf::from(path), VolumeFile { bytes: text.as_bytes().to_vec(), mode: 0o640 })
                })
                .collect(),
        )
    };
    write(&directory, &files(&[("a", "1"), ("deep/b", "2")]), None).expect("written");
    assert_eq!(fs::read_to_string(directory.join("deep/b")).expect("a file"), "2");
    write(&directory, &files(&[("a", "3"), ("c", "4")]), None).expect("written");
    assert_eq!(fs::read_to_string(directory.join("a")).expect("a file"), "3");
    assert_eq!(fs::read_to_string(directory.join("c")).expect("a file"), "4");
    assert!(!directory.join("deep").exists());
    let mode = fs::metadata(directory.join("a")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let generations = fs::read_dir(&directory).expect("a directory").count();
    assert_eq!(generations, 4, "two links, `..data` and one generation");
}
