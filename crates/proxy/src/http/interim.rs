//! Interim responses, which come before the response.

use std::io;
use std::task::{Context, Poll};

use crate::http::ends::Downstream;
use crate::http::exchange::Exchange;
use crate::http1::head::Head;
use crate::http1::known::Known;
use crate::io::write_all;
use crate::worker::Worker;

/// Tells a client that waits for it to send its body.
pub async fn go_on(io: &mut Downstream<'_, '_>) -> io::Result<()> {
    match io {
        Downstream::Http1(io) => write_all(&mut io.writer, b"HTTP/1.1 100 Continue\r\n\r\n").await,
        Downstream::Http2(stream) => stream.outgoing.inform(&Head::response(Vec::new(), Vec::new(), 100)),
    }
}

/// Whether another head follows.
pub fn is_interim(head: &Head) -> bool {
    head.status < 200 && head.status != 101
}

/// Passes an interim response of the upstream on, in the order in which they
/// come. Clients of HTTP/1.0 know none. What a client does not take at once
/// it does not get: an interim response is never waited for.
pub fn pass_on(
    exchange: &mut Exchange<'_>,
    io: &mut Downstream<'_, '_>,
    worker: &Worker,
    mut head: Head,
    context: &mut Context<'_>,
) {
    let is_known = matches!(head.status, 100 | 102..=104);
    if is_known && !exchange.request.is_http_10 {
        for hop in [Known::Connection, Known::KeepAlive, Known::TransferEncoding, Known::ContentLength] {
            head.remove(hop);
        }
        exchange.informed = true;
        match io {
            Downstream::Http1(io) => {
                head.write_response(&mut io.owed);
                io.owed.extend_from_slice(b"\r\n");
                // What does not go now goes in front of what is written next.
                if let Poll::Ready(Ok(count)) = io.writer.poll_write(&io.owed, context) {
                    io.owed.drain(..count);
                }
            }
            // A stream that is gone is noticed where it is written to next.
            Downstream::Http2(stream) => drop(stream.outgoing.inform(&head)),
        }
    }
    worker.give_head(head);
}
