//! Up, looked at, used, killed, down.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tests::bookinfo::Visitor;
use tests::mesh::{DataPlane, Mesh};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_answers_soon_after_up_and_runs_commands() -> Result<()> {
    let start = Instant::now();
    let mesh = Mesh::bookinfo(DataPlane::Envoy)?;
    Visitor::anonymous(mesh.gateway).page().await?;
    ensure!(start.elapsed() < Duration::from_secs(10), "the first page took {:?}", start.elapsed());

    let page = mesh.lateen(&["exec", "ratings", "--", "curl", "-sS", "productpage:9080/productpage"])?;
    ensure!(page.contains("<title>Simple Bookstore App</title>"), "exec printed {page}");

    let failed = mesh.try_lateen(&["exec", "ratings", "--", "sh", "-c", "exit 7"])?;
    ensure!(failed.status.code() == Some(7), "exec ended with {:?}", failed.status);

    let second = mesh.try_lateen(&["up", "--detach"])?;
    ensure!(!second.status.success(), "a second mesh started in the same home");
    Ok(())
}
