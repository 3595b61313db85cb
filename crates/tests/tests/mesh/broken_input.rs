//! YAML that is wrong: told by file and line, refused or warned about, and
//! traffic goes on.

use anyhow::{Context as _, Result, ensure};
use tests::bookinfo::{Reviews, Visitor};
use tests::mesh::{DataPlane, Mesh};

/// A text, its exit code, and what stderr must say.
struct Case {
    name: &'static str,
    text: &'static str,
    exit: i32,
    said: &'static [&'static str],
}

const CASES: [Case; 5] = [
    Case {
        name: "indent.yaml",
        text: "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: reviews\n spec:\n",
        exit: 65,
        said: &["indent.yaml:5", "error"],
    },
    Case {
        name: "weight.yaml",
        text: "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: reviews\nspec:\n  hosts: [reviews]\n  http:\n  - route:\n    - destination: {host: reviews, subset: v1}\n      weight: -1\n",
        exit: 65,
        said: &["weight.yaml:10", "weight", "-1"],
    },
    Case {
        name: "twice.yaml",
        text: "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: reviews\nspec:\n  hosts: [reviews]\n  hosts: [ratings]\n  http:\n  - route:\n    - destination: {host: reviews}\n",
        exit: 65,
        said: &["twice.yaml:7", "hosts"],
    },
    Case {
        name: "unknown-field.yaml",
        text: "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: elsewhere\nspec:\n  hosts: [elsewhere.example]\n  gateway:\n  http:\n  - route:\n    - destination: {host: reviews}\n",
        exit: 0,
        said: &["unknown-field.yaml:7", "gateway", "gateways"],
    },
    Case {
        name: "unknown-host.yaml",
        text: "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: nowhere\nspec:\n  hosts: [nowhere.example]\n  http:\n  - route:\n    - destination: {host: nowhere}\n",
        exit: 0,
        said: &["unknown-host.yaml:9", "nowhere"],
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_yaml_is_told_by_file_and_line_and_changes_nothing() -> Result<()> {
    let mesh = Mesh::bookinfo(DataPlane::Lateen)?;
    mesh.apply(&["destination-rule-all"])?;
    mesh.apply(&["virtual-service-reviews-v3"])?;
    let folder = tempfile::tempdir()?;
    for case in &CASES {
        let file = folder.path().join(case.name);
        std::fs::write(&file, case.text)?;
        let output = mesh.try_lateen(&["apply", "-f", file.to_str().context("a path in UTF-8")?])?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(case.exit), "{}: {:?}: {stderr}", case.name, output.status);
        for said in case.said {
            ensure!(stderr.contains(said), "{}: stderr does not say `{said}`: {stderr}", case.name);
        }
        let seen = Visitor::anonymous(mesh.gateway).reviews().await?;
        ensure!(seen == Reviews::RedStars, "after {}: {seen:?}", case.name);
    }
    Ok(())
}
