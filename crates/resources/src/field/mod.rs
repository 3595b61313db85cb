//! How single fields are written in YAML: durations, percentages, ports, oneofs.

mod duration;
mod int_or_string;
mod protocol;

pub use duration::{DurationError, format_duration, parse_duration};
pub use int_or_string::IntOrString;
pub use protocol::Protocol;

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use serde::{Deserialize, Deserializer, de::Error as _};

/// Reads `1.5s`, `100ms`, `1h30m`.
pub(crate) fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    from.deserialize_any(duration::DurationVisitor).map(Some)
}

#[derive(Deserialize)]
struct Percent {
    #[serde(default)]
    value: f64,
}

/// Reads `{value: 12.5}`.
pub(crate) fn percent<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    Percent::deserialize(from).map(|percent| Some(percent.value))
}

#[derive(Deserialize)]
struct PortSelector {
    #[serde(default)]
    number: u16,
}

/// Reads `{number: 9080}`.
pub(crate) fn port_selector<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    PortSelector::deserialize(from).map(|port| Some(port.number))
}

/// Reads bytes written in base64.
pub(crate) fn base64<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text = String::deserialize(from)?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.as_bytes());
    bytes.map(Some).map_err(|error| D::Error::custom(format!("is not valid base64: {error}")))
}

/// The one choice that is set, none when none is; more than one is an error that names them.
pub(crate) fn at_most_one<T, const N: usize>(choices: [(&str, Option<T>); N]) -> Result<Option<T>, String> {
    let mut chosen = None;
    let mut names = Vec::new();
    for (name, choice) in choices {
        if let Some(choice) = choice {
            names.push(format!("`{name}`"));
            chosen = Some(choice);
        }
    }
    if names.len() > 1 {
        return Err(format!("sets {}, but only one of them may be set", names.join(" and ")));
    }
    Ok(chosen)
}

/// Bytes that read themselves from base64.
#[derive(Deserialize)]
struct Base64(#[serde(deserialize_with = "base64")] Option<Vec<u8>>);

/// Reads a map of bytes written in base64.
pub(crate) fn base64_map<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Vec<u8>>, D::Error> {
    let map = BTreeMap::<String, Base64>::deserialize(from)?;
    Ok(map.into_iter().map(|(key, bytes)| (key, bytes.0.unwrap_or_default())).collect())
}

#[cfg(test)]
mod tests;
