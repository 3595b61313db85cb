//! A running mesh in a home of its own; dropped, it is gone.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// What carries the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPlane {
    /// Our proxy.
    Lateen,
    /// Stock Envoy.
    Envoy,
}

impl DataPlane {
    /// Both, for tests that say everything twice.
    pub const ALL: [Self; 2] = [Self::Envoy, Self::Lateen];
}

/// Who runs the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// Whoever runs the tests.
    Tester,
    /// Somebody without any right, when root runs the tests.
    Ordinary,
}

/// An ordinary user, whom no machine knows by name.
const ORDINARY: u32 = 61_234;

/// A mesh that `lateen up --detach` started.
pub struct Mesh {
    home: tempfile::TempDir,
    /// Copies of programs for a person who cannot enter where they lie.
    programs: Option<tempfile::TempDir>,
    /// Where the ingress gateway is on the host.
    pub gateway: SocketAddr,
}

impl Mesh {
    /// The bundled bookinfo.
    pub fn bookinfo(data_plane: DataPlane) -> Result<Self> {
        Self::up(data_plane, &[])
    }

    /// A mesh of `arguments` more; waits for the first good answer of nothing:
    /// `up --detach` returns when every pod is ready.
    pub fn up(data_plane: DataPlane, arguments: &[&str]) -> Result<Self> {
        Self::up_as(Person::Tester, data_plane, arguments)
    }

    /// The same, run by `person`.
    pub fn up_as(person: Person, data_plane: DataPlane, arguments: &[&str]) -> Result<Self> {
        Self::up_where(person, data_plane, arguments, None)
    }

    /// The same on a host whose names are those of `hosts`.
    pub fn up_where(
        person: Person,
        data_plane: DataPlane,
        arguments: &[&str],
        hosts: Option<&Path>,
    ) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("lateen-test-").tempdir().context("make a home")?;
        let mut programs = None;
        if person == Person::Ordinary && is_root() {
            chown(home.path(), Some(ORDINARY), Some(ORDINARY)).context("give the home away")?;
            let folder =
                tempfile::Builder::new().prefix("lateen-programs-").tempdir().context("make a folder")?;
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
            copy_into(folder.path(), &binary()?)?;
            programs = Some(folder);
        }
        let mut mesh = Self { home, programs, gateway: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let mut command = mesh.command()?;
        command.args(["up", "--detach", "--gateway", "127.0.0.1:0"]).args(arguments);
        if data_plane == DataPlane::Envoy {
            let envoy = testkit::tools::envoy()?;
            let envoy = match &mesh.programs {
                Some(folder) => copy_into(folder.path(), &envoy)?,
                None => envoy,
            };
            command.args(["--proxy", "envoy", "--envoy-path"]).arg(envoy);
        }
        match hosts {
            Some(hosts) => run(&mut knowing(&command, hosts))?,
            None => run(&mut command)?,
        };
        mesh.find_gateway()?;
        Ok(mesh)
    }

    /// Starts it again in the same home, after it has ended.
    pub fn up_again(&mut self) -> Result<()> {
        run(self.command()?.args(["up", "--detach", "--gateway", "127.0.0.1:0"]))?;
        self.find_gateway()
    }

    fn find_gateway(&mut self) -> Result<()> {
        let status = self.json(&["status"])?;
        self.gateway = status["gateway"]
            .as_str()
            .and_then(|address| address.parse().ok())
            .with_context(|| format!("`status` tells no gateway address: {status}"))?;
        Ok(())
    }

    /// The binary under test, run by the mesh's person in its home.
    fn command(&self) -> Result<Command> {
        let Some(folder) = &self.programs else { return lateen(self.home()) };
        let mut command = Command::new("setpriv");
        let id = ORDINARY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
        command.arg(folder.path().join(binary()?.file_name().context("the binary's name")?));
        Ok(in_home(command, self.home()))
    }

    /// Its `$LATEEN_HOME`.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs `lateen ARGUMENTS`, which must succeed; what it printed.
    pub fn lateen(&self, arguments: &[&str]) -> Result<String> {
        let output = run(self.command()?.args(arguments))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs `lateen ARGUMENTS`, whatever comes of it.
    pub fn try_lateen(&self, arguments: &[&str]) -> Result<Output> {
        self.command()?.args(arguments).output().context("start lateen")
    }

    /// `lateen ARGUMENTS -o json`.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut with_format = arguments.to_vec();
        with_format.extend(["-o", "json"]);
        serde_json::from_str(&self.lateen(&with_format)?).context("read JSON")
    }

    /// Applies bundled samples; every proxy must hold them within a second.
    pub fn apply(&self, samples: &[&str]) -> Result<()> {
        let names: Vec<String> = samples.iter().map(|sample| format!("@{sample}")).collect();
        let mut arguments = vec!["apply"];
        for name in &names {
            arguments.extend(["-f", name]);
        }
        let start = Instant::now();
        let reply = self.json(&arguments)?;
        let took = start.elapsed();
        ensure!(reply["delivery"]["missing"] == serde_json::json!([]), "not held by all: {reply}");
        ensure!(took < Duration::from_secs(1), "`apply` took {took:?}: {reply}");
        Ok(())
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let ended = self.command().and_then(|mut command| run(command.arg("down")));
        if let Err(error) = ended {
            eprintln!("down: {error:#}");
        }
    }
}

/// A command of the binary under test, in that home.
pub fn lateen(home: &Path) -> Result<Command> {
    Ok(in_home(Command::new(binary()?), home))
}

fn in_home(mut command: Command, home: &Path) -> Command {
    command.env("LATEEN_HOME", home).env("NO_COLOR", "1");
    command
}

/// `$LATEEN_BINARY`, which the test command sets.
#[expect(clippy::disallowed_methods, reason = "the one setting of these tests")]
pub fn binary() -> Result<PathBuf> {
    let path = std::env::var("LATEEN_BINARY")
        .context("`LATEEN_BINARY` names no binary: run `cargo xtask test binary mesh`")?;
    Ok(PathBuf::from(path))
}

/// The same command in a mount namespace with another `/etc/hosts`.
fn knowing(command: &Command, hosts: &Path) -> Command {
    let mut wrapped = Command::new("unshare");
    wrapped.arg("--mount");
    if !is_root() {
        wrapped.arg("--map-root-user");
    }
    wrapped.args(["sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]).arg(hosts);
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// A copy of a program where every user finds it: a checkout and a cache may
/// lie in a home that is closed to others.
fn copy_into(folder: &Path, program: &Path) -> Result<PathBuf> {
    let copy = folder.join(program.file_name().context("a program's name")?);
    std::fs::copy(program, &copy).with_context(|| format!("copy `{}`", program.display()))?;
    Ok(copy)
}

fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output)
}
