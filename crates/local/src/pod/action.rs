//! What probes and hooks do.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_util::task::AbortOnDropHandle;

use super::plan::{Action, ContainerPlan};
use super::process;
use crate::container::plan::Process;

/// Does it; the error says what was wrong.
pub(super) async fn run(container: &ContainerPlan, action: &Action) -> Result<(), String> {
    match action {
        Action::Http { host, port, path, headers } => get(host, *port, path, headers).await,
        Action::Tcp { host, port } => connect(host, *port).await.map(drop),
        Action::Exec(command) => execute(container, command).await,
        Action::Sleep(seconds) => {
            tokio::time::sleep(Duration::from_secs(*seconds)).await;
            Ok(())
        }
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((host, port)).await.map_err(|error| format!("{host}:{port}: {error}"))
}

async fn get(host: &str, port: u16, path: &str, headers: &[(String, String)]) -> Result<(), String> {
    let stream = connect(host, port).await?;
    let describe = |error: &dyn std::fmt::Display| format!("http://{host}:{port}{path}: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| describe(&error))?;
    let mut request =
        http::Request::get(path).header("user-agent", "kube-probe/1.29").header("connection", "close");
    let named = |name: &str| headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    if !named("host") {
        request = request.header("host", format!("{host}:{port}"));
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| describe(&error))?;
    // The connection moves while the answer is awaited, and ends with this function.
    let _connection = AbortOnDropHandle::new(spawn_local(connection));
    let status = sender.send_request(request).await.map_err(|error| describe(&error))?.status();
    if status.is_success() || status.is_redirection() {
        return Ok(());
    }
    Err(describe(&format!("status {}", status.as_u16())))
}

async fn execute(container: &ContainerPlan, command: &[String]) -> Result<(), String> {
    let process = Process { command: command.to_vec(), ..container.process.clone() };
    match process::run_beside(&process, Vec::new()).await {
        Ok(0) => Ok(()),
        Ok(code) => Err(format!("`{}` exited with code {code}", command.join(" "))),
        Err(failure) => Err(failure.to_string()),
    }
}
