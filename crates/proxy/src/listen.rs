//! Listening sockets, and what happens to a connection until it is known
//! who serves it.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use routing::address::canonical;
use routing::decision::handed_to;
use routing::filter_chain::ConnectionInfo;
use routing::listener::Listener;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::chain::Kind;
use crate::http::connection::{self, Connection, Version};
use crate::inspect::{Seen, inspect};
use crate::tcp;
use crate::unserved::Unserved;
use crate::worker::Worker;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
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
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::task::spawn_local(serve(worker.clone(), name.clone(), stream, peer));
            }
            Err(error) => {
                tracing::warn!("listener `{name}`: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn serve(worker: Rc<Worker>, name: Arc<str>, stream: TcpStream, peer: SocketAddr) {
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
    let timed_out = || stats.inspection_timeout.increment();
    let seen = inspect(&listener, local.port(), &mut stream, &mut input, &worker.buffers, timed_out).await;
    let Ok(seen) = seen else { return };
    let Some(chain) = find_chain(&listener, local, peer, &seen) else {
        stats.no_chain.increment();
        let (listener, server_name) = (&*listener, seen.server_name.as_str());
        Unserved { listener, started_at, local, accepted_at, peer, server_name }.log(worker);
        return;
    };
    let chain = worker.chain(&listener, &chain);
    let connection = Connection {
        worker: worker.clone(),
        chain: chain.clone(),
        peer,
        local,
        accepted_at,
        version: Version::Http1,
    };
    match &chain.kind {
        Kind::Http(_) => connection::serve(connection, stream, input).await,
        Kind::Tcp(_) => tcp::serve(connection, stream, input, seen.server_name).await,
        Kind::Unsupported => stats.unsupported_transport.increment(),
        Kind::Close => {}
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
