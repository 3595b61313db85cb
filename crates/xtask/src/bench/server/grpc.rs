//! A gRPC server that answers each call with one message and a status, over
//! HTTP/2 without TLS.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::net::{TcpListener, TcpStream};

/// One message of 1 KiB in gRPC's framing: a flag, a length, bytes.
pub(in super::super) fn message() -> Vec<u8> {
    let mut message = vec![0];
    message.extend_from_slice(&1024_u32.to_be_bytes());
    message.resize(5 + 1024, b'x');
    message
}

pub(super) fn run(address: SocketAddr) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(address).await.context("listen")?;
        let message = Bytes::from(message());
        loop {
            let (stream, _) = listener.accept().await.context("accept")?;
            tokio::task::spawn_local(serve(stream, message.clone()));
        }
    })
}

async fn serve(stream: TcpStream, message: Bytes) {
    // A connection that breaks is the client's to count.
    let _ = stream.set_nodelay(true);
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::task::spawn_local(answer(request, respond, message.clone()));
    }
}

/// Reads the call's message and answers; a stream that was reset ends early.
async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    message: Bytes,
) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    while let Some(data) = body.data().await {
        body.flow_control().release_capacity(data?.len())?;
    }
    let mut head = Response::new(());
    head.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut stream = respond.send_response(head, false)?;
    stream.send_data(message, false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}
