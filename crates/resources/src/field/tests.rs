//! Tests of durations.

use proptest::prelude::*;

use super::*;

#[test]
fn durations_are_read_as_go_writes_them() {
    let cases = [
        ("1.5s", 1_500_000_000),
        ("100ms", 100_000_000),
        ("1h", 3_600_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("0s", 0),
        ("0", 0),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("+2us", 2_000),
        ("2µs", 2_000),
        ("1.0000000001s", 1_000_000_000),
        ("1m0.001s", 60_001_000_000),
    ];
    for (text, nanos) in cases {
        assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
    }
}

#[test]
fn what_is_no_duration_is_explained() {
    let cases = [
        ("", "must be a duration such as `1.5s`, but is empty"),
        ("5", "must be a duration with a unit, but `5` has none; write `5s` for seconds"),
        ("-1s", "must not be negative: `-1s`"),
        (
            "5x",
            "must be a duration such as `1.5s`, but `5x` has the unknown unit `x` (known: h, m, s, ms, us, ns)",
        ),
        ("five", "must be a duration such as `1.5s`, `100ms` or `1h30m`, but is `five`"),
        (
            "1s ",
            "must be a duration such as `1.5s`, but `1s ` has the unknown unit `s ` (known: h, m, s, ms, us, ns)",
        ),
        (".s", "must be a duration such as `1.5s`, `100ms` or `1h30m`, but is `.s`"),
        (
            "99999999999999999999999999999999999999999h",
            "is too long: `99999999999999999999999999999999999999999h`",
        ),
        ("999999999999h", "is too long: `999999999999h`"),
    ];
    for (text, message) in cases {
        assert_eq!(
            parse_duration(text).map_err(|error| error.to_string()),
            Err(message.to_owned()),
            "{text}"
        );
    }
}

proptest! {
    #[test]
    fn durations_read_back_as_they_were(seconds in 0u64..300_000_000_000, nanos in 0u32..1_000_000_000) {
        let duration = Duration::new(seconds, nanos);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn any_text_is_a_duration_or_not(text in "[0-9.hmsunµ+ -]{0,12}") {
        let _ = parse_duration(&text);
    }
}
