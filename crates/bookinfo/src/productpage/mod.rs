//! The page a person looks at: details, reviews and stars put together.

mod page;
pub(crate) mod session;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::metrics::RequestResults;
use crate::server::{Handler, Reply, json as json_reply, not_found, with_type};
use crate::{Settings, client, forwarding};

/// How long the page waits for a service.
const LIMIT: Duration = Duration::from_secs(3);

/// How often it asks for reviews: the planted bug that makes the page give up
/// after 6 s although reviews would have answered.
const REVIEWS_TRIES: u32 = 2;

/// The only book there is.
const PRODUCT: i64 = 0;
const TITLE: &str = "The Comedy of Errors";
const SUMMARY: &str = "<a href=\"https://en.wikipedia.org/wiki/The_Comedy_of_Errors\">Wikipedia Summary</a>: \
     two pairs of twins, parted by a shipwreck, arrive in one town and are taken for each other until nobody knows \
     who owes whom a chain, a dinner or a marriage. It is one of Shakespeare's first and shortest plays.";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = include_str!("../../static/bookinfo.css");

/// A form body is a user name and a password.
const FORM_LIMIT: usize = 16 * 1024;

pub(crate) struct Productpage {
    settings: Settings,
    results: RequestResults,
}

/// What a service said: its JSON, or the status and error to show instead.
pub(crate) struct Fetched {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Productpage {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, results: RequestResults::default() }
    }

    async fn product_page(&self, incoming: &HeaderMap) -> Reply {
        let user = session::user_of(incoming);
        let headers = forwarding::from_page(incoming, user.as_deref());
        let details = self.details(PRODUCT, headers.clone()).await;
        self.flood(&headers).await;
        let reviews = self.reviews(PRODUCT, headers).await;
        let html = page::product(page::Product {
            title: TITLE,
            summary: SUMMARY,
            user: user.as_deref(),
            details,
            reviews,
        });
        with_type(StatusCode::OK, HTML, html)
    }

    async fn details(&self, id: i64, headers: HeaderMap) -> Fetched {
        self.fetch("details", &self.settings.details, &format!("/details/{id}"), headers).await
    }

    async fn reviews(&self, id: i64, headers: HeaderMap) -> Fetched {
        let path = format!("/reviews/{id}");
        let mut fetched = self.fetch("reviews", &self.settings.reviews, &path, headers.clone()).await;
        for _ in 1..REVIEWS_TRIES {
            if fetched.status == StatusCode::OK {
                break;
            }
            fetched = self.fetch("reviews", &self.settings.reviews, &path, headers.clone()).await;
        }
        fetched
    }

    async fn ratings(&self, id: i64, headers: HeaderMap) -> Fetched {
        self.fetch("ratings", &self.settings.ratings, &format!("/ratings/{id}"), headers).await
    }

    /// Calls reviews `FLOOD_FACTOR` times for nothing, for the rate-limit demo.
    async fn flood(&self, headers: &HeaderMap) {
        for _ in 0..self.settings.flood_factor {
            let _ = self.reviews(PRODUCT, headers.clone()).await;
        }
    }

    async fn fetch(&self, app: &'static str, host: &str, path: &str, headers: HeaderMap) -> Fetched {
        let fetched = match client::get(host, path, headers, LIMIT).await {
            Ok(answer) if answer.status == StatusCode::OK => match serde_json::from_slice(&answer.body) {
                Ok(body) => Fetched { status: StatusCode::OK, body },
                Err(_) => unavailable(app, StatusCode::BAD_GATEWAY),
            },
            Ok(answer) => unavailable(app, answer.status),
            Err(error) => {
                tracing::warn!(%error, app, "no answer");
                unavailable(app, StatusCode::INTERNAL_SERVER_ERROR)
            }
        };
        self.results.count(app, fetched.status.as_u16());
        fetched
    }

    async fn api(&self, rest: &str, incoming: &HeaderMap) -> Reply {
        let user = session::user_of(incoming);
        let headers = forwarding::from_page(incoming, user.as_deref());
        let mut segments = rest.trim_start_matches('/').trim_end_matches('/').split('/');
        let id = segments.next().unwrap_or_default();
        if id.is_empty() {
            return json_reply(
                StatusCode::OK,
                &json!([{"id": PRODUCT, "title": TITLE, "descriptionHtml": SUMMARY}]),
            );
        }
        let Ok(id) = id.parse::<i64>() else {
            return not_found();
        };
        let fetched = match (segments.next(), segments.next()) {
            (None, _) => self.details(id, headers).await,
            (Some("reviews"), None) => self.reviews(id, headers).await,
            (Some("ratings"), None) => self.ratings(id, headers).await,
            _ => return not_found(),
        };
        json_reply(fetched.status, &fetched.body)
    }
}

impl Handler for Productpage {
    async fn handle(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET | &Method::HEAD, "/" | "/index.html") => {
                with_type(StatusCode::OK, HTML, page::index(&self.settings))
            }
            (&Method::GET | &Method::HEAD, "/productpage") => self.product_page(request.headers()).await,
            (&Method::GET, "/health") => with_type(StatusCode::OK, "text/plain", "Product page is healthy"),
            (&Method::GET, "/metrics") => {
                with_type(StatusCode::OK, "text/plain; version=0.0.4", self.results.text())
            }
            (&Method::GET, "/static/bookinfo.css") => with_type(StatusCode::OK, "text/css", STYLE),
            (&Method::POST, "/login") => login(request).await,
            (&Method::GET, "/logout") => back(request.headers(), &session::signing_out()),
            (&Method::GET, path) => match path.strip_prefix("/api/v1/products") {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                    self.api(rest, request.headers()).await
                }
                _ => not_found(),
            },
            _ => not_found(),
        }
    }
}

fn unavailable(app: &str, status: StatusCode) -> Fetched {
    let error = format!("Sorry, product {app} are currently unavailable for this book.");
    Fetched { status, body: json!({"error": error}) }
}

async fn login(request: Request<Incoming>) -> Reply {
    let headers = request.headers().clone();
    let Ok(body) = Limited::new(request.into_body(), FORM_LIMIT).collect().await else {
        return with_type(
            StatusCode::BAD_REQUEST,
            "text/plain",
            "the sign-in form is too long or ended early\n",
        );
    };
    let user = form_field(&body.to_bytes(), "username").unwrap_or_default();
    back(&headers, &session::signing_in(user.trim()))
}

/// A redirect to where the person came from, with a cookie set.
fn back(headers: &HeaderMap, cookie: &str) -> Reply {
    let target = headers.get(header::REFERER).cloned().unwrap_or(HeaderValue::from_static("/productpage"));
    let mut reply = with_type(StatusCode::FOUND, HTML, Bytes::new());
    reply.headers_mut().insert(header::LOCATION, target);
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        reply.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    reply
}

/// A field of an `application/x-www-form-urlencoded` body.
pub(crate) fn form_field(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    text.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
    })
}
