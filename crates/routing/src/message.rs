//! Reading typed messages out of `Any`, and durations.

use std::time::Duration;

use prost::{Message, Name};
use xds::any::UnpackError;
use xds::google::protobuf::Any;

use crate::invalid::Invalid;

/// Decodes an `Any` that must hold a `T`.
pub fn decode<T: Message + Default + Name>(any: &Any) -> Result<T, Invalid> {
    xds::any::unpack(any).map_err(|error| match error {
        UnpackError::Decode { source, .. } => Invalid::new("typed_config", source),
        other => Invalid::new("typed_config", other),
    })
}

/// A protobuf duration as a Rust one; a negative one is no duration.
pub fn duration(wire: &prost_types::Duration) -> Option<Duration> {
    let seconds = u64::try_from(wire.seconds).ok()?;
    let nanos = u32::try_from(wire.nanos).ok()?;
    (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
}

/// An optional duration, where zero means "none".
pub fn positive(wire: Option<&prost_types::Duration>) -> Option<Duration> {
    wire.and_then(duration).filter(|duration| !duration.is_zero())
}
