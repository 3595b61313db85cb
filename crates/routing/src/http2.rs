//! Limits of HTTP/2, towards clients and towards upstreams.

use std::time::Duration;

use xds::envoy::config::core::v3::Http2ProtocolOptions;

use crate::message::{duration, positive};

/// Limits of a connection of HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    /// The most requests at once.
    pub max_streams: u32,
    /// How much of a body the peer may send ahead.
    pub stream_window: u32,
    /// How much of all bodies the peer may send ahead.
    pub connection_window: u32,
    /// The size of the table for header compression.
    pub header_table: Option<u32>,
    /// Extended CONNECT is offered (RFC 8441).
    pub allow_connect: bool,
    /// Pings that find out whether the peer is still there.
    pub keepalive: Option<Keepalive>,
}

/// Pings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// How often.
    pub interval: Duration,
    /// Up to so much is added at random.
    pub jitter: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Envoy's.
const MAX_STREAMS: u32 = 1024;
/// Of the interval between pings, in percent.
const JITTER: f64 = 15.0;
/// Envoy lets a peer send 16 MiB ahead on a stream and 24 MiB on a
/// connection. What a peer has sent and nobody took is memory, so here it is
/// what a listener holds of one connection by default, and some streams of
/// that.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
const LARGEST_WINDOW: u32 = i32::MAX as u32;
const SMALLEST_WINDOW: u32 = 65_535;

impl Default for Http2 {
    fn default() -> Http2 {
        Http2::compile(None)
    }
}

impl Http2 {
    /// Compiles the options; without any they are the defaults.
    pub fn compile(wire: Option<&Http2ProtocolOptions>) -> Http2 {
        let window =
            |size: Option<u32>, default| size.unwrap_or(default).clamp(SMALLEST_WINDOW, LARGEST_WINDOW);
        Http2 {
            max_streams: wire.and_then(|wire| wire.max_concurrent_streams).unwrap_or(MAX_STREAMS).max(1),
            stream_window: window(wire.and_then(|wire| wire.initial_stream_window_size), STREAM_WINDOW),
            connection_window: window(
                wire.and_then(|wire| wire.initial_connection_window_size),
                CONNECTION_WINDOW,
            ),
            header_table: wire.and_then(|wire| wire.hpack_table_size),
            allow_connect: wire.is_some_and(|wire| wire.allow_connect),
            keepalive: wire.and_then(|wire| {
                let pings = wire.connection_keepalive.as_ref()?;
                let interval = positive(pings.interval.as_ref())?;
                let percent = pings.interval_jitter.as_ref().map_or(JITTER, |part| part.value);
                Some(Keepalive {
                    interval,
                    jitter: interval.mul_f64(percent.clamp(0.0, 100.0) / 100.0),
                    timeout: pings.timeout.as_ref().and_then(duration)?,
                })
            }),
        }
    }
}
