//! What can be said of the services without a socket.

use std::time::Duration;

use http::HeaderMap;
use serde_json::json;

use crate::details::{book_of, fixed_details};
use crate::productpage::{form_field, session};
use crate::ratings::Variant;
use crate::{Service, Settings, forwarding};

fn settings(pairs: &[(&str, &str)]) -> Settings {
    Settings::from_lookup(|name| {
        pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().expect("name"), value.parse().expect("value"))).collect()
}

#[test]
fn settings_have_the_samples_defaults() {
    let defaults = settings(&[]);
    assert_eq!(defaults.reviews, "reviews:9080");
    assert_eq!(defaults.cluster_name, "null");
    assert!(!defaults.enable_ratings);
    let set = settings(&[
        ("SERVICES_DOMAIN", "books.example"),
        ("RATINGS_HOSTNAME", "stars"),
        ("ENABLE_RATINGS", "true"),
    ]);
    assert_eq!(set.ratings, "stars.books.example:9080");
    assert_eq!(set.details, "details.books.example:9080");
    assert!(set.enable_ratings);
}

#[test]
fn black_stars_wait_longer_than_coloured_ones() {
    assert_eq!(settings(&[]).ratings_timeout(), Duration::from_secs(10));
    assert_eq!(settings(&[("STAR_COLOR", "red")]).ratings_timeout(), Duration::from_millis(2500));
}

#[test]
fn every_service_name_parses_and_no_other() {
    assert!(Service::NAMES.iter().all(|name| Service::parse(name).is_some()));
    assert_eq!(Service::parse("postgres"), None);
}

#[test]
fn the_page_forwards_the_signed_in_user_and_never_a_callers() {
    let incoming = headers(&[("end-user", "mallory"), ("x-request-id", "r1"), ("accept", "*/*")]);
    let anonymous = forwarding::from_page(&incoming, None);
    assert_eq!(anonymous.get("end-user"), None);
    assert_eq!(anonymous.get("x-request-id").map(|value| value.as_bytes()), Some(&b"r1"[..]));
    assert_eq!(anonymous.get("accept"), None);
    let jason = forwarding::from_page(&incoming, Some("jason"));
    assert_eq!(jason.get("end-user").map(|value| value.as_bytes()), Some(&b"jason"[..]));
}

#[test]
fn services_forward_the_user_as_he_came() {
    let outgoing = forwarding::from_service(&headers(&[("end-user", "jason"), ("sw8", "1-x")]));
    assert_eq!(outgoing.len(), 2);
}

#[test]
fn a_session_is_believed_only_with_its_signature() {
    let set_cookie = session::signing_in("jason");
    let pair = set_cookie.split(';').next().expect("pair").to_owned();
    let mut request = HeaderMap::new();
    request.insert("cookie", format!("theme=dark; {pair}").parse().expect("cookie"));
    assert_eq!(session::user_of(&request).as_deref(), Some("jason"));

    let forged = pair.replace(pair.split(['=', '.']).nth(1).expect("name"), "bWFsbG9yeQ");
    request.insert("cookie", forged.parse().expect("cookie"));
    assert_eq!(session::user_of(&request), None);
}

#[test]
fn a_form_field_is_decoded() {
    assert_eq!(form_field(b"username=J%C3%BCrgen+K&passwd=x", "username").as_deref(), Some("J\u{fc}rgen K"));
    assert_eq!(form_field(b"passwd=x", "username"), None);
}

#[test]
fn variants_go_down_in_turns() {
    let unavailable = Variant::of_version("v-unavailable");
    assert!(!unavailable.is_down(Duration::from_secs(59)));
    assert!(unavailable.is_down(Duration::from_secs(61)));
    assert!(!unavailable.is_down(Duration::from_secs(121)));
    assert!(!Variant::of_version("v1").is_down(Duration::from_secs(61)));
}

#[test]
fn an_external_volume_becomes_the_same_fields() {
    let volume = json!({
        "authors": ["A. Writer"], "publishedDate": "1999", "printType": "BOOK", "pageCount": 12,
        "publisher": "P", "language": "en",
        "industryIdentifiers": [
            {"type": "ISBN_10", "identifier": "1"}, {"type": "ISBN_13", "identifier": "2"},
        ],
    });
    let book = book_of(7, &volume).expect("a book");
    let names =
        |value: &serde_json::Value| value.as_object().expect("object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&book), names(&fixed_details(7)));
    assert_eq!(book["type"], "paperback");
    assert_eq!(book_of(7, &json!({})), None);
}
