//! Messages in and out of `google.protobuf.Any`.

use prost::{Message, Name};

use crate::google::protobuf::Any;

/// Why an `Any` did not hold the message that was asked for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum UnpackError {
    /// The type URL names another message.
    #[error("expected `{expected}`, found `{found}`")]
    OtherType {
        /// The message that was asked for.
        expected: String,
        /// The type URL as received.
        found: String,
    },
    /// The bytes are not an encoding of the named message.
    #[error("`{name}` does not decode")]
    Decode {
        /// The message that was asked for.
        name: String,
        /// What prost said.
        source: prost::DecodeError,
    },
}

/// Encodes `message` and puts its type URL beside the bytes.
pub fn pack<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec().into() }
}

/// Decodes an `Any` that must hold an `M`. Only the message name counts, not
/// the domain in front of it.
pub fn unpack<M: Message + Name + Default>(any: &Any) -> Result<M, UnpackError> {
    if !is::<M>(any) {
        return Err(UnpackError::OtherType { expected: M::full_name(), found: any.type_url.clone() });
    }
    M::decode(any.value.as_ref()).map_err(|source| UnpackError::Decode { name: M::full_name(), source })
}

/// Whether the `Any` says that it holds an `M`.
pub fn is<M: Name>(any: &Any) -> bool {
    message_name(&any.type_url) == M::full_name()
}

/// The message name in a type URL: what follows the last slash.
pub fn message_name(type_url: &str) -> &str {
    type_url.rsplit_once('/').map_or(type_url, |(_, name)| name)
}

#[cfg(test)]
mod tests;
