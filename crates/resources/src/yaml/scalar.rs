//! What an unquoted scalar means.

use super::tree::Value;

/// Reads an unquoted scalar as kubectl does.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "y" | "Y" | "on" | "On" | "ON" => {
            Value::Bool(true, text.into())
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "n" | "N" | "off" | "Off" | "OFF" => {
            Value::Bool(false, text.into())
        }
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN, text.into()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY, text.into()),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY, text.into()),
        _ => number(text).unwrap_or_else(|| Value::Text(text.to_owned())),
    }
}

/// Reads a number; none when the text is not one.
pub(crate) fn number(text: &str) -> Option<Value> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    let plain: String = if first == b'.' { text.to_owned() } else { text.replace('_', "") };
    if let Some(value) = integer(&plain) {
        return Some(Value::Integer(value, text.into()));
    }
    if !is_decimal(&plain) {
        return None;
    }
    // A whole number that is too long for an integer, or one like 08, is still a number.
    plain.parse().ok().map(|value| Value::Float(value, text.into())).map(whole_float)
}

/// `08` reads as a float in kubectl, and so as 8.
fn whole_float(value: Value) -> Value {
    match value {
        Value::Float(number, text)
            if number.fract() == 0.0 && number.abs() < 1e15 && !text.contains(['.', 'e', 'E']) =>
        {
            Value::Integer(number as i128, text)
        }
        other => other,
    }
}

/// Reads `12`, `-12`, `0x1f`, `0o17`, `017`, `0b11`, within 64 bits.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = radix(digits);
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -magnitude } else { magnitude };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

fn radix(digits: &str) -> (u32, &str) {
    let prefixes = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)].into_iter();
    for (prefix, radix) in prefixes {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return (radix, rest);
        }
    }
    match digits.strip_prefix('0') {
        Some(rest) if !rest.is_empty() => (8, rest),
        _ => (10, digits),
    }
}

/// Whether a text is a decimal number: `1`, `1.5`, `.5`, `1.`, `1e3`.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_holds = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(integer) && digits(fraction) && !(integer.is_empty() && fraction.is_empty()) && exponent_holds
}
