//! What happens to the mesh.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::load::Load;
use super::world::{HeavyPod, World};
use super::{Options, Scenario, conformance, objects};

/// Routes change a hundred times a minute.
const ROUTES: Duration = Duration::from_millis(600);
/// So often endpoints are replaced.
const ENDPOINTS: Duration = Duration::from_secs(2);
/// So many requests go between two replacements of a proxy.
const BETWEEN_RESTARTS: u64 = 100;

/// Runs these, one after the other, in one mesh. To be called in a namespace
/// of its own.
pub async fn run(scenarios: &[Scenario], options: Options) -> Result<()> {
    let mut world = World::start(options).await?;
    for scenario in scenarios {
        if *scenario == Scenario::Conformance {
            conformance::run(&world).await?;
            continue;
        }
        let load = world.load();
        let happened = match scenario {
            Scenario::Outage => outage(&mut world).await,
            Scenario::Churn => churn(&mut world).await,
            Scenario::Restarts => restarts(&mut world, &load).await,
            Scenario::Conformance => Ok(()),
        };
        let judged = world.judge(scenario.name(), load).await;
        happened.and(judged).with_context(|| format!("soak {}", scenario.name()))?;
    }
    Ok(())
}

/// The control plane is killed, comes back, hangs, and goes on.
async fn outage(world: &mut World) -> Result<()> {
    world.control.take().context("a control plane")?.kill().await?;
    tokio::time::sleep(world.options.lasting).await;
    world.restart_control_plane().await?;
    world.next_routes().await?;
    world.seen().await?;
    world.control.as_ref().context("a control plane")?.hang()?;
    tokio::time::sleep(world.options.lasting).await;
    world.control.as_ref().context("a control plane")?.go_on()?;
    world.next_routes().await?;
    world.seen().await
}

/// Routes change, endpoints are replaced half of them at a time, and a pod
/// with a sidecar is replaced twice, with streams on it.
async fn churn(world: &mut World) -> Result<()> {
    let mut leaving = Leaving::default();
    let end = Instant::now() + world.options.lasting.max(world.options.stream * 4);
    let (mut routes, mut endpoints) = (beat(ROUTES), beat(ENDPOINTS));
    let mut pods = beat(world.options.lasting.max(world.options.stream * 4) / 3);
    pods.tick().await;
    while Instant::now() < end {
        tokio::select! {
            _ = routes.tick() => world.next_routes().await?,
            _ = endpoints.tick() => replace_endpoints(world, &mut leaving).await?,
            _ = pods.tick() => replace_pod(world, &mut leaving).await?,
        }
    }
    world.seen().await?;
    leaving.gone(world).await
}

fn beat(period: Duration) -> tokio::time::Interval {
    let mut beat = tokio::time::interval(period);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

/// Pods that serve what they have and then end.
#[derive(Default)]
struct Leaving {
    heavy: JoinSet<Result<HeavyPod>>,
    light: JoinSet<()>,
}

impl Leaving {
    async fn gone(mut self, world: &mut World) -> Result<()> {
        while let Some(ended) = self.heavy.join_next().await {
            let pod = ended??;
            world.gone.extend(pod.proxy.complaints());
        }
        while let Some(ended) = self.light.join_next().await {
            ended?;
        }
        Ok(())
    }
}

/// Half of the backends make way for others.
async fn replace_endpoints(world: &mut World, leaving: &mut Leaving) -> Result<()> {
    let half = world.light.len() / 2;
    let (mut put, mut remove) = (String::new(), String::new());
    let mut fresh = Vec::new();
    for _ in 0..half {
        let pod = world.light_pod()?;
        put.push_str(&objects::pod(pod.address));
        fresh.push(pod);
    }
    let old: Vec<_> = world.light.drain(..half).collect();
    old.iter().for_each(|pod| remove.push_str(&objects::pod(pod.address)));
    world.light.extend(fresh);
    world.change(&put, &remove).await?;
    let grace = world.options.grace();
    for pod in old {
        leaving.light.spawn(async move {
            tokio::time::sleep(grace).await;
            drop(pod);
        });
    }
    Ok(())
}

/// A pod with a sidecar makes way for another: it is told to end at the same
/// moment as it leaves the service.
async fn replace_pod(world: &mut World, leaving: &mut Leaving) -> Result<()> {
    let mut fresh = world.heavy_pod()?;
    fresh.proxy.ready().await?;
    let put = objects::pod(fresh.proxy.address());
    let mut old = world.heavy.remove(0);
    world.heavy.push(fresh);
    old.proxy.terminate()?;
    world.change(&put, &objects::pod(old.proxy.address())).await?;
    leaving.heavy.spawn(async move {
        old.proxy.ended().await?;
        Ok(old)
    });
    Ok(())
}

/// Proxy after proxy is replaced by its next process; the load goes on until
/// those before have ended.
async fn restarts(world: &mut World, load: &Load) -> Result<()> {
    for number in 0..world.options.restarts {
        let proxies = world.front.len() + world.heavy.len();
        let proxy = world.proxies().nth(number % proxies).context("a proxy")?;
        proxy.replace().await?;
        load.goes_on(BETWEEN_RESTARTS).await?;
    }
    for proxy in world.proxies() {
        proxy.alone().await?;
    }
    world.seen().await
}
