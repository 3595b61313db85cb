//! Bytes from one connection to another and back.

use tokio::net::TcpStream;

/// Bytes moved at a time.
const CHUNK: usize = 64 * 1024;

/// Relays until both directions have ended; each side's end is passed on by itself.
pub(crate) async fn join(mut one: TcpStream, mut other: TcpStream) {
    // A relay that waits to fill packets would delay every small message.
    for stream in [&one, &other] {
        let _ = stream.set_nodelay(true);
    }
    // A reset on one side ends both; there is nobody to tell.
    let _ = tokio::io::copy_bidirectional_with_sizes(&mut one, &mut other, CHUNK, CHUNK).await;
}

/// Ends a connection with a reset, so that its client sees a failure and not an end.
pub(crate) fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}
