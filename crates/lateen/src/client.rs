//! Calls to a running mesh, through the unix socket in its home.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::protocol::ErrorReply;

/// An apply waits for proxies; nothing else takes as long.
const LIMIT: Duration = Duration::from_secs(60);

/// The control socket of one mesh.
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The mesh whose `$LATEEN_HOME` this is.
    pub fn new(home: &Path) -> Self {
        Self { socket: home.join("control.sock") }
    }

    /// `GET path`.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, Bytes::new())
    }

    /// `POST path` with a JSON body.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        self.call(Method::POST, path, serde_json::to_vec(body).context("encode the request")?.into())
    }

    fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
        runtime.block_on(async {
            match tokio::time::timeout(LIMIT, self.exchange(method, path, body)).await {
                Ok(answer) => answer,
                Err(_) => Err(anyhow!("the mesh did not answer within {LIMIT:?}")),
            }
        })
    }

    async fn exchange<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.not_running(&error))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.context("speak to the mesh")?;
        let driver = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "mesh")
            .body(Full::new(body))
            .context("build the request")?;
        let response = sender.send_request(request).await.context("ask the mesh")?;
        let status = response.status();
        let body = response.into_body().collect().await.context("read the mesh's answer")?.to_bytes();
        driver.abort();
        if status != StatusCode::OK {
            match serde_json::from_slice::<ErrorReply>(&body) {
                Ok(reply) => bail!(reply.error),
                Err(_) => bail!("the mesh answered {status}: {}", String::from_utf8_lossy(&body)),
            }
        }
        serde_json::from_slice(&body).context("understand the mesh's answer")
    }

    fn not_running(&self, error: &std::io::Error) -> anyhow::Error {
        match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                anyhow!("no mesh is running in `{}`: start one with `lateen up`", self.home().display())
            }
            _ => anyhow!("connect to `{}`: {error}", self.socket.display()),
        }
    }

    fn home(&self) -> &Path {
        self.socket.parent().unwrap_or(&self.socket)
    }
}
