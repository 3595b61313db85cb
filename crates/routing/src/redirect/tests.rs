use super::*;

struct Request(&'static str, &'static str);

impl RequestHead for Request {
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        self.1
    }
    fn authority(&self) -> &str {
        self.0
    }
    fn scheme(&self) -> &str {
        "http"
    }
    fn values<'a>(&'a self, _: &'a str) -> impl Iterator<Item = &'a [u8]> {
        std::iter::empty()
    }
}

#[test]
fn locations_are_built_as_envoy_builds_them() {
    use serde_json::json;
    let table = [
        (json!({"https_redirect": true}), Request("a.com", "/x?y"), "https://a.com/x?y"),
        (json!({"https_redirect": true}), Request("a.com:80", "/"), "https://a.com/"),
        (json!({"https_redirect": true}), Request("a.com:8080", "/"), "https://a.com:8080/"),
        (json!({"host_redirect": "b.com"}), Request("a.com:80", "/x"), "http://b.com/x"),
        (json!({"port_redirect": 81}), Request("a.com:80", "/x"), "http://a.com:81/x"),
        (json!({"path_redirect": "/new"}), Request("a.com", "/x?y=1"), "http://a.com/new?y=1"),
        (json!({"path_redirect": "/new?z"}), Request("a.com", "/x?y=1"), "http://a.com/new?z"),
        (
            json!({"path_redirect": "/new", "strip_query": true}),
            Request("a.com", "/x?y=1"),
            "http://a.com/new",
        ),
        (json!({"strip_query": true}), Request("[::1]:80", "/x?y=1"), "http://[::1]:80/x"),
    ];
    for (json, request, expected) in table {
        let redirect =
            Redirect::compile(&xds::json::decode(&json).expect("a test's own JSON")).expect("it compiles");
        assert_eq!(redirect.location(&request, None), expected, "{json}");
    }
}
