//! Bookinfo's routing, as a visitor sees it, under somebody else's load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tests::bookinfo::{self, Reviews, Visitor};
use tests::load::Load;
use tests::mesh::{DataPlane, Mesh};

fn share(counts: &BTreeMap<Reviews, usize>, reviews: Reviews) -> f64 {
    let total: usize = counts.values().sum();
    counts.get(&reviews).copied().unwrap_or(0) as f64 * 100.0 / total as f64
}

/// Without a rule every version gets a third, within a point.
pub(crate) async fn versions_take_turns(mesh: &Mesh) -> Result<()> {
    let counts = bookinfo::count(mesh.gateway, 3000, 8).await?;
    for version in [Reviews::Starless, Reviews::BlackStars, Reviews::RedStars] {
        let share = share(&counts, version);
        ensure!((share - 100.0 / 3.0).abs() < 1.0, "{version:?} has {share:.1} % of {counts:?}");
    }
    Ok(())
}

async fn all_v1(mesh: &Mesh) -> Result<()> {
    mesh.apply(&["destination-rule-all"])?;
    mesh.apply(&["virtual-service-all-v1"])?;
    let counts = bookinfo::count(mesh.gateway, 200, 4).await?;
    ensure!(counts.len() == 1 && counts.contains_key(&Reviews::Starless), "after all-v1: {counts:?}");
    Ok(())
}

async fn jason_sees_black_stars(mesh: &Mesh) -> Result<()> {
    mesh.apply(&["virtual-service-reviews-test-v2"])?;
    let mut jason = Visitor::signed_in(mesh.gateway, "jason").await?;
    for _ in 0..20 {
        ensure!(jason.reviews().await? == Reviews::BlackStars, "jason sees no black stars");
    }
    let counts = bookinfo::count(mesh.gateway, 100, 4).await?;
    ensure!(counts.len() == 1 && counts.contains_key(&Reviews::Starless), "others see {counts:?}");
    Ok(())
}

/// The planted bug: reviews would wait 10 s, the page gives up after 6.
async fn a_delay_breaks_jasons_reviews(mesh: &Mesh) -> Result<()> {
    mesh.apply(&["virtual-service-ratings-test-delay"])?;
    let mut jason = Visitor::signed_in(mesh.gateway, "jason").await?;
    let start = Instant::now();
    let seen = jason.reviews().await?;
    let took = start.elapsed();
    ensure!(seen == Reviews::Failed, "jason sees {seen:?}");
    ensure!((5.9..7.0).contains(&took.as_secs_f64()), "the page took {took:?}");
    Ok(())
}

async fn an_abort_takes_jasons_stars_at_once(mesh: &Mesh) -> Result<()> {
    mesh.apply(&["virtual-service-ratings-test-abort"])?;
    let mut jason = Visitor::signed_in(mesh.gateway, "jason").await?;
    let start = Instant::now();
    let seen = jason.reviews().await?;
    ensure!(seen == Reviews::NoRatings, "jason sees {seen:?}");
    ensure!(start.elapsed() < Duration::from_secs(1), "the page took {:?}", start.elapsed());
    Ok(())
}

async fn a_split_is_kept(mesh: &Mesh) -> Result<()> {
    mesh.apply(&["virtual-service-reviews-90-10"])?;
    let counts = bookinfo::count(mesh.gateway, 10_000, 8).await?;
    let tenth = share(&counts, Reviews::BlackStars);
    ensure!((tenth - 10.0).abs() < 1.5, "v2 has {tenth:.1} % of {counts:?}");
    ensure!(counts.keys().all(|seen| *seen != Reviews::RedStars), "somebody saw v3: {counts:?}");
    Ok(())
}

/// Everything in order, while another visitor's 200 requests a second go on.
async fn scenario(data_plane: DataPlane) -> Result<()> {
    let mesh = Mesh::bookinfo(data_plane)?;
    versions_take_turns(&mesh).await?;

    let load = Load::start(mesh.gateway, 200, 10);
    all_v1(&mesh).await?;
    jason_sees_black_stars(&mesh).await?;
    a_delay_breaks_jasons_reviews(&mesh).await?;
    an_abort_takes_jasons_stars_at_once(&mesh).await?;
    let tally = load.finish().await?;
    ensure!(
        tally.failures.is_empty(),
        "{} of {} failed: {:?}",
        tally.failures.len(),
        tally.sent,
        &tally.failures[..1]
    );
    ensure!(tally.sent > 1000, "only {} requests of load were sent", tally.sent);

    a_split_is_kept(&mesh).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bookinfos_routing_with_stock_envoy() -> Result<()> {
    scenario(DataPlane::Envoy).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bookinfos_routing_with_our_proxy() -> Result<()> {
    scenario(DataPlane::Lateen).await
}
