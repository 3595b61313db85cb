//! A mesh on this machine: pods as processes in network namespaces.
//!
//! [`up`] runs a mesh until it is told to end; [`exec`], [`logs`] and [`request`] talk to one that runs.
//! A mesh is four processes deep: the launcher stays in the host's namespaces, the world makes its own, process 1
//! lives in them and starts the supervisor, and the supervisor starts a process per pod, which starts containers.
//! Each is this program started again ([`inner_main`]), and the kernel ends each with the one before it. Nothing is
//! made in the host's namespaces, so nothing can be left there.
//!
//! Objects come in through [`Parts`], and go out, with pods and addresses, through [`World`]. This crate never reads
//! a user's folder and knows no route; it starts whatever a pod's containers say.

mod caller;
mod channel;
mod client;
mod container;
mod dns;
mod failure;
mod handover;
mod home;
mod host;
mod init;
mod kubelet;
mod launcher;
mod network;
mod place;
mod pod;
mod processes;
mod progress;
mod services;
mod stage;
mod supervisor;
mod world;

use std::ffi::OsString;
use std::process::ExitCode;

pub use client::{ClientError, Exec, Follow, Logs, down, exec, is_running, logs, request, world_status};
pub use failure::Failure;
pub use home::{Home, HomeError};
pub use kubelet::images::{Image, ImageError, Images};
pub use kubelet::summary::{ContainerSummary, PodSummary};
pub use launcher::{UpError, UpOptions, up, up_detached};
pub use network::CONTROL_PLANE_ADDRESS;
pub use progress::{Doors, Progress};
pub use stage::ARGUMENT as INNER_ARGUMENT;
pub use supervisor::control::{ControlRequest, ControlResponse, ControlRoutes, Handler, WorldStatus};
pub use supervisor::{Admit, Credentials, Parts, Programs, World};

use stage::Stage;

/// Takes over when this process is a part of a mesh, which its first argument says.
///
/// The first thing in `main`, before any thread is started: namespaces are for single-threaded processes.
/// `arguments` are those of the process, its own name included. `None` means that a person called.
pub fn inner_main(
    arguments: impl IntoIterator<Item = OsString>,
    programs: &dyn Programs,
) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != INNER_ARGUMENT {
        return None;
    }
    let name = arguments.next().unwrap_or_default();
    let Some(stage) = name.to_str().and_then(Stage::named) else {
        eprintln!("`{INNER_ARGUMENT}` is for the mesh's own processes");
        return Some(ExitCode::from(2));
    };
    Some(part_main(stage, programs))
}

fn part_main(stage: Stage, programs: &dyn Programs) -> ExitCode {
    let entered = match stage {
        Stage::Launcher => stage::enter_detached(),
        _ => stage::enter(stage),
    };
    let link = match entered {
        Ok(link) => link,
        Err(error) => {
            eprintln!("{}: {error}", stage.name());
            return ExitCode::FAILURE;
        }
    };
    match stage {
        Stage::Launcher => launcher::detached_main(&link),
        Stage::World => world::main(&link),
        Stage::Init => init::main(&link),
        Stage::Supervisor => supervisor::main(&link, programs),
        Stage::Pod => pod::main(link),
        Stage::Container => container::main(&link),
    }
}
