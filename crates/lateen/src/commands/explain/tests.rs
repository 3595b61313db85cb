//! How parts of an answer are written.

use std::time::Duration;

use super::{Faults, Place, fault, percent, place};

#[test]
fn shares_are_percents() {
    for (share, text) in [(100.0, "100 %"), (90.0, "90 %"), (100.0 / 3.0, "33.3 %"), (0.1, "0.1 %")] {
        assert_eq!(percent(share), text);
    }
}

#[test]
fn faults_are_told_in_their_order() {
    let mut faults = Faults {
        delay: Some(Duration::from_secs(7)),
        delay_percent: 100.0,
        abort: Some("HTTP 500".to_owned()),
        abort_percent: 12.5,
    };
    assert_eq!(fault(&faults), "delayed by 7s, then 12.5 % answered HTTP 500");
    faults.delay = None;
    assert_eq!(fault(&faults), "12.5 % answered HTTP 500");
}

#[test]
fn places_have_file_and_line() {
    let mut rule = Place {
        object: "VirtualService/default/reviews".to_owned(),
        path: "http[0]".to_owned(),
        file: Some("reviews.yaml".to_owned()),
        line: Some(7),
    };
    let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
    assert_eq!(plain(place(&rule)), "VirtualService/default/reviews http[0]  reviews.yaml:7");
    (rule.file, rule.path) = (None, String::new());
    assert_eq!(plain(place(&rule)), "VirtualService/default/reviews");
}
