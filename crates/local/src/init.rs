//! Process 1 of the world: prepares the file system, starts the supervisor, and buries the dead.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change,
};
use rustix::process::{WaitOptions, wait};

use crate::channel::Channel;
use crate::failure::{Failure, Step};
use crate::handover::{Handover, Settings};
use crate::place;
use crate::stage::{self, Stage};
use crate::world::report;

/// Process 1's whole life.
pub(crate) fn main(link: &Channel) -> ExitCode {
    let handover = match Handover::receive(link) {
        Ok(handover) => handover,
        Err(error) => {
            eprintln!("init: {error}");
            return ExitCode::FAILURE;
        }
    };
    match begin(&handover) {
        Ok((supervisor, _link)) => {
            drop(handover);
            reap_until_the_end_of(supervisor)
        }
        Err(failure) => {
            eprintln!("init: {failure}");
            report(handover.host, failure);
            ExitCode::FAILURE
        }
    }
}

fn begin(handover: &Handover) -> Result<(u32, Channel), Failure> {
    prepare_file_system(&handover.settings)?;
    let (link, child_link) = Channel::pair().step("make the channel to the supervisor")?;
    let supervisor = stage::command(Stage::Supervisor, "lateen: supervisor", child_link)
        .spawn()
        .step("start the supervisor")?;
    handover.send(&link).step("hand over to the supervisor")?;
    Ok((supervisor.id(), link))
}

fn prepare_file_system(settings: &Settings) -> Result<(), Failure> {
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)
        .step("make the world's mounts private")?;
    // Inside a container the host's /proc is masked and a fresh one is refused. The old one serves, with the
    // numbers of the processes as they are outside.
    if let Err(error) =
        mount("proc", "/proc", "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)
    {
        eprintln!("init: no fresh /proc: {error}");
    }
    // Files that lie below /run and are needed are kept open over the new mount.
    let kept: Vec<(PathBuf, std::fs::File)> = [settings.home.clone()]
        .into_iter()
        .chain(settings.binary.parent().map(Path::to_owned))
        .filter(|path| path.starts_with("/run"))
        .map(|path| Ok((path.clone(), std::fs::File::open(&path)?)))
        .collect::<std::io::Result<_>>()
        .step("open the mesh's directory")?;
    mount("tmpfs", "/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=755"))
        .step("mount a private /run")?;
    for (path, directory) in kept {
        use std::os::fd::AsRawFd;
        std::fs::create_dir_all(&path).step(format!("make `{}`", path.display()))?;
        mount_bind_recursive(format!("/proc/self/fd/{}", directory.as_raw_fd()), &path)
            .step(format!("keep `{}`", path.display()))?;
    }
    binaries(settings)
}

/// Puts the programs of the mesh where every user may enter.
fn binaries(settings: &Settings) -> Result<(), Failure> {
    for directory in [place::BINARIES, place::PODS, place::STAGE] {
        std::fs::create_dir_all(directory).step(format!("make `{directory}`"))?;
    }
    let own = Path::new(place::BINARIES).join(place::OWN_NAME);
    let found = std::fs::metadata(&settings.binary).ok().zip(std::fs::metadata("/proc/self/exe").ok());
    if found.is_some_and(|(by_path, running)| same_file(&by_path, &running)) {
        bind_file(&settings.binary, &own)?;
    } else {
        // The file was replaced or removed since the start: the running one is copied.
        std::fs::copy("/proc/self/exe", &own).step("copy the running program")?;
        make_executable(&own)?;
    }
    for (name, file) in &settings.extra_binaries {
        bind_file(file, &Path::new(place::BINARIES).join(name))?;
    }
    Ok(())
}

fn same_file(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn bind_file(source: &Path, target: &Path) -> Result<(), Failure> {
    std::fs::File::create(target).step(format!("make `{}`", target.display()))?;
    mount_bind(source, target).step(format!("bind `{}` to `{}`", source.display(), target.display()))
}

fn make_executable(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))
        .step(format!("make `{}` executable", path.display()))
}

/// Waits for every process that ends in the world, until it is the supervisor.
fn reap_until_the_end_of(supervisor: u32) -> ExitCode {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get().cast_unsigned() == supervisor => {
                return match status.exit_status() {
                    Some(0) => ExitCode::SUCCESS,
                    _ => ExitCode::FAILURE,
                };
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                eprintln!("init: wait: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
}
