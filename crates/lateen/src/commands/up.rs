//! `lateen up`, `lateen down`: a mesh on this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use local::{Doors, Progress, UpOptions};

use super::{apply, input};
use crate::client::Client;
use crate::failure::{BAD_INPUT, Failure, Outcome, style};
use crate::mesh::{DataPlane, Settings};
use crate::protocol::{ApplyReply, ApplyRequest, ProblemView, SourceText};
use crate::samples;

/// Starts a mesh on this machine: bookinfo, unless told otherwise.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  lateen up\n  lateen up -f my-app/ --gateway 127.0.0.1:0 --detach")]
pub struct Up {
    /// Objects to start with: a file, a folder, a bundled sample (`@NAME`), or `-`.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|@SAMPLE|-")]
    filename: Vec<String>,
    /// Return when everything is ready; the mesh goes on.
    #[arg(long)]
    detach: bool,
    /// Where the ingress gateway listens on the host; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    gateway: SocketAddr,
    /// What carries the traffic.
    #[arg(long, value_enum, default_value = "lateen")]
    proxy: Proxy,
    /// Stock Envoy's binary [default: $ENVOY, or what `cargo xtask tools envoy` installed].
    #[arg(long, value_name = "PATH", env = "ENVOY")]
    envoy_path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Proxy {
    /// Our proxy.
    Lateen,
    /// Stock Envoy.
    Envoy,
}

/// Ends the mesh; nothing is left behind.
#[derive(Args, Debug)]
#[command(after_help = "Example: lateen down")]
pub struct Down {}

/// Runs `lateen up`.
pub fn up(arguments: &Up, home: &Path, tools: &Path) -> Outcome {
    let sources = input::read(&arguments.filename)?;
    refuse_broken(&sources)?;
    let settings =
        Settings { data_plane: data_plane(arguments.proxy), sources, defaults: defaults(arguments)? };
    let mut options = UpOptions {
        home: home.to_owned(),
        gateway: arguments.gateway,
        extra_binaries: Vec::new(),
        programs: serde_json::to_value(settings).context("encode the settings")?,
    };
    if arguments.proxy == Proxy::Envoy {
        options.extra_binaries.push(("envoy".to_owned(), envoy(arguments, tools)?));
    }
    match arguments.detach {
        true => {
            local::up_detached(&options, &mut |progress| {
                tell(progress);
                true
            })?;
            held_by_all(home)?;
        }
        false => local::up(&options, &mut tell)?,
    }
    Ok(())
}

/// Returns when every proxy holds what made the last pod ready: the first
/// request after `up` finds its endpoints.
fn held_by_all(home: &Path) -> anyhow::Result<()> {
    let nothing = ApplyRequest { sources: Vec::new(), namespace: "default".to_owned() };
    Client::new(home).post::<ApplyReply>("/v1/apply", &nothing).map(drop)
}

/// Runs `lateen down`.
pub fn down(home: &Path) -> Outcome {
    match local::down(home)? {
        true => anstream::eprintln!("the mesh is down"),
        false => anstream::eprintln!("no mesh is running in `{}`", home.display()),
    }
    Ok(())
}

fn data_plane(proxy: Proxy) -> DataPlane {
    match proxy {
        Proxy::Lateen => DataPlane::Lateen,
        Proxy::Envoy => DataPlane::Envoy,
    }
}

/// The bundled bookinfo, when nothing else was asked for.
fn defaults(arguments: &Up) -> anyhow::Result<Vec<SourceText>> {
    if !arguments.filename.is_empty() {
        return Ok(Vec::new());
    }
    let sample = |name: &&str| {
        let sample = samples::find(name)?;
        Ok(SourceText { file: format!("@{}", sample.path), text: sample.text.to_owned() })
    };
    samples::DEFAULT.iter().map(sample).collect()
}

/// What is broken is told before anything starts.
fn refuse_broken(sources: &[SourceText]) -> Outcome {
    let mut has_errors = false;
    for source in sources {
        let parsed = resources::parse(&source.file, &source.text, "default");
        has_errors |= parsed.has_errors();
        for problem in &parsed.problems {
            apply::say_problem(&ProblemView {
                is_error: problem.is_error(),
                at: format!("{}:{}:{}", problem.file, problem.line, problem.column),
                code: problem.code.as_str().to_owned(),
                message: problem.message.clone(),
                help: problem.help.clone(),
            });
        }
    }
    if has_errors { Err(Failure::Said(BAD_INPUT)) } else { Ok(()) }
}

fn envoy(arguments: &Up, tools: &Path) -> anyhow::Result<PathBuf> {
    let path = arguments.envoy_path.clone().unwrap_or_else(|| tools.join("envoy-1.40.0/envoy"));
    anyhow::ensure!(
        path.is_file(),
        "`{}` is not there: run `cargo xtask tools envoy`, or say `--envoy-path PATH`",
        path.display()
    );
    path.canonicalize().with_context(|| format!("find `{}`", path.display()))
}

fn tell(progress: &Progress) {
    match progress {
        Progress::World(_) => {
            anstream::eprintln!("{}world{}   network, names and doors are up", style::DIM, style::RESET)
        }
        Progress::Pods { ready, wanted } => {
            anstream::eprintln!("{}pods{}    {ready} of {wanted} ready", style::DIM, style::RESET);
        }
        Progress::Notice(notice) => anstream::eprintln!("{}notice{}  {notice}", style::WARNING, style::RESET),
        Progress::Ready(doors) => tell_ready(doors),
    }
}

fn tell_ready(doors: &Doors) {
    anstream::eprintln!("{}ready{}   http://{}/productpage", style::GOOD, style::RESET, doors.gateway);
    for (port, address) in &doors.others {
        anstream::eprintln!("        gateway port {port}: {address}");
    }
}
