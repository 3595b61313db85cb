//! From a socket to a connection inside TLS.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use rustls::InvalidMessage;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use crate::buffer::{Buffer, Pool};
use crate::inspect::tls::{Hello, client_hello};
use crate::tls::certificate::TlsFacts;
use crate::tls::contexts::{ClientSide, ContextError, ServerSide};
use crate::tls::failure;
use crate::tls::session::{Continue, Session};
use crate::tls::stream::{Inner, TlsStream};

/// A client's first message may be so long.
const LARGEST_HELLO: usize = 32 << 10;
/// A peer's part of the handshake may be so long.
const LARGEST: usize = 128 << 10;

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// There is no configuration for it.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// It took too long.
    #[error("TLS error: the handshake took too long")]
    TimedOut,
    /// The peer closed the connection.
    #[error("TLS error: the peer closed the connection during the handshake")]
    Closed,
    /// The peer speaks something else.
    #[error("TLS error: {who} spoke plaintext ({what})")]
    Plaintext {
        /// Which side it is.
        who: &'static str,
        /// What it speaks.
        what: &'static str,
    },
    /// It is too long.
    #[error("TLS error: the peer's part of the handshake is too long")]
    TooLong,
    /// A session was resumed whose certificate is no longer good.
    #[error("TLS error: the peer's certificate expired since the session began")]
    Expired,
    /// rustls does not take it.
    #[error("{}", failure::words(.0))]
    Tls(rustls::Error),
    /// The socket failed.
    #[error("TLS error: {0}")]
    Socket(#[source] io::Error),
}

/// What is asked of a server.
#[derive(Debug)]
pub struct Target {
    /// Its name, or its address when it shall not be told one.
    pub name: ServerName<'static>,
    /// Application protocols.
    pub alpn: Vec<Vec<u8>>,
}

/// Takes a client in. What was read of its first message already comes in
/// `input`.
pub async fn accept(
    socket: TcpStream,
    input: Option<Buffer>,
    pool: &Rc<Pool>,
    side: &ServerSide,
    context: &routing::tls::ServerTls,
) -> Result<TlsStream, HandshakeError> {
    let mut socket = socket;
    let (came, hello) = read_hello(&mut socket, input, pool).await?;
    let (server_name, offered) = match hello {
        Hello::Found { server_name, protocols } => (server_name, protocols),
        // rustls says what is wrong with it.
        Hello::NeedsMore | Hello::Other => (String::new(), Vec::new()),
    };
    let agrees = |protocol: &String| context.common.alpn.iter().any(|own| **own == *protocol.as_bytes());
    let config = match offered.is_empty() || offered.iter().any(agrees) {
        true => &side.config,
        false => &side.without_alpn,
    };
    let session = UnbufferedServerConnection::new(config.clone()).map_err(HandshakeError::Tls)?;
    let mut inner = Inner::new(socket, Session::Server(session));
    inner.came = came;
    drive(&mut inner, pool, "the client").await?;
    let facts = TlsFacts::new(inner.session.state(), &server_name, side.own.clone());
    if facts.resumed && has_expired(&facts) {
        return Err(HandshakeError::Expired);
    }
    Ok(TlsStream::new(inner, pool.clone(), facts))
}

/// Connects to a server.
pub async fn connect(
    socket: TcpStream,
    pool: &Rc<Pool>,
    side: &ClientSide,
    target: Target,
) -> Result<TlsStream, HandshakeError> {
    let server_name = match &target.name {
        ServerName::DnsName(name) => name.as_ref().to_owned(),
        _ => String::new(),
    };
    let session = UnbufferedClientConnection::new_with_alpn(side.config.clone(), target.name, target.alpn)
        .map_err(HandshakeError::Tls)?;
    let mut inner = Inner::new(socket, Session::Client(session));
    drive(&mut inner, pool, "the server").await?;
    let facts = TlsFacts::new(inner.session.state(), &server_name, side.own.clone());
    if facts.resumed && has_expired(&facts) {
        return Err(HandshakeError::Expired);
    }
    Ok(TlsStream::new(inner, pool.clone(), facts))
}

/// A resumed session does not show its certificate again.
fn has_expired(facts: &TlsFacts) -> bool {
    let end = facts.peer.as_ref().and_then(|peer| peer.not_after);
    end.is_some_and(|end| end < SystemTime::now())
}

/// Reads until the client's first message has come whole.
async fn read_hello(
    socket: &mut TcpStream,
    input: Option<Buffer>,
    pool: &Pool,
) -> Result<(Vec<u8>, Hello), HandshakeError> {
    let mut came = Vec::new();
    if let Some(buffer) = input {
        came.extend_from_slice(buffer.filled());
        pool.give(buffer);
    }
    poll_fn(|context| {
        loop {
            match client_hello(&came) {
                Hello::NeedsMore if came.len() > LARGEST_HELLO => {
                    return Poll::Ready(Err(HandshakeError::TooLong));
                }
                Hello::NeedsMore => {}
                Hello::Other if let Some(what) = failure::plain_words(&came) => {
                    return Poll::Ready(Err(HandshakeError::Plaintext { who: "the client", what }));
                }
                hello => return Poll::Ready(Ok((std::mem::take(&mut came), hello))),
            }
            ready!(poll_more(socket, &mut came, pool, context))?;
        }
    })
    .await
}

/// Reads what there is; the end is an error.
fn poll_more(
    socket: &mut TcpStream,
    came: &mut Vec<u8>,
    pool: &Pool,
    context: &mut Context<'_>,
) -> Poll<Result<(), HandshakeError>> {
    let mut scratch = pool.take();
    let mut room = ReadBuf::new(scratch.spare());
    let polled = Pin::new(socket).poll_read(context, &mut room);
    let count = room.filled().len();
    came.extend_from_slice(room.filled());
    pool.give(scratch);
    match ready!(polled) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
            Poll::Ready(Err(HandshakeError::Closed))
        }
        Err(error) => Poll::Ready(Err(HandshakeError::Socket(error))),
        Ok(()) if count == 0 => Poll::Ready(Err(HandshakeError::Closed)),
        Ok(()) => Poll::Ready(Ok(())),
    }
}

/// Goes on until both sides agree.
async fn drive(inner: &mut Inner, pool: &Pool, who: &'static str) -> Result<(), HandshakeError> {
    let mut total = inner.came.len();
    let mut first: Vec<u8> = inner.came.iter().take(24).copied().collect();
    let done = poll_fn(|context| {
        loop {
            if let Err(error) = inner.advance(pool) {
                return Poll::Ready(Err(described(error, &first, who)));
            }
            if let Err(error) = ready!(inner.poll_flush(pool, context)) {
                // The peer may have said why it left.
                let mut said = Vec::new();
                let heard = poll_more(&mut inner.socket, &mut said, pool, context);
                if !matches!(heard, Poll::Ready(Ok(()))) {
                    return Poll::Ready(Err(HandshakeError::Socket(error)));
                }
                inner.came.extend_from_slice(&said);
                continue;
            }
            if !inner.session.state().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            let before = inner.came.len();
            let Inner { socket, came, .. } = &mut *inner;
            ready!(poll_more(socket, came, pool, context))?;
            let count = inner.came.len() - before;
            total += count;
            if first.len() < 24 {
                first.extend(inner.came[before..].iter().take(24 - first.len()));
            }
            if total > LARGEST {
                return Poll::Ready(Err(HandshakeError::TooLong));
            }
        }
    })
    .await;
    if done.is_err() {
        // The peer is told why; when it has gone, it need not be.
        inner.tell_error(pool);
    }
    done
}

fn described(error: rustls::Error, first: &[u8], who: &'static str) -> HandshakeError {
    let is_garbage = matches!(
        error,
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload
        )
    );
    match failure::plain_words(first) {
        Some(what) if is_garbage => HandshakeError::Plaintext { who, what },
        _ => HandshakeError::Tls(error),
    }
}

impl Inner {
    /// Takes in what came.
    fn advance(&mut self, pool: &Pool) -> Result<(), rustls::Error> {
        let Inner { session, came, outgoing, text, .. } = self;
        let (used, progress) = session.take_in(came, outgoing, pool, |bytes| {
            text.extend_from_slice(bytes);
            Continue::No
        });
        came.drain(..used);
        progress.map(|_| ())
    }

    fn tell_error(&mut self, pool: &Pool) {
        self.session.tell_error(&mut self.came, &mut self.outgoing, pool);
        let mut context = Context::from_waker(std::task::Waker::noop());
        // What does not go at once does not go.
        let _ = self.poll_flush(pool, &mut context);
        self.outgoing.release(pool);
    }
}

/// A name that servers may be told.
pub fn server_name(sni: &str, address: std::net::IpAddr) -> ServerName<'static> {
    let named = if sni.is_empty() { None } else { ServerName::try_from(sni.to_owned()).ok() };
    named.unwrap_or(ServerName::IpAddress(address.into()))
}
