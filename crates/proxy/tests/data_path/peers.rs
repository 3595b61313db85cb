//! Clients and servers of HTTP/2 for tests.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};

/// A request that a server has received, without its body.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub authority: String,
    pub scheme: String,
    pub headers: HeaderMap,
}

/// A server of HTTP/2 on the test's runtime.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers each request by a function.
    pub async fn start<F, A>(builder: h2::server::Builder, answer: F) -> Server
    where
        F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, count) = (seen.clone(), connections.clone());
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (log, answer, builder) = (log.clone(), answer.clone(), builder.clone());
                tokio::spawn(async move {
                    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let uri = request.uri();
                        log.lock().expect("no test panicked in it").push(Seen {
                            method: request.method().to_string(),
                            path: uri.path_and_query().map_or("", |path| path.as_str()).to_owned(),
                            authority: uri.authority().map_or("", |host| host.as_str()).to_owned(),
                            scheme: uri.scheme_str().unwrap_or_default().to_owned(),
                            headers: request.headers().clone(),
                        });
                        tokio::spawn(answer(request, respond));
                    }
                });
            }
        });
        Server { address, seen, connections }
    }

    /// Returns every body with its trailers.
    pub async fn echo() -> Server {
        Server::start(h2::server::Builder::new(), echo).await
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no test panicked in it").clone()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Returns a body with its trailers.
pub async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let mut body = request.into_body();
    let Ok(mut out) = respond.send_response(Response::new(()), false) else { return };
    while let Some(Ok(data)) = body.data().await {
        // The client may have gone.
        let _ = body.flow_control().release_capacity(data.len());
        if send(&mut out, data).await.is_none() {
            return;
        }
    }
    let _ = match body.trailers().await {
        Ok(Some(trailers)) => out.send_trailers(trailers),
        _ => out.send_data(Bytes::new(), true),
    };
}

/// Sends data as the peer gives credit; `None` when it has gone.
pub async fn send(out: &mut h2::SendStream<Bytes>, mut data: Bytes) -> Option<()> {
    while !data.is_empty() {
        out.reserve_capacity(data.len());
        let mut capacity = out.capacity();
        if capacity == 0 {
            capacity = std::future::poll_fn(|context| out.poll_capacity(context)).await?.ok()?;
        }
        out.send_data(data.split_to(capacity.min(data.len())), false).ok()?;
    }
    Some(())
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn trailer(&self, name: &str) -> Option<&str> {
        self.trailers.as_ref()?.get(name)?.to_str().ok()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client's connection of HTTP/2.
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Bytes>,
    closed: Arc<tokio::sync::Notify>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Client {
        Client::with(address, &h2::client::Builder::new()).await
    }

    pub async fn with(address: SocketAddr, builder: &h2::client::Builder) -> Client {
        let stream = TcpStream::connect(address).await.expect("the proxy listens");
        let (sender, connection) = builder.handshake(stream).await.expect("it speaks HTTP/2");
        let closed = Arc::new(tokio::sync::Notify::new());
        let ended = closed.clone();
        tokio::spawn(async move {
            // How it ends is seen by its streams.
            let _ = connection.await;
            ended.notify_one();
        });
        Client { sender, closed }
    }

    /// Ends when the proxy has closed the connection.
    pub async fn closed(&self) {
        self.closed.notified().await;
    }

    /// The sender, for what is out of the ordinary.
    pub async fn sender(&self) -> SendRequest<Bytes> {
        self.sender.clone().ready().await.expect("the connection is open")
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(request("GET", path), None, None).await.expect("a response")
    }

    /// Sends a request with a body and trailers.
    pub async fn send(
        &self,
        request: Request<()>,
        body: Option<&[u8]>,
        trailers: Option<HeaderMap>,
    ) -> Result<Reply, h2::Error> {
        let mut sender = self.sender.clone().ready().await?;
        let ends = body.is_none() && trailers.is_none();
        let (response, mut out) = sender.send_request(request, ends)?;
        let body = Bytes::copy_from_slice(body.unwrap_or_default());
        let sending = async move {
            if !ends && send(&mut out, body).await.is_some() {
                // The proxy may have answered already.
                let _ = match trailers {
                    Some(trailers) => out.send_trailers(trailers),
                    None => out.send_data(Bytes::new(), true),
                };
            }
        };
        let (reply, ()) = tokio::join!(receive(response), sending);
        reply
    }
}

async fn receive(response: h2::client::ResponseFuture) -> Result<Reply, h2::Error> {
    let response = response.await?;
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await?;
    Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body, trailers })
}

/// A request to `h.test`.
pub fn request(method: &str, path: &str) -> Request<()> {
    Request::builder()
        .method(method)
        .uri(format!("http://h.test{path}"))
        .body(())
        .expect("a test's own request")
}
