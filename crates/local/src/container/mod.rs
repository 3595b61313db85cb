//! The process that becomes a container: mounts, user, and then the program.

mod identity;
mod mounts;
pub(crate) mod plan;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use nix::sched::{CloneFlags, unshare};

use crate::channel::Channel;
use crate::failure::{Failure, Step};
use crate::place;
use crate::stage;
use plan::Process;

/// Exit code of a container that could not be started; Kubernetes' own.
const CANNOT_START: u8 = 128;

/// Becomes the program that comes over `link`, or says over it why not.
pub(crate) fn main(link: &Channel) -> ExitCode {
    let Ok(Some(received)) = link.receive::<Process>() else { return ExitCode::from(CANNOT_START) };
    let Err(failure) = become_program(link, &received.message, Inherited::of(received.descriptors));
    // The pod writes it into the container's status; a pod that is gone needs no answer.
    let _ = link.send(&failure, &[]);
    ExitCode::from(CANNOT_START)
}

/// What the program is given beside its output.
enum Inherited {
    Nothing,
    /// A command's standard streams.
    Streams([OwnedFd; 3]),
    /// A socket by which a proxy asks for proofs of its identity, as its standard input.
    Credentials(OwnedFd),
}

impl Inherited {
    fn of(mut descriptors: Vec<OwnedFd>) -> Inherited {
        if descriptors.len() == 1 {
            return descriptors.pop().map_or(Inherited::Nothing, Inherited::Credentials);
        }
        descriptors.try_into().map_or(Inherited::Nothing, Inherited::Streams)
    }
}

fn become_program(
    link: &Channel,
    process: &Process,
    inherited: Inherited,
) -> Result<std::convert::Infallible, Failure> {
    // A session of its own, so that a signal to its group reaches the container and nothing else.
    rustix::process::setsid().step("start a session")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    unshare(CloneFlags::CLONE_NEWNS).step("make the container's mount namespace")?;
    mounts::apply(&process.mounts, &process.hidden)?;
    identity::assume(&process.identity, link)?;
    let (name, arguments) =
        process.command.split_first().ok_or_else(|| Failure::new("start the container", "no command"))?;
    let program = find(name, &process.environment)?;
    let mut command = Command::new(program);
    command.arg0(name).args(arguments).env_clear().envs(process.environment.iter().cloned());
    command.current_dir(&process.directory).stdin(Stdio::null());
    match inherited {
        Inherited::Nothing => {}
        Inherited::Streams([input, output, errors]) => {
            command.stdin(input).stdout(output).stderr(errors);
        }
        Inherited::Credentials(socket) => {
            command.stdin(socket).env("LATEEN_CREDENTIALS", "stdin");
        }
    }
    let error = command.exec();
    Err(Failure::new(format!("start `{name}` in `{}`", process.directory.display()), error))
}

/// The file of a program, found as a shell finds it.
fn find(name: &str, environment: &[(String, String)]) -> Result<std::path::PathBuf, Failure> {
    if name.contains('/') {
        return Ok(name.into());
    }
    let path =
        environment.iter().rev().find(|(key, _)| key == "PATH").map_or(place::SEARCH_PATH, |(_, path)| path);
    // This program is found even where a container has a search path of its own.
    let directories = path.split(':').chain([place::BINARIES]);
    for directory in directories {
        let file = Path::new(directory).join(name);
        if is_executable(&file) {
            return Ok(file);
        }
    }
    Err(Failure::new(format!("start `{name}`"), "no such program on this machine")
        .remedy("a container's command runs on the host's file system: install it, or give its path"))
}

fn is_executable(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file())
        && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Opens `/dev/null` three times over, for a command whose streams nobody reads.
pub(crate) fn silent_streams() -> std::io::Result<[OwnedFd; 3]> {
    let null = OwnedFd::from(File::options().read(true).write(true).open("/dev/null")?);
    Ok([null.as_fd().try_clone_to_owned()?, null.as_fd().try_clone_to_owned()?, null])
}

/// Ties the container to its pod again, after a change of credentials.
fn tie(link: &Channel) -> Result<(), Failure> {
    stage::tie_to_parent(link).step("tie the container to its pod")
}
