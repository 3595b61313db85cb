//! Copies that travel as HTTP/2, on the connections that requests share.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};

use bytes::Bytes;
use routing::route::Priority;

use crate::http::body::{Body, Piece};
use crate::http1::framing::Framing;
use crate::http1::head::Head;
use crate::http1::parse::{self, Limits};
use crate::http2::client::{Connection, Turn};
use crate::upstream::connect::{ConnectError, Purpose, Speaks};
use crate::upstream::host::Host;
use crate::upstream::{ClusterState, pool};
use crate::worker::Worker;

/// What this proxy has written itself has no further limits.
const OWN: Limits = Limits { max_head: 1 << 20, max_headers: 10_000, http_10: false };

/// Sends a request and reads its answer to the end; the status.
pub(super) async fn converse(
    worker: &Worker,
    cluster: &ClusterState,
    host: &Rc<Host>,
    head: &[u8],
    mut body: Bytes,
) -> Option<u16> {
    let (_, parts) = parse::request(head, worker.take_fields(), &OWN).ok()??;
    let request = Head::new(head.to_vec(), head.len(), parts);
    let connection = connection(worker, cluster, host).await?;
    let most = cluster.cluster.max_requests_per_connection;
    let sent = connection.send(&request, None, body.is_empty(), most).await;
    worker.give_head(request);
    let mut stream = sent.ok()?;
    let mut received = Body::new(Framing::Chunked);
    let mut status = None;
    let mut is_sent = body.is_empty();
    poll_fn(|context| {
        // A server that does not want the body may answer all the same.
        is_sent = is_sent || stream.outgoing.poll_data(&mut body, true, context).is_ready();
        loop {
            let Some(status) = status else {
                match ready!(stream.poll_answer(worker, context)) {
                    Ok(head) => {
                        status = (head.status >= 200).then_some(head.status);
                        worker.give_head(head);
                    }
                    Err(_) => return Poll::Ready(None),
                }
                continue;
            };
            match ready!(stream.incoming.poll_piece(&mut received, context)) {
                Ok(Piece::Data(data)) => stream.incoming.took(data.len()),
                Ok(Piece::Trailers(_) | Piece::End) => return Poll::Ready(Some(status)),
                Err(_) => return Poll::Ready(None),
            }
        }
    })
    .await
}

/// A connection with room; it is made when there is none.
async fn connection(worker: &Worker, cluster: &ClusterState, host: &Rc<Host>) -> Option<Rc<Connection>> {
    loop {
        match host.http2.turn(false, cluster.cluster.max_requests_per_connection, None) {
            Turn::Ready(connection) => return Some(connection),
            Turn::Wait(connecting) => {
                if let Some(Err(_)) = connecting.wait().await {
                    return None;
                }
            }
            Turn::Connect(connecting) => {
                let attempt = host.http2.attempt(connecting);
                let made = start(worker, cluster, host).await.map_err(Rc::new);
                attempt.made(made.clone());
                return made.ok();
            }
        }
    }
}

async fn start(worker: &Worker, cluster: &ClusterState, host: &Host) -> Result<Rc<Connection>, ConnectError> {
    let purpose = Purpose { speaks: Speaks::Http2, alpn: None, announced: None };
    let slot = pool::slot(cluster, host, Priority::Normal).ok_or(ConnectError::Overflow)?;
    let upstream = pool::dial(worker, cluster, host, slot, &purpose).await?;
    let (options, stats) = (&cluster.cluster.http2, cluster.stats.clone());
    Connection::start(upstream, options, stats, &worker.buffers).await.map_err(|error| {
        cluster.stats.closed(1);
        ConnectError::Refused(std::io::Error::other(error.to_string()))
    })
}
