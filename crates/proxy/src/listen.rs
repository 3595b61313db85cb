//! Listening sockets, and what happens to a connection until it is known
//! who serves it.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, SystemTime};

use routing::address::canonical;
use routing::decision::handed_to;
use routing::filter_chain::ConnectionInfo;
use routing::listener::Listener;
use routing::proxy_protocol::Expected;
use routing::tls::Transport;
use rustix::fs::{Mode, OFlags};
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::buffer::Buffer;
use crate::chain::{Chain, Kind};
use crate::http::connection::{self, Connection, Version};
use crate::inspect::{Seen, inspect};
use crate::io::poll_fill;
use crate::proxy_protocol::{self, Found};
use crate::stream::{Reader, Stream};
use crate::tcp;
use crate::tls::handshake::{self, HandshakeError};
use crate::unserved::Unserved;
use crate::worker::Worker;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long a client may take for its part of the handshake, where nothing
/// else is said.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// After the kernel had no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Opens a listening socket that shares its address with those of the other
/// workers.
pub fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts connections for ever.
pub async fn accept(worker: Rc<Worker>, name: Arc<str>, listener: TcpListener) {
    worker.shared.accept_began();
    let _accepting = Accepting(worker.clone());
    let mut spare = Spare::take();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::task::spawn_local(serve(worker.clone(), name.clone(), stream, peer));
            }
            // The peer was faster with leaving.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if is_out_of_descriptors(&error) => {
                worker.stats.out_of_descriptors.increment();
                spare.shed(&listener);
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::warn!("listener `{name}`: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Counts a task that accepts, however it ends.
struct Accepting(Rc<Worker>);

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.shared.accept_ended();
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let codes = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(rustix::io::Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// A descriptor kept back, so that even without any other the newest
/// connections can be taken and closed instead of being left to wait.
struct Spare(Option<OwnedFd>);

/// So many connections are closed before others get their turn.
const SHED_AT_ONCE: usize = 64;

impl Spare {
    fn take() -> Spare {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Spare(rustix::fs::open("/dev/null", flags, Mode::empty()).ok())
    }

    fn shed(&mut self, listener: &TcpListener) {
        drop(self.0.take());
        for _ in 0..SHED_AT_ONCE {
            // Not blocking: the queue may be empty.
            if rustix::net::accept_with(listener, SocketFlags::CLOEXEC).is_err() {
                break;
            }
        }
        *self = Spare::take();
    }
}

async fn serve(worker: Rc<Worker>, name: Arc<str>, stream: TcpStream, peer: SocketAddr) {
    let Some(_admitted) = worker.shared.overload.admit() else {
        worker.stats.overflow.increment();
        return;
    };
    worker.connection_opened();
    let _open = OpenConnection(&worker);
    if stream.set_nodelay(true).is_err() {
        return;
    }
    dispatch(&worker, &name, stream, canonical(peer)).await;
}

/// Counts a connection out, however it ends.
struct OpenConnection<'w>(&'w Worker);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

/// Finds the listener and filter chain, and hands the connection over.
async fn dispatch(worker: &Rc<Worker>, name: &str, mut stream: TcpStream, peer: SocketAddr) {
    let live = worker.live();
    let Some(arrived_at) = live.config.listener(name) else { return };
    let Ok(accepted_at) = stream.local_addr().map(canonical) else { return };
    let local = match arrived_at.original_dst {
        true => original_destination(&stream).map_or(accepted_at, canonical),
        false => accepted_at,
    };
    let listener = handed_to(&live.config, arrived_at, local).clone();
    drop(live);
    let started_at = SystemTime::now();
    let mut input = None;
    let stats = &worker.stats;
    let (mut peer, mut local) = (peer, local);
    if let Some(expected) = &listener.proxy_protocol {
        match announced(worker, &listener, expected, &mut stream, &mut input).await {
            None => return,
            Some(None) => {}
            Some(Some((source, destination))) => (peer, local) = (canonical(source), canonical(destination)),
        }
    }
    let timed_out = || stats.inspection_timeout.increment();
    let seen = inspect(&listener, local.port(), &mut stream, &mut input, &worker.buffers, timed_out).await;
    let Ok(seen) = seen else { return };
    let Some(chain) = find_chain(&listener, local, peer, &seen) else {
        stats.no_chain.increment();
        let (listener, server_name) = (&*listener, seen.server_name.as_str());
        Unserved { listener, started_at, local, accepted_at, peer, server_name, failure: None }.log(worker);
        return;
    };
    let chain = worker.chain(&listener, &chain);
    let _admitted = match chain.limit.as_ref().map(|limit| (limit, limit.admit())) {
        Some((limit, None)) => return limit.turn_away().await,
        Some((_, admitted)) => admitted,
        None => None,
    };
    let stream = match secure(worker, &chain, stream, &mut input).await {
        Ok(stream) => stream,
        Err(error) => {
            let failure = error.to_string();
            worker.turned_away(&listener.name, peer, &failure);
            let (listener, server_name) = (&*listener, seen.server_name.as_str());
            let failure = Some(failure.as_str());
            Unserved { listener, started_at, local, accepted_at, peer, server_name, failure }.log(worker);
            return;
        }
    };
    let connection = Connection {
        tls: stream.tls().map(|stream| stream.facts.clone()),
        worker: worker.clone(),
        listener,
        chain: chain.clone(),
        peer,
        local,
        accepted_at,
        version: Version::Http1,
    };
    match &chain.kind {
        Kind::Http(_) => connection::serve(connection, stream, input).await,
        Kind::Tcp(_) => tcp::serve(connection, stream, input, seen.server_name).await,
        Kind::Close => {}
    }
}

/// Puts TLS on a connection where the chain says so.
async fn secure(
    worker: &Worker,
    chain: &Chain,
    stream: TcpStream,
    input: &mut Option<Buffer>,
) -> Result<Stream, HandshakeError> {
    let (Transport::Tls(context), Some(stats)) = (&chain.config.transport, &chain.tls) else {
        return Ok(Stream::Plain(stream));
    };
    let limit = chain.config.handshake_timeout.unwrap_or(HANDSHAKE_TIMEOUT);
    let accepted = async {
        let side = worker.shared.tls.server(context)?;
        handshake::accept(stream, input.take(), &worker.buffers, &side, context).await
    };
    let accepted = tokio::time::timeout(limit, accepted).await.unwrap_or(Err(HandshakeError::TimedOut));
    match &accepted {
        Ok(stream) => stats.opened(&stream.facts),
        Err(error) => stats.failed(error),
    }
    accepted.map(|stream| Stream::Tls(Box::new(stream)))
}

/// Who the client was and where it connected, as the header in front of the
/// connection tells. `None`: the connection is closed.
async fn announced(
    worker: &Worker,
    listener: &Listener,
    expected: &Expected,
    stream: &mut TcpStream,
    input: &mut Option<Buffer>,
) -> Option<Option<(SocketAddr, SocketAddr)>> {
    let limit = listener.inspection_timeout.unwrap_or(Duration::MAX);
    let (reader, _) = stream.split();
    let mut reader = Reader::Plain(reader);
    let found = tokio::time::timeout(
        limit,
        poll_fn(|context| {
            loop {
                let bytes = input.as_ref().map_or(&[][..], Buffer::filled);
                match if bytes.is_empty() { Found::Partial } else { proxy_protocol::find(bytes) } {
                    Found::Partial => {}
                    found => return Poll::Ready(found),
                }
                match ready!(poll_fill(&mut reader, input, &worker.buffers, false, context)) {
                    Ok(0) | Err(_) => return Poll::Ready(Found::Malformed),
                    Ok(_) => {}
                }
            }
        }),
    )
    .await;
    match found {
        Ok(Found::Header { length, version, addresses }) if !expected.refused.contains(&version) => {
            if let Some(buffer) = input {
                buffer.consume(length);
            }
            if let Some(empty) = input.take_if(|input| input.is_empty()) {
                worker.buffers.give(empty);
            }
            Some(addresses)
        }
        Ok(Found::None) if expected.optional => Some(None),
        _ => {
            worker.stats.bad_announcement.increment();
            None
        }
    }
}

fn find_chain(
    listener: &Listener,
    local: SocketAddr,
    peer: SocketAddr,
    seen: &Seen,
) -> Option<Arc<routing::filter_chain::FilterChain>> {
    let protocols: smallvec::SmallVec<[&str; 4]> = seen.protocols.iter().map(String::as_str).collect();
    let info = ConnectionInfo {
        destination: local,
        source: peer,
        server_name: &seen.server_name,
        transport_protocol: seen.transport,
        application_protocols: &protocols,
    };
    listener.chains.find(&info).cloned()
}

/// Where the connection went before the capture rules redirected it.
fn original_destination(stream: &TcpStream) -> Option<SocketAddr> {
    let socket = SockRef::from(stream);
    let found = match stream.local_addr().ok()? {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    found.ok()?.as_socket()
}
