//! The same binary, started again for the next part of the mesh.
//!
//! Every part is `/proc/self/exe` with [`ARGUMENT`] and the part's name. Its standard input is a channel to the
//! process that started it. The kernel kills a part when its parent ends ([`tie_to_parent`]).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::channel::Channel;

/// First argument of a process that is a part of a mesh, not a command of a person.
pub const ARGUMENT: &str = "mesh-part";

/// The parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The host's side, when `up` lets go of the terminal.
    Launcher,
    /// Makes the namespaces.
    World,
    /// Process 1 of the world.
    Init,
    /// Control plane and kubelet.
    Supervisor,
    /// Holds a pod's namespaces.
    Pod,
    /// Becomes a container's process.
    Container,
}

const STAGES: [(Stage, &str); 6] = [
    (Stage::Launcher, "launcher"),
    (Stage::World, "world"),
    (Stage::Init, "init"),
    (Stage::Supervisor, "supervisor"),
    (Stage::Pod, "pod"),
    (Stage::Container, "container"),
];

impl Stage {
    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        STAGES.iter().find(|(stage, _)| *stage == self).map_or("", |(_, name)| name)
    }

    /// The part of this name.
    pub(crate) fn named(name: &str) -> Option<Stage> {
        STAGES.iter().find(|(_, known)| *known == name).map(|(stage, _)| *stage)
    }
}

/// The command that starts `stage` with `link` as its channel.
///
/// `label` is shown by `ps`.
pub(crate) fn command(stage: Stage, label: &str, link: Channel) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(label).arg(ARGUMENT).arg(stage.name()).stdin(Stdio::from(OwnedFd::from(link)));
    command
}

/// The first steps of a part: its life is tied to its parent's, and its standard input becomes the channel it
/// returns.
pub(crate) fn enter(stage: Stage) -> io::Result<Channel> {
    let link = take_link(stage)?;
    tie_to_parent(&link)?;
    Ok(link)
}

/// The first steps of a launcher that outlives the process that started it.
pub(crate) fn enter_detached() -> io::Result<Channel> {
    take_link(Stage::Launcher)
}

fn take_link(stage: Stage) -> io::Result<Channel> {
    // Only a name for `ps` and `top`.
    let _ = rustix::thread::set_name(&std::ffi::CString::new(format!("lateen-{}", stage.name()))?);
    let link = Channel::from(io::stdin().as_fd().try_clone_to_owned()?);
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(link)
}

/// Has the kernel kill this process when its parent ends, and ends it now when the parent is already gone.
///
/// A change of credentials clears the kernel's note, so this is called again after each.
pub(crate) fn tie_to_parent(link: &Channel) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the call above; its end of the channel tells.
    if link.is_closed()? {
        std::process::exit(1);
    }
    Ok(())
}
