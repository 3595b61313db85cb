//! Points in time as format strings ask for them, in UTC.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How a time is written.
#[derive(Debug, Clone)]
pub(super) enum TimeFormat {
    /// `2026-11-20T06:36:53.123Z`.
    Iso,
    /// By a strftime pattern.
    Pattern(Box<str>),
}

impl TimeFormat {
    pub(super) fn compile(argument: Option<&str>) -> TimeFormat {
        match argument {
            None | Some("") => TimeFormat::Iso,
            // Envoy counts fractions `%1f` to `%9f`; `%f` is all nine.
            Some(pattern) => TimeFormat::Pattern(pattern.replace("%f", "%9f").into()),
        }
    }

    pub(super) fn write(&self, time: SystemTime, out: &mut Vec<u8>) {
        match self {
            TimeFormat::Iso => write_iso(time, out),
            TimeFormat::Pattern(pattern) => {
                let Ok(timestamp) = Timestamp::try_from(time) else { return };
                let start = out.len();
                // A pattern that cannot be written leaves nothing.
                if write!(out, "{}", timestamp.to_zoned(TimeZone::UTC).strftime(&**pattern)).is_err() {
                    out.truncate(start);
                }
            }
        }
    }
}

fn write_iso(time: SystemTime, out: &mut Vec<u8>) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    digits(year, 4, out);
    out.push(b'-');
    digits(month, 2, out);
    out.push(b'-');
    digits(day, 2, out);
    out.push(b'T');
    digits(of_day / 3600, 2, out);
    out.push(b':');
    digits(of_day / 60 % 60, 2, out);
    out.push(b':');
    digits(of_day % 60, 2, out);
    out.push(b'.');
    digits(u64::from(since.subsec_millis()), 3, out);
    out.push(b'Z');
}

/// Year, month and day of a number of days since 1970-01-01: years begin in
/// March, so that the leap day is the last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn digits(number: u64, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        // One decimal digit.
        out.push(b'0' + (number / 10u64.pow(place) % 10) as u8);
    }
}
