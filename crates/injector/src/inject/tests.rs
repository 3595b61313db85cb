//! Golden pods in `testdata/`: what a user writes, and what runs.
//!
//! `REGENERATE=1 cargo test -p injector` writes the expected files anew.

use std::path::{Path, PathBuf};

use capture::ProxyMatch;

use super::*;
use crate::settings::Environment;

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root).expect("testdata").map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders
}

/// The settings whose name ends a folder's.
fn settings(folder: &Path) -> Settings {
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    match name.rsplit('.').next().expect("a part") {
        "local" => Settings {
            environment: Environment::Local,
            native_sidecars: true,
            agent_program: None,
            ca_address: String::new(),
            proxy_match: ProxyMatch::Dscp(capture::PROXY_DSCP),
            proxy_environment: vec![("EXTRA".to_owned(), "yes".to_owned())],
            ..Settings::default()
        },
        "native" => Settings { native_sidecars: true, ..Settings::default() },
        _ => Settings::default(),
    }
}

#[test]
fn pods_become_what_is_expected() {
    for folder in folders() {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let pod: Value =
            serde_json::from_str(&read("pod.json")).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let actual = match inject(pod, &settings(&folder)) {
            Ok(patched) => serde_json::to_string_pretty(&patched).expect("JSON"),
            Err(error) => format!("error: {error}"),
        };
        let actual = format!("{actual}\n");
        let path = folder.join("expected");
        if regenerates() {
            std::fs::write(&path, &actual).expect("a writable file");
        }
        assert_eq!(actual, read("expected"), "{}", folder.display());
    }
}

#[test]
fn a_patched_pod_is_one_that_kubernetes_would_take() {
    for folder in folders() {
        let text = std::fs::read_to_string(folder.join("pod.json")).expect("a pod");
        let pod: Value = serde_json::from_str(&text).expect("JSON");
        let Ok(mut patched) = inject(pod, &settings(&folder)) else { continue };
        patched["apiVersion"] = json!("v1");
        patched["kind"] = json!("Pod");
        let parsed = resources::parse_json("pod.json", &patched, "default");
        assert!(parsed.problems.is_empty(), "{}: {:?}", folder.display(), parsed.problems);
    }
}

#[expect(clippy::disallowed_methods, reason = "the switch of the golden files")]
fn regenerates() -> bool {
    std::env::var_os("REGENERATE").is_some()
}
