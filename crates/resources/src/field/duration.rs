//! Durations as Go writes them: `1.5s`, `100ms`, `1h30m`.

use std::fmt;
use std::time::Duration;

use serde::de;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("must be a duration such as `1.5s`, but is empty")]
    Empty,
    /// A number without a unit.
    #[error("must be a duration with a unit, but `{0}` has none; write `{0}s` for seconds")]
    MissingUnit(String),
    /// A minus sign.
    #[error("must not be negative: `{0}`")]
    Negative(String),
    /// A unit nobody knows.
    #[error(
        "must be a duration such as `1.5s`, but `{text}` has the unknown unit `{unit}` (known: h, m, s, ms, us, ns)"
    )]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The unit.
        unit: String,
    },
    /// Not of the form at all.
    #[error("must be a duration such as `1.5s`, `100ms` or `1h30m`, but is `{0}`")]
    Malformed(String),
    /// Longer than can be told.
    #[error("is too long: `{0}`")]
    TooLong(String),
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;
/// The longest duration that a protobuf message can hold: about 10,000 years.
const MAX_SECONDS: u128 = 315_576_000_000;

/// Reads a duration. Fractions finer than a nanosecond are cut.
///
/// # Errors
/// When the text is not a duration, says which part of it is wrong.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.strip_prefix('+').unwrap_or(text);
    if trimmed.is_empty() {
        return Err(DurationError::Empty);
    }
    if trimmed.starts_with('-') {
        return Err(DurationError::Negative(text.to_owned()));
    }
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = trimmed;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (part, after) = parse_part(text, rest)?;
        nanos = nanos.checked_add(part).ok_or_else(|| DurationError::TooLong(text.to_owned()))?;
        rest = after;
    }
    let seconds = nanos / NANOS_PER_SECOND;
    if seconds > MAX_SECONDS {
        return Err(DurationError::TooLong(text.to_owned()));
    }
    // Both casts hold: seconds were compared above, the remainder is below 10^9.
    Ok(Duration::new(seconds as u64, (nanos % NANOS_PER_SECOND) as u32))
}

/// Reads one number with its unit and returns nanoseconds and what follows.
fn parse_part<'a>(whole: &str, text: &'a str) -> Result<(u128, &'a str), DurationError> {
    let malformed = || DurationError::Malformed(whole.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (integer, mut rest) = text.split_at(digits);
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        (fraction, rest) = after.split_at(digits);
    }
    if integer.is_empty() && fraction.is_empty() {
        return Err(malformed());
    }
    let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, after) = rest.split_at(end);
    if unit.is_empty() {
        return Err(DurationError::MissingUnit(whole.to_owned()));
    }
    let scale = unit_nanos(unit)
        .ok_or_else(|| DurationError::UnknownUnit { text: whole.to_owned(), unit: unit.to_owned() })?;
    let too_long = || DurationError::TooLong(whole.to_owned());
    let integer: u128 = if integer.is_empty() { 0 } else { integer.parse().map_err(|_| too_long())? };
    let nanos = integer.checked_mul(scale).ok_or_else(too_long)?;
    Ok((nanos.checked_add(fraction_nanos(fraction, scale)).ok_or_else(too_long)?, after))
}

fn unit_nanos(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3_600 * NANOS_PER_SECOND,
        _ => return None,
    })
}

/// The nanoseconds of a fraction of a unit; digits beyond the eighteenth are cut.
fn fraction_nanos(digits: &str, scale: u128) -> u128 {
    let mut nanos = 0;
    let mut divisor: u128 = 1;
    for digit in digits.bytes().take(18) {
        nanos = nanos * 10 + u128::from(digit - b'0');
        divisor *= 10;
    }
    nanos * scale / divisor
}

/// Writes a duration so that it reads back as the same: `1.5s`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        return format!("{}s", duration.as_secs());
    }
    let fraction = format!("{:09}", duration.subsec_nanos());
    format!("{}.{}s", duration.as_secs(), fraction.trim_end_matches('0'))
}

/// Reads a duration from text and says of a bare number that it needs a unit.
pub(super) struct DurationVisitor;

impl de::Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as `1.5s`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        parse_duration(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Duration, E> {
        Err(E::custom(missing_unit(number)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Duration, E> {
        Err(E::custom(missing_unit(number)))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Duration, E> {
        Err(E::custom(missing_unit(number)))
    }
}

fn missing_unit(number: impl fmt::Display) -> DurationError {
    let text = number.to_string();
    if text.starts_with('-') { DurationError::Negative(text) } else { DurationError::MissingUnit(text) }
}
