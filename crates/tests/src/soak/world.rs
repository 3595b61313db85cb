//! Everything that runs: the control plane, the proxies, the backends, and
//! the load.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tokio::time::Instant;

use super::control::Control;
use super::load::{Load, Tally, Targets};
use super::network::{CLIENT, CONTROL_PLANE, GATEWAY, heavy, light};
use super::objects::{self, GATEWAY_HTTP, GATEWAY_TCP, GENERATION, SERVICE};
use super::proxies::{Proxy, Role};
use super::servers::{Application, HTTP1_PORT, HTTP2_PORT, Sockets, TCP_PORT};
use super::{Options, network};
use crate::http::Client;

/// Backends without a proxy.
const LIGHT: usize = 6;
/// A change is seen by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// Backends with a sidecar, and without.
pub struct HeavyPod {
    /// The sidecar.
    pub proxy: Proxy,
    _application: Application,
}

/// A backend without a proxy.
pub struct LightPod {
    /// Its address.
    pub address: Ipv4Addr,
    _application: Application,
}

/// Everything that runs.
pub struct World {
    /// How much of everything.
    pub options: Options,
    folder: TempDir,
    /// The control plane; none while it is gone.
    pub control: Option<Control>,
    /// The client's sidecar and the gateway.
    pub front: Vec<Proxy>,
    /// Backends with a sidecar.
    pub heavy: Vec<HeavyPod>,
    /// Backends without one.
    pub light: Vec<LightPod>,
    /// What has ended and told something.
    pub gone: Vec<String>,
    generation: u64,
    pods: u32,
}

impl World {
    /// Starts it. To be called once, in a namespace of its own.
    pub async fn start(options: Options) -> Result<Self> {
        network::make()?;
        let folder = tempfile::tempdir()?;
        let control = Control::start(folder.path(), CONTROL_PLANE).await?;
        let mut world = Self {
            options,
            folder,
            control: Some(control),
            front: vec![
                Proxy::start("client", Role::Client, CLIENT, &options)?,
                Proxy::start("front", Role::Gateway, GATEWAY, &options)?,
            ],
            heavy: Vec::new(),
            light: Vec::new(),
            gone: Vec::new(),
            generation: 0,
            pods: 0,
        };
        let mut yaml = objects::always();
        yaml.push_str("---\n");
        for _ in 0..2 {
            let pod = world.heavy_pod()?;
            yaml.push_str(&objects::pod(pod.proxy.address()));
            world.heavy.push(pod);
        }
        for _ in 0..LIGHT {
            let pod = world.light_pod()?;
            yaml.push_str(&objects::pod(pod.address));
            world.light.push(pod);
        }
        world.change(&yaml, "").await?;
        world.next_routes().await?;
        for proxy in world.proxies() {
            proxy.ready().await?;
        }
        world.seen().await?;
        Ok(world)
    }

    /// Load on every way into the mesh.
    pub fn load(&self) -> Load {
        let at = |address: Ipv4Addr, port: u16| SocketAddr::from((address, port));
        Load::start(
            &self.options,
            &[
                Targets {
                    name: "sidecar",
                    http1: at(SERVICE, HTTP1_PORT),
                    http2: at(SERVICE, HTTP2_PORT),
                    tcp: at(SERVICE, TCP_PORT),
                },
                Targets {
                    name: "gateway",
                    http1: at(GATEWAY, GATEWAY_HTTP),
                    http2: at(GATEWAY, GATEWAY_HTTP),
                    tcp: at(GATEWAY, GATEWAY_TCP),
                },
            ],
        )
    }

    /// All proxies that serve.
    pub fn proxies(&mut self) -> impl Iterator<Item = &mut Proxy> {
        self.front.iter_mut().chain(self.heavy.iter_mut().map(|pod| &mut pod.proxy))
    }

    /// Starts a backend with a sidecar; it is not in the mesh yet.
    pub fn heavy_pod(&mut self) -> Result<HeavyPod> {
        self.pods += 1;
        let address = heavy(self.pods);
        let proxy = Proxy::start(&objects::pod_name(address), Role::Server, address, &self.options)?;
        let sockets = proxy.namespace().run(move || Sockets::open(address))?.context("open its ports")?;
        Ok(HeavyPod { proxy, _application: sockets.serve()? })
    }

    /// Starts a backend without a proxy; it is not in the mesh yet.
    pub fn light_pod(&mut self) -> Result<LightPod> {
        self.pods += 1;
        let address = light(self.pods);
        let sockets = Sockets::open(address).with_context(|| format!("open the ports of {address}"))?;
        Ok(LightPod { address, _application: sockets.serve()? })
    }

    /// Tells the control plane; returns when every proxy holds it.
    pub async fn change(&mut self, put: &str, remove: &str) -> Result<()> {
        let proxies = self.front.len() + self.heavy.len();
        self.control.as_mut().context("there is no control plane")?.change(put, remove, proxies).await
    }

    /// Changes every route.
    pub async fn next_routes(&mut self) -> Result<()> {
        self.generation += 1;
        self.change(&objects::routes(self.generation), "").await
    }

    /// Returns when requests take the newest routes, through each proxy.
    pub async fn seen(&self) -> Result<()> {
        let wanted = self.generation.to_string();
        let doors = [SocketAddr::from((SERVICE, HTTP1_PORT)), SocketAddr::from((GATEWAY, GATEWAY_HTTP))];
        for door in doors {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let answer = Client::new(door).get("/", &[]).await;
                let header = answer.as_ref().ok().and_then(|answer| answer.headers.get(GENERATION));
                if header.is_some_and(|value| value.as_bytes() == wanted.as_bytes()) {
                    break;
                }
                if Instant::now() >= deadline {
                    bail!("routes {wanted} are not seen at {door}: {answer:?}");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Starts the control plane again.
    pub async fn restart_control_plane(&mut self) -> Result<()> {
        self.control = Some(Control::start(self.folder(), CONTROL_PLANE).await?);
        Ok(())
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends the load; an error when anything failed.
    pub async fn judge(&mut self, name: &str, load: Load) -> Result<()> {
        let tally = load.finish().await?;
        println!("{name}: {tally}");
        for proxy in self.proxies() {
            proxy.check()?;
        }
        if tally.failures() == 0 && tally.everything_went() {
            return Ok(());
        }
        self.complain(&tally);
        ensure!(tally.failures() == 0, "{name}: {} of {} failed", tally.failures(), tally.sent());
        bail!("{name}: some kind of request was never sent");
    }

    fn complain(&mut self, tally: &Tally) {
        for sample in tally.samples() {
            println!("  {sample}");
        }
        let mut complaints = std::mem::take(&mut self.gone);
        complaints.extend(self.proxies().flat_map(|proxy| proxy.complaints()));
        for complaint in complaints.iter().rev().take(30) {
            println!("  {complaint}");
        }
    }
}
