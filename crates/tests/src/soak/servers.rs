//! The application: HTTP/1.1, HTTP/2 and TCP, each on a port. It says `fine`,
//! or repeats what it is told.

use std::io;
use std::net::{Ipv4Addr, TcpListener as StdListener};
use std::sync::Arc;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Where it speaks HTTP/1.1.
pub const HTTP1_PORT: u16 = 8080;
/// Where it speaks HTTP/2.
pub const HTTP2_PORT: u16 = 8081;
/// Where it repeats bytes.
pub const TCP_PORT: u16 = 9000;

/// The path of an HTTP/2 request whose body is repeated as it comes.
pub const ECHO: &str = "/two/echo";
/// What every other request gets.
pub const FINE: &str = "fine, thank you very much";

/// Sockets of an application, not served yet.
pub struct Sockets(Vec<(Speaks, StdListener)>);

impl Sockets {
    /// In the network namespace of the calling thread.
    pub fn open(address: Ipv4Addr) -> io::Result<Self> {
        let ports = [(Speaks::Http1, HTTP1_PORT), (Speaks::Http2, HTTP2_PORT), (Speaks::Bytes, TCP_PORT)];
        let opened = ports.map(|(speaks, port)| Ok((speaks, listen(address, port)?)));
        opened.into_iter().collect::<io::Result<_>>().map(Self)
    }

    /// Serves them until what is returned is dropped.
    pub fn serve(self) -> io::Result<Application> {
        let mut tasks = JoinSet::new();
        for (speaks, listener) in self.0 {
            tasks.spawn(accept(TcpListener::from_std(listener)?, speaks));
        }
        Ok(Application { _tasks: tasks })
    }
}

/// A running application; dropped, it and its connections are gone.
pub struct Application {
    _tasks: JoinSet<()>,
}

#[derive(Clone, Copy)]
enum Speaks {
    Http1,
    Http2,
    Bytes,
}

fn listen(address: Ipv4Addr, port: u16) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.bind(&std::net::SocketAddr::from((address, port)).into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

async fn accept(listener: TcpListener, speaks: Speaks) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(async move {
                    // The proxy may end a connection at any time.
                    let _ = match speaks {
                        Speaks::Http1 => http1(stream).await,
                        Speaks::Http2 => http2(stream).await.map_err(io::Error::other),
                        Speaks::Bytes => repeat(stream).await,
                    };
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn repeat(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await
}

async fn http1(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{FINE}", FINE.len());
    let mut buffer = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
            .unwrap_or(0);
        while buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        buffer.drain(..head + length);
        stream.write_all(answer.as_bytes()).await?;
    }
}

async fn http2(stream: TcpStream) -> Result<(), h2::Error> {
    // Without this, small answers wait for acknowledgements.
    let _ = stream.set_nodelay(true);
    let mut connection = h2::server::handshake(stream).await?;
    let fine: Arc<Bytes> = Arc::new(Bytes::from_static(FINE.as_bytes()));
    let mut streams = JoinSet::new();
    while let Some(accepted) = connection.accept().await {
        let (request, mut respond) = accepted?;
        let fine = Arc::clone(&fine);
        streams.spawn(async move {
            let is_echo = request.uri().path() == ECHO;
            let mut body = request.into_body();
            if is_echo {
                return echo(body, respond).await;
            }
            while let Some(data) = body.data().await {
                body.flow_control().release_capacity(data?.len())?;
            }
            respond.send_response(http::Response::new(()), false)?.send_data((*fine).clone(), true)
        });
        while streams.try_join_next().is_some() {}
    }
    Ok(())
}

async fn echo(
    mut body: h2::RecvStream,
    mut respond: h2::server::SendResponse<Bytes>,
) -> Result<(), h2::Error> {
    let mut back = respond.send_response(http::Response::new(()), false)?;
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        // A few bytes at a time: windows do not fill.
        back.send_data(data, false)?;
    }
    back.send_data(Bytes::new(), true)
}
