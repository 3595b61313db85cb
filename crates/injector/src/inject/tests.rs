//! Golden pods in `testdata/`: what a user writes, and what runs.
//!
//! `REGENERATE=1 cargo test -p injector` writes the expected files anew.

use std::path::{Path, PathBuf};

use capture::ProxyMatch;

use super::*;
use crate::decision::{Policy, decide};

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
    let istio = || vec!["pilot-agent".to_owned()];
    match name.rsplit('.').next().expect("a part") {
        "local" => Settings {
            init_command: vec!["lateen".to_owned(), "init".to_owned()],
            proxy_match: ProxyMatch::Dscp(capture::PROXY_DSCP),
            more_arguments: vec!["--more".to_owned()],
            more_environment: vec![("EXTRA".to_owned(), "yes".to_owned())],
            ..Settings::default()
        },
        "native" => Settings { certificates: true, agent_command: istio(), ..Settings::default() },
        _ => Settings { native_sidecar: false, agent_command: istio(), ..Settings::default() },
    }
}

fn patched(folder: &Path) -> Result<Value, InjectError> {
    let text = std::fs::read_to_string(folder.join("pod.json")).expect("a pod");
    let pod: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let decision =
        decide(&pod, "default", &Default::default(), &Policy { by_default: true, ..Policy::default() })?;
    inject(pod, &decision, &settings(folder))
}

#[test]
fn pods_become_what_is_expected() {
    for folder in folders() {
        let actual = match patched(&folder) {
            Ok(patched) => serde_json::to_string_pretty(&patched).expect("JSON"),
            Err(error) => format!("error: {error}"),
        };
        let actual = format!("{actual}\n");
        let path = folder.join("expected");
        if regenerates() {
            std::fs::write(&path, &actual).expect("a writable file");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(actual, expected, "{}", folder.display());
    }
}

#[test]
fn a_patched_pod_is_one_that_kubernetes_would_take() {
    for folder in folders() {
        let Ok(mut patched) = patched(&folder) else { continue };
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
