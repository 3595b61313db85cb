//! Reading typed messages out of `Any`, and durations.

use std::time::Duration;

use prost::{Message, Name};
use xds::google::protobuf::Any;

use crate::invalid::Invalid;

/// The message name at the end of a type URL.
pub fn type_name(any: &Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

/// Whether the `Any` says that it holds a `T`.
pub fn holds<T: Name>(any: &Any) -> bool {
    type_name(any) == T::full_name()
}

/// Decodes an `Any` that must hold a `T`.
pub fn decode<T: Message + Default + Name>(any: &Any) -> Result<T, Invalid> {
    if !holds::<T>(any) {
        return Err(Invalid::new(
            "typed_config",
            format!("`{}` is not `{}`", type_name(any), T::full_name()),
        ));
    }
    T::decode(any.value.clone()).map_err(|error| Invalid::new("typed_config", error))
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
