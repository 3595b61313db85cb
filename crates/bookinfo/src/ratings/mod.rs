//! Stars per reviewer, kept in memory or (v2) in a database, and the variants
//! that misbehave.

mod stored;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::Settings;
use crate::server::{Handler, Reply, json as json_reply, not_found};

/// How a version behaves beyond v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// Answers.
    Healthy,
    /// Refuses half of the requests with 503.
    Faulty,
    /// Delays half of the requests by 7 s.
    Delayed,
    /// Refuses everything for 60 s, answers for 60 s, in turn.
    Unavailable,
    /// Refuses everything, `/health` too, for 15 min, answers for 15, in turn.
    Unhealthy,
    /// Answers what its database holds.
    Stored,
}

const DELAY: Duration = Duration::from_secs(7);
const UNAVAILABLE_PERIOD: Duration = Duration::from_secs(60);
const UNHEALTHY_PERIOD: Duration = Duration::from_secs(15 * 60);

impl Variant {
    pub(crate) fn of_version(version: &str) -> Self {
        match version {
            "v2" => Self::Stored,
            "v-faulty" => Self::Faulty,
            "v-delayed" => Self::Delayed,
            "v-unavailable" => Self::Unavailable,
            "v-unhealthy" => Self::Unhealthy,
            _ => Self::Healthy,
        }
    }

    /// Whether the variant refuses everything when it has run for `age`.
    pub(crate) fn is_down(self, age: Duration) -> bool {
        let period = match self {
            Self::Unavailable => UNAVAILABLE_PERIOD,
            Self::Unhealthy => UNHEALTHY_PERIOD,
            Self::Healthy | Self::Faulty | Self::Delayed | Self::Stored => return false,
        };
        (age.as_secs() / period.as_secs()) % 2 == 1
    }
}

pub(crate) struct Ratings {
    variant: Variant,
    settings: Settings,
    started: Instant,
    posted: Mutex<HashMap<i64, Value>>,
}

impl Ratings {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            variant: Variant::of_version(&settings.service_version),
            settings,
            started: Instant::now(),
            posted: Mutex::default(),
        }
    }

    fn health(&self) -> Reply {
        let down = self.variant == Variant::Unhealthy && self.variant.is_down(self.started.elapsed());
        let (status, text) = match down {
            true => (StatusCode::INTERNAL_SERVER_ERROR, "Ratings is not healthy"),
            false => (StatusCode::OK, "Ratings is healthy"),
        };
        json_reply(status, &json!({"status": text}))
    }

    async fn get(&self, id: i64) -> Reply {
        if self.variant == Variant::Stored {
            return stored::get(id, &self.settings).await;
        }
        let unlucky = fastrand::bool();
        if self.variant.is_down(self.started.elapsed()) || (self.variant == Variant::Faulty && unlucky) {
            return json_reply(StatusCode::SERVICE_UNAVAILABLE, &json!({"error": "Service unavailable"}));
        }
        if self.variant == Variant::Delayed && unlucky {
            tokio::time::sleep(DELAY).await;
        }
        let posted = self.posted.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        json_reply(StatusCode::OK, &ratings_of(id, posted))
    }

    async fn post(&self, id: i64, body: Incoming) -> Reply {
        let bytes = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return bad_request("the body ended early"),
        };
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(ratings) => {
                self.posted.lock().unwrap_or_else(PoisonError::into_inner).insert(id, ratings.clone());
                json_reply(StatusCode::OK, &ratings_of(id, Some(ratings)))
            }
            Err(_) => bad_request("please provide valid ratings JSON"),
        }
    }
}

impl Handler for Ratings {
    async fn handle(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path();
        if path == "/health" {
            return self.health();
        }
        let Some(id) = path.strip_prefix("/ratings/").map(str::to_owned) else {
            return not_found();
        };
        let Ok(id) = id.parse::<i64>() else {
            return bad_request("please provide numeric product ID");
        };
        match *request.method() {
            Method::GET => self.get(id).await,
            Method::POST if self.variant == Variant::Stored => {
                let error = "Post not implemented for database backed ratings";
                json_reply(StatusCode::NOT_IMPLEMENTED, &json!({"error": error}))
            }
            Method::POST => self.post(id, request.into_body()).await,
            _ => not_found(),
        }
    }
}

fn bad_request(error: &str) -> Reply {
    json_reply(StatusCode::BAD_REQUEST, &json!({"error": error}))
}

fn ratings_of(id: i64, posted: Option<Value>) -> Value {
    json!({"id": id, "ratings": posted.unwrap_or_else(|| json!({"Reviewer1": 5, "Reviewer2": 4}))})
}
