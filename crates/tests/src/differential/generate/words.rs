//! The words from which rules and requests are made.

/// Paths as rules say them.
pub(super) const PATHS: [&str; 16] = [
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/ab",
    "/A",
    "/api/v1/items",
    "/api/v1/",
    "/api/v2",
    "/api",
    "/static/x.css",
    "/a.b",
    "/a%20b",
    "/health",
    "/a/b/c",
    "/x",
];

/// Paths as only clients say them.
pub(super) const ODD_PATHS: [&str; 22] = [
    "/api/v1/items/7",
    "/a//b",
    "/a/../b",
    "/a/./b",
    "//a",
    "/%61",
    "/a%2Fb",
    "/a;x=1",
    "/..",
    "/a/..",
    "/a%2e%2e/b",
    "/a#b",
    "/API/V1/items",
    "/ab/c",
    "/a/b/",
    "/static/x.css.map",
    "/aXb",
    "/a/b?",
    "/a%",
    "/a\\b",
    "/a/b/c/d/e",
    "/a+b",
];

/// Queries, as clients say them.
pub(super) const QUERIES: [&str; 12] = [
    "x",
    "x=",
    "x=1",
    "y=2",
    "x=1&y=2",
    "x=2&x=1",
    "debug=true",
    "q=%31",
    "X=1",
    "a=b=c",
    "y=2&x=1&z",
    "&&x=1",
];

/// Expressions for paths.
pub(super) const PATH_PATTERNS: [&str; 10] = [
    "/a.*",
    "/api/v[12]/.*",
    "/a/?",
    "(?i)/api.*",
    "/[a-z]+",
    ".*",
    "/api/v1/items/\\d+",
    "/a|/x",
    "/static/.*\\.css",
    ".*b",
];

/// Names of headers.
pub(super) const HEADERS: [&str; 8] = [
    "end-user",
    "x-group",
    "x-tag",
    "cookie",
    "accept-language",
    "x-empty",
    "content-type",
    "x-forwarded-proto",
];

/// Values of headers.
pub(super) const VALUES: [&str; 11] = [
    "jason",
    "anna",
    "",
    "canary",
    "a,b",
    "de-DE",
    "user=jason; x=1",
    "application/json",
    "Jason",
    "https",
    "1",
];

/// Expressions for values.
pub(super) const VALUE_PATTERNS: [&str; 7] =
    ["jason|anna", ".*", "[a-z]+", "^(.*?;)?(user=jason)(;.*)?$", ".+", "(?i)JASON", "\\d+"];

/// Methods.
pub(super) const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "GETX"];

/// Origins of scripts.
pub(super) const ORIGINS: [&str; 5] =
    ["https://good.test", "http://other.test", "https://sub.good.test", "null", "https://good.test:8443"];

/// Hosts inside of the mesh, as rules say them.
pub(super) const MESH_HOSTS: [&str; 9] = [
    "web",
    "web.default.svc.cluster.local",
    "api",
    "api.default.svc.cluster.local",
    "auto",
    "cart.shop.svc.cluster.local",
    "ext.test",
    "*.wild.test",
    "dead",
];

/// Hosts at a gateway, as rules say them.
pub(super) const GATEWAY_HOSTS: [&str; 6] =
    ["shop.test", "*.test", "api.shop.test", "*.shop.test", "*", "web.default.svc.cluster.local"];

/// Where a rule sends.
pub(super) const DESTINATIONS: [&str; 8] =
    ["web", "api", "auto", "cart.shop.svc.cluster.local", "dead", "empty", "ext.test", "missing"];
