//! The process that makes the world's namespaces and starts process 1 in them.
//!
//! It stays to hold the chain together: it ends with the launcher, and process 1 ends with it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ExitCode};

use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, Mode, OFlags, unlinkat};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::caller::Caller;
use crate::channel::Channel;
use crate::failure::{Failure, Step, namespace_remedy};
use crate::handover::Handover;
use crate::host::ToHost;
use crate::stage::{self, Stage};

/// The world's whole life.
pub(crate) fn main(link: &Channel) -> ExitCode {
    // Signals of the terminal are the launcher's business. A fresh child leads no group, so this cannot fail.
    let _ = rustix::process::setsid();
    let handover = match Handover::receive(link) {
        Ok(handover) => handover,
        Err(error) => {
            eprintln!("world: {error}");
            return ExitCode::FAILURE;
        }
    };
    let home = open_directory(&handover.settings.home);
    match begin(link, &handover) {
        Ok(init) => {
            // What was handed over belongs to the supervisor now; the lock stays here until the end.
            let lock = handover.into_lock();
            let code = hold(link, init);
            if link.is_closed().unwrap_or(true)
                && let Ok(home) = &home
            {
                remove_sockets(home);
            }
            drop(lock);
            code
        }
        Err(failure) => {
            eprintln!("world: {failure}");
            report(handover.host, failure);
            ExitCode::FAILURE
        }
    }
}

/// Tells the launcher that the world cannot be built.
pub(crate) fn report(host: OwnedFd, failure: Failure) {
    // A launcher that is gone needs no report.
    let _ = Channel::from(host).send(&ToHost::Failed(failure), &[]);
}

fn begin(link: &Channel, handover: &Handover) -> Result<(Child, Channel), Failure> {
    let caller = handover.settings.caller;
    if let Caller::User { uid, gid } = caller {
        enter_user_namespace(0, uid, 0, gid)?;
        stage::tie_to_parent(link).step("tie the world to the launcher")?;
    }
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWPID,
    )
    .step("make the world's namespaces")
    .map_err(|failure| failure.remedy(namespace_remedy(Path::new("/"), caller.is_root())))?;
    let (init_link, child_link) = Channel::pair().step("make the channel to process 1")?;
    let init = stage::command(Stage::Init, "lateen: init", child_link)
        .spawn()
        .step("start the world's process 1")?;
    handover.send(&init_link).step("hand over to process 1")?;
    Ok((init, init_link))
}

/// Makes a user namespace in which one user and one group are mapped.
pub(crate) fn enter_user_namespace(
    inner_uid: u32,
    outer_uid: u32,
    inner_gid: u32,
    outer_gid: u32,
) -> Result<(), Failure> {
    unshare(CloneFlags::CLONE_NEWUSER)
        .step("make a user namespace")
        .map_err(|failure| failure.remedy(namespace_remedy(Path::new("/"), false)))?;
    map_ids(inner_uid, outer_uid, inner_gid, outer_gid)
}

/// Maps one user and one group in the user namespace that this process has just made.
pub(crate) fn map_ids(inner_uid: u32, outer_uid: u32, inner_gid: u32, outer_gid: u32) -> Result<(), Failure> {
    let maps = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{inner_uid} {outer_uid} 1")),
        ("/proc/self/gid_map", format!("{inner_gid} {outer_gid} 1")),
    ];
    for (file, text) in maps {
        std::fs::write(file, text)
            .step(format!("write `{file}` of a new user namespace"))
            .map_err(|failure| failure.remedy(namespace_remedy(Path::new("/"), false)))?;
    }
    Ok(())
}

/// Waits for the end of the launcher or of process 1, whichever is first.
fn hold(link: &Channel, (mut init, _init_link): (Child, Channel)) -> ExitCode {
    let ended = Pid::from_raw(init.id().cast_signed())
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
    if let Ok(ended) = ended {
        // From here on the end of the launcher is seen by its end of the channel, which leaves time to tidy up:
        // process 1 is tied to this process, and ends with it.
        let _ = rustix::process::set_parent_process_death_signal(None);
        let mut watched = [PollFd::new(link, PollFlags::empty()), PollFd::new(&ended, PollFlags::IN)];
        while let Err(rustix::io::Errno::INTR) = poll(&mut watched, None) {}
        if !watched[0].revents().is_empty() {
            let _ = init.kill();
        }
    }
    match init.wait().ok().and_then(|status| status.code()) {
        Some(0) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn open_directory(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Removes the sockets of a launcher that was killed.
fn remove_sockets(home: &OwnedFd) {
    for name in ["control.sock", "exec.sock"] {
        // The next `up` removes what is left.
        let _ = unlinkat(home.as_fd(), name, AtFlags::empty());
    }
}
