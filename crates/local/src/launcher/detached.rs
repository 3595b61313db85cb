//! A launcher without a terminal, and how it is ended from outside.

use std::os::fd::OwnedFd;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::sockets::{Kind, connect_unix};
use super::{UpError, UpOptions, open_log, up};
use crate::channel::Channel;
use crate::failure::{Failure, Step};
use crate::home::{Home, HomeError};
use crate::progress::{Doors, Progress};
use crate::stage::{self, Stage};

/// What the detached launcher tells the process that waits for it.
#[derive(Debug, Serialize, Deserialize)]
enum News {
    Progress(Progress),
    Failed(Failure),
}

/// Starts a mesh that goes on after this process; returns when every pod is ready, or when `progress` says enough.
///
/// `progress` returns whether to go on waiting.
pub fn up_detached(
    options: &UpOptions,
    progress: &mut dyn FnMut(&Progress) -> bool,
) -> Result<Option<Doors>, UpError> {
    let home = Home::open(&options.home)?;
    // Asked here for a clear answer; the launcher takes the lock for itself.
    drop(home.lock(Duration::from_secs(2))?);
    let log = open_log(&home)?;
    let (link, child_link) = Channel::pair().step("make the channel to the launcher")?;
    let mut launcher = stage::command(Stage::Launcher, "lateen: launcher", child_link)
        .stdout(Stdio::from(log.try_clone().step("share the log")?))
        .stderr(Stdio::from(log))
        .spawn()
        .step("start the launcher")?;
    link.send(options, &[]).step("tell the launcher what to start")?;
    loop {
        let Some(received) = link.receive::<News>().step("hear from the launcher")? else {
            // It ended; the status is all there is to say.
            let reason = launcher.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            return Err(UpError::Ended { reason: format!("the launcher: {reason}"), log: home.mesh_log() });
        };
        match received.message {
            News::Failed(failure) => {
                let _ = launcher.wait();
                return Err(UpError::Step(failure));
            }
            News::Progress(news) => {
                let go_on = progress(&news);
                if let Progress::Ready(doors) = news {
                    return Ok(Some(doors));
                }
                if !go_on {
                    return Ok(None);
                }
            }
        }
    }
}

/// The detached launcher itself.
pub(crate) fn detached_main(link: &Channel) -> ExitCode {
    // A leader of a process group cannot start a session; a fresh child is none.
    let _ = rustix::process::setsid();
    let options = match link.receive::<UpOptions>() {
        Ok(Some(received)) => received.message,
        Ok(None) | Err(_) => return ExitCode::FAILURE,
    };
    // Nobody may be listening any more; the mesh goes on.
    let tell = |news: &News| drop(link.send(news, &[]));
    match up(&options, &mut |news| tell(&News::Progress(news.clone()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(UpError::Step(failure)) => {
            tell(&News::Failed(failure));
            ExitCode::FAILURE
        }
        Err(other) => {
            tell(&News::Failed(Failure::new("keep the mesh running", other)));
            ExitCode::FAILURE
        }
    }
}

/// Ends the mesh in `home`: asks its launcher, and after `patience` has the kernel end it.
pub(crate) fn stop_and_wait(home: &Home, patience: Duration) -> Result<(), UpError> {
    if let Some(launcher) = launcher_of(home) {
        let handle = pidfd_open(launcher, PidfdFlags::empty()).step("find the launcher")?;
        for (signal, patience) in [(Signal::TERM, patience), (Signal::KILL, Duration::from_secs(2))] {
            // It may have ended between the two calls.
            let _ = pidfd_send_signal(&handle, signal);
            let deadline = Instant::now() + patience;
            while Instant::now() < deadline {
                if has_ended(&handle) && !home.is_running() {
                    return Ok(());
                }
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
    }
    if home.is_running() {
        return Err(HomeError::Running { path: home.root().to_owned(), pid: home.launcher() }.into());
    }
    Ok(())
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(process, PollFlags::IN)];
    let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut watched, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

/// The process that listens on the control socket, as the kernel knows it.
fn launcher_of(home: &Home) -> Option<rustix::process::Pid> {
    let socket: OwnedFd = connect_unix(&home.control_socket(), Kind::Stream).ok()?;
    Some(rustix::net::sockopt::socket_peercred(&socket).ok()?.pid)
}
