//! Ratings that keep their stars in a database: opaque TCP through two
//! sidecars, and with MySQL a server that speaks first.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::bookinfo::{Reviews, Visitor};
use tests::load::eventually;
use tests::mesh::{DataPlane, Mesh};

/// How long pods may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Applies samples that bring pods along, and waits for these to be ready.
async fn start(mesh: &Mesh, samples: &[&str], workloads: &[&str]) -> Result<()> {
    for sample in samples {
        mesh.lateen(&["apply", "-f", &format!("@{sample}")])?;
    }
    for workload in workloads {
        eventually(&format!("{workload} is ready"), PATIENCE, || is_ready(mesh, workload).unwrap_or(false))
            .await?;
    }
    Ok(())
}

fn is_ready(mesh: &Mesh, workload: &str) -> Result<bool> {
    let status = mesh.json(&["status"])?;
    let pods = status["pods"].as_array().context("status lists pods")?;
    Ok(pods.iter().any(|pod| pod["deployment"] == workload && pod["isReady"] == true))
}

/// What ratings of that version say, asked past its sidecar's routing.
fn ratings(mesh: &Mesh, workload: &str) -> Result<Value> {
    let text =
        mesh.lateen(&["exec", workload, "-c", "ratings", "--", "curl", "-sS", "127.0.0.1:9080/ratings/7"])?;
    serde_json::from_str(&text).with_context(|| format!("`{text}` is no JSON"))
}

async fn stars_come_from_databases(data_plane: DataPlane) -> Result<()> {
    let mesh = Mesh::bookinfo(data_plane)?;
    start(
        &mesh,
        &["bookinfo-mysql", "bookinfo-ratings-v2-mysql", "bookinfo-db", "bookinfo-ratings-v2"],
        &["mysqldb-v1", "ratings-v2-mysql", "mongodb-v1", "ratings-v2"],
    )
    .await?;
    let stars = serde_json::json!({"id": 7, "ratings": {"Reviewer1": 5, "Reviewer2": 4}});
    for workload in ["ratings-v2-mysql", "ratings-v2"] {
        let found = ratings(&mesh, workload)?;
        ensure!(found == stars, "{workload} says {found}");
    }

    mesh.apply(&["destination-rule-all"])?;
    let mut visitor = Visitor::anonymous(mesh.gateway);
    for (sample, database) in
        [("virtual-service-ratings-mysql", "mysqldb-v1"), ("virtual-service-ratings-db", "mongodb-v1")]
    {
        mesh.apply(&[sample])?;
        let seen = visitor.reviews().await?;
        ensure!(seen == Reviews::RedStars, "with {database}: {seen:?}");
        mesh.lateen(&["delete", "deployment", database])?;
        let gone = async {
            while visitor.reviews().await? != Reviews::NoRatings {}
            Ok::<_, anyhow::Error>(())
        };
        tokio::time::timeout(PATIENCE, gone).await.with_context(|| format!("stars without {database}"))??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stars_come_from_databases_with_our_proxy() -> Result<()> {
    stars_come_from_databases(DataPlane::Lateen).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stars_come_from_databases_with_stock_envoy() -> Result<()> {
    stars_come_from_databases(DataPlane::Envoy).await
}
