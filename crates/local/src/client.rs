//! What commands do with a running mesh, from outside.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::channel::Channel;
use crate::home::Home;
use crate::kubelet::PodSummary;
use crate::kubelet::summary::find;
use crate::launcher::sockets::{Kind, connect_unix};
use crate::launcher::{UpError, stop_and_wait};
use crate::supervisor::control::WorldStatus;
use crate::supervisor::exec::ExecRequest;
use crate::supervisor::log_path;

/// Why a running mesh could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is none.
    #[error("no mesh is running in `{}`: `lateen up` starts one", .0.display())]
    NotRunning(PathBuf),
    /// It does not answer.
    #[error("the mesh in `{}` does not answer", home.display())]
    Silent {
        /// The mesh's directory.
        home: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// A log cannot be read or shown.
    #[error("the log `{}`", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Ends the mesh in `home` and returns when nothing is left of it; false when there was none.
pub fn down(home: &Path) -> Result<bool, UpError> {
    let Some(home) = existing(home).filter(Home::is_running) else { return Ok(false) };
    stop_and_wait(&home, Duration::from_secs(25)).map(|()| true)
}

/// Whether a mesh runs in `home`.
pub fn is_running(home: &Path) -> bool {
    existing(home).is_some_and(|home| home.is_running())
}

fn existing(home: &Path) -> Option<Home> {
    home.canonicalize().ok().map(Home::opened)
}

/// Sends a request to the control socket; returns status and body.
pub async fn request(
    home: &Path,
    method: Method,
    path_and_query: &str,
    body: Bytes,
) -> Result<(StatusCode, Bytes), ClientError> {
    let socket = connect(home, |home| home.control_socket(), Kind::Stream)?;
    let silent = |source: io::Error| ClientError::Silent { home: home.to_owned(), source };
    let stream = std::os::unix::net::UnixStream::from(socket);
    stream.set_nonblocking(true).map_err(silent)?;
    let stream = UnixStream::from_std(stream).map_err(silent)?;
    let other = |error: hyper::Error| silent(io::Error::other(error));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(other)?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path_and_query)
        .header("host", "mesh")
        .body(Full::new(body))
        .map_err(|error| ClientError::Refused(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(other)?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(other)?.to_bytes();
    Ok((status, body))
}

/// Pods and doors of the mesh in `home`.
pub async fn world_status(home: &Path) -> Result<WorldStatus, ClientError> {
    let (status, body) = request(home, Method::GET, "/world", Bytes::new()).await?;
    if status != StatusCode::OK {
        return Err(ClientError::Refused(String::from_utf8_lossy(&body).into_owned()));
    }
    serde_json::from_slice(&body).map_err(|error| ClientError::Refused(error.to_string()))
}

/// A command to run in a pod.
#[derive(Debug, Clone)]
pub struct Exec {
    /// Pod, Deployment or Service.
    pub workload: String,
    /// Its namespace.
    pub namespace: String,
    /// The container; the pod's default one when not said.
    pub container: Option<String>,
    /// The command.
    pub command: Vec<String>,
}

/// Runs a command in a pod with these standard streams; returns its exit code.
pub fn exec(home: &Path, exec: Exec, streams: [OwnedFd; 3]) -> Result<i32, ClientError> {
    let channel = Channel::from(connect(home, |home| home.exec_socket(), Kind::Packets)?);
    let silent = |source| ClientError::Silent { home: home.to_owned(), source };
    let Exec { workload, namespace, container, command } = exec;
    let request = ExecRequest { workload, namespace, container, command };
    channel.send(&request, &[streams[0].as_fd(), streams[1].as_fd(), streams[2].as_fd()]).map_err(silent)?;
    // The command alone holds its streams from here on, so that their ends are seen.
    drop(streams);
    match channel.receive::<Result<i32, String>>().map_err(silent)? {
        Some(received) => received.message.map_err(ClientError::Refused),
        None => Err(ClientError::Refused("the mesh ended".to_owned())),
    }
}

/// Whether a log is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// What is there.
    No,
    /// What comes, too, until the mesh ends.
    Yes,
}

/// Which log is wanted.
#[derive(Debug, Clone)]
pub struct Logs {
    /// Pod, Deployment or Service.
    pub workload: String,
    /// Its namespace.
    pub namespace: String,
    /// The container; the pod's default one when not said.
    pub container: Option<String>,
    /// Whether to go on.
    pub follow: Follow,
    /// Only so many of the last lines.
    pub tail: Option<usize>,
}

/// Writes the log of a container to `output`.
pub async fn logs(home: &Path, logs: &Logs, output: &mut dyn Write) -> Result<(), ClientError> {
    let world = world_status(home).await?;
    let pod: &PodSummary =
        find(&world.pods, &logs.namespace, &logs.workload).map_err(ClientError::Refused)?;
    let container = logs.container.clone().unwrap_or_else(|| pod.default_container.clone());
    if !pod.containers.iter().any(|known| known.name == container) {
        let names: Vec<&str> = pod.containers.iter().map(|known| known.name.as_str()).collect();
        let message =
            format!("pod `{}` has no container `{container}`: it has {}", pod.name, names.join(", "));
        return Err(ClientError::Refused(message));
    }
    let path = log_path(&world.home, pod, &container);
    let failed = |source| ClientError::Log { path: path.clone(), source };
    let mut position = show(&path, logs.tail, output).map_err(failed)?;
    while logs.follow == Follow::Yes && is_running(home) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        position = show_more(&path, position, output).map_err(failed)?;
    }
    Ok(())
}

/// Writes what is there; returns how far it has come.
fn show(path: &Path, tail: Option<usize>, output: &mut dyn Write) -> io::Result<u64> {
    let mut text = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut text)?,
        // A container that has not started has not written.
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let start = tail.map_or(0, |lines| start_of_last(&text, lines));
    output.write_all(&text[start..])?;
    output.flush()?;
    Ok(text.len() as u64)
}

/// Where the last lines begin.
fn start_of_last(text: &[u8], lines: usize) -> usize {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    if lines == 0 {
        return text.len();
    }
    let newlines = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    newlines.map(|(at, _)| at + 1).nth(lines - 1).unwrap_or(0)
}

fn show_more(path: &Path, position: u64, output: &mut dyn Write) -> io::Result<u64> {
    let Ok(mut file) = File::open(path) else { return Ok(position) };
    let length = file.metadata()?.len();
    // A shorter file is a new one: the log was turned over.
    let position = if length < position { 0 } else { position };
    if length == position {
        return Ok(position);
    }
    file.seek(io::SeekFrom::Start(position))?;
    let mut text = Vec::new();
    file.take(length - position).read_to_end(&mut text)?;
    output.write_all(&text)?;
    output.flush()?;
    Ok(position + text.len() as u64)
}

fn connect(home: &Path, socket: impl Fn(&Home) -> PathBuf, kind: Kind) -> Result<OwnedFd, ClientError> {
    let not_running = || ClientError::NotRunning(home.to_owned());
    let opened = existing(home).ok_or_else(not_running)?;
    connect_unix(&socket(&opened), kind).map_err(|_| not_running())
}

#[cfg(test)]
mod tests;
