//! What the environment may say, each setting under the name that Istio's
//! bookinfo reads it by.

use std::path::PathBuf;
use std::time::Duration;

use crate::database::mysql::client::Account;

/// Settings of all services; each reads its own.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `DETAILS_HOSTNAME`, `DETAILS_SERVICE_PORT`: `host:port` of details.
    pub details: String,
    /// `REVIEWS_HOSTNAME`, `REVIEWS_SERVICE_PORT`: `host:port` of reviews.
    pub reviews: String,
    /// `RATINGS_HOSTNAME`, `RATINGS_SERVICE_PORT`: `host:port` of ratings.
    pub ratings: String,
    /// `FLOOD_FACTOR`: calls to reviews thrown away per page, 0 by default.
    pub flood_factor: u32,
    /// `ENABLE_RATINGS`: whether reviews asks for stars, false by default.
    pub enable_ratings: bool,
    /// `STAR_COLOR`: `black` by default.
    pub star_color: String,
    /// `HOSTNAME`: the pod's name, shown by reviews.
    pub pod_name: String,
    /// `CLUSTER_NAME`: the cluster's name, shown by reviews; `null` when unset.
    pub cluster_name: String,
    /// `SERVICE_VERSION`: `v1`, `v2` with its stars in a database, or a variant
    /// of ratings that misbehaves.
    pub service_version: String,
    /// `ENABLE_EXTERNAL_BOOK_SERVICE`: details asks Google Books, false by
    /// default.
    pub external_book_service: bool,
    /// `DO_NOT_ENCRYPT`: the external call is plain HTTP on port 80.
    pub do_not_encrypt: bool,
    /// `SSL_CERT_FILE`: authorities that may vouch for the external service; the
    /// system's when unset.
    pub authorities: Option<PathBuf>,
    /// `DB_TYPE` is `mysql`: ratings v2 asks MySQL, MongoDB otherwise.
    pub uses_mysql: bool,
    /// `MYSQL_DB_HOST`, `_PORT`, `_USER`, `_PASSWORD`: the account with which
    /// ratings v2 asks, and the one that the MySQL server lets in;
    /// `MYSQL_ROOT_PASSWORD` is the server's name for its password.
    pub(crate) mysql: Account,
    /// `MONGO_DB_URL`: `mongodb://mongodb:27017/test` by default.
    pub mongo_url: String,
}

impl Settings {
    /// Reads the process's environment.
    pub fn from_env() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place where this program reads its environment"
        )]
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads settings through `lookup`, which answers a variable's value.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str, default: &str| {
            lookup(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        let is_true = |name: &str| get(name, "false").eq_ignore_ascii_case("true");
        let domain = match lookup("SERVICES_DOMAIN") {
            Some(domain) if !domain.is_empty() => format!(".{domain}"),
            _ => String::new(),
        };
        let peer = |upper: &str, lower: &str| {
            let host = get(&format!("{upper}_HOSTNAME"), lower);
            // Kubernetes sets `RATINGS_SERVICE_PORT` for a Service of that name too, to the same number.
            let port = get(&format!("{upper}_SERVICE_PORT"), "9080");
            format!("{host}{domain}:{port}")
        };
        Self {
            details: peer("DETAILS", "details"),
            reviews: peer("REVIEWS", "reviews"),
            ratings: peer("RATINGS", "ratings"),
            flood_factor: get("FLOOD_FACTOR", "0").parse().unwrap_or(0),
            enable_ratings: is_true("ENABLE_RATINGS"),
            star_color: get("STAR_COLOR", "black"),
            pod_name: get("HOSTNAME", ""),
            cluster_name: get("CLUSTER_NAME", "null"),
            service_version: get("SERVICE_VERSION", "v1"),
            external_book_service: is_true("ENABLE_EXTERNAL_BOOK_SERVICE"),
            do_not_encrypt: is_true("DO_NOT_ENCRYPT"),
            authorities: lookup("SSL_CERT_FILE").filter(|path| !path.is_empty()).map(PathBuf::from),
            uses_mysql: get("DB_TYPE", "").eq_ignore_ascii_case("mysql"),
            mysql: Account {
                address: format!("{}:{}", get("MYSQL_DB_HOST", "mysqldb"), get("MYSQL_DB_PORT", "3306")),
                user: get("MYSQL_DB_USER", "root"),
                password: lookup("MYSQL_ROOT_PASSWORD")
                    .unwrap_or_else(|| get("MYSQL_DB_PASSWORD", "password")),
            },
            mongo_url: get("MONGO_DB_URL", "mongodb://mongodb:27017/test"),
        }
    }

    /// How long reviews waits for ratings: 10 s with black stars, else 2.5 s.
    pub fn ratings_timeout(&self) -> Duration {
        if self.star_color == "black" { Duration::from_secs(10) } else { Duration::from_millis(2500) }
    }
}
