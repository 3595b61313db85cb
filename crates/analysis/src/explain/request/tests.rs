//! URLs that people type.

use super::{Request, RequestError};

#[test]
fn a_url_gives_host_port_and_path() {
    let request =
        Request::parse("get", "http://reviews:9080/reviews/0?x=1#top", &["End-User: jason".to_owned()])
            .expect("a request");
    assert_eq!((request.method.as_str(), request.host.as_str(), request.port), ("GET", "reviews", 9080));
    assert_eq!((request.authority.as_str(), request.path.as_str()), ("reviews:9080", "/reviews/0?x=1"));
    assert_eq!(request.headers, [("end-user".to_owned(), "jason".to_owned())]);
}

#[test]
fn a_port_and_a_path_may_be_left_out() {
    let request = Request::parse("GET", "http://reviews", &[]).expect("a request");
    assert_eq!((request.port, request.path.as_str()), (80, "/"));
    let request =
        Request::parse("GET", "https://[::1]?q", &["host: a.example".to_owned()]).expect("a request");
    assert_eq!(
        (request.port, request.host.as_str(), request.authority.as_str()),
        (443, "[::1]", "a.example")
    );
    assert_eq!(request.path, "/?q");
}

#[test]
fn what_is_no_url_port_or_header_is_told() {
    for url in ["reviews:9080/", "ftp://reviews/", "http:///x"] {
        assert!(matches!(Request::parse("GET", url, &[]), Err(RequestError::Url(_))), "{url}");
    }
    assert_eq!(Request::parse("GET", "http://a:99999/", &[]), Err(RequestError::Port("99999".to_owned())));
    assert_eq!(
        Request::parse("GET", "http://a/", &["end-user".to_owned()]),
        Err(RequestError::Header("end-user".to_owned()))
    );
}
