//! A client that keeps its connection, as a browser does.

use std::net::SocketAddr;

use ::http::{Request, StatusCode};
use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One connection, opened again when the other side closed it.
pub struct Client {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: ::http::HeaderMap,
    /// Body, as text.
    pub body: String,
}

impl Client {
    /// A client of that address; connects with the first request.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    /// `GET path` with headers.
    pub async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let mut request = Request::get(path).header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).context("build the request")?).await
    }

    /// `POST path` with a form.
    pub async fn post_form(&mut self, path: &str, form: &str) -> Result<Answer> {
        let request = Request::post(path)
            .header("host", self.address.to_string())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::copy_from_slice(form.as_bytes())))
            .context("build the request")?;
        self.send(request).await
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => self.connect().await?,
        };
        sender.ready().await.context("wait for the connection")?;
        let response = sender.send_request(request).await.context("send the request")?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("read the body")?.to_bytes();
        self.sender = Some(sender);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream =
            TcpStream::connect(self.address).await.with_context(|| format!("connect to {}", self.address))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.context("speak HTTP")?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
