//! Two reviews; v2 and v3 add the stars that ratings gives.

use http::{HeaderMap, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::server::{Handler, Reply, json as json_reply, not_found};
use crate::{Settings, client, forwarding};

const REVIEWS: [(&str, &str); 2] = [
    ("Reviewer1", "An extremely entertaining play by Shakespeare. The slapstick humour is refreshing!"),
    (
        "Reviewer2",
        "Absolutely fun and entertaining. The play lacks thematic depth when compared to other plays by Shakespeare.",
    ),
];

pub(crate) struct Reviews {
    settings: Settings,
}

impl Reviews {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// The stars per reviewer, or `None` when ratings gave no good answer.
    async fn stars(&self, id: &str, headers: &HeaderMap) -> Option<Value> {
        let path = format!("/ratings/{id}");
        let limit = self.settings.ratings_timeout();
        let answer =
            client::get(&self.settings.ratings, &path, forwarding::from_service(headers), limit).await;
        match answer {
            Ok(answer) if answer.status == StatusCode::OK => serde_json::from_slice::<Value>(&answer.body)
                .ok()
                .map(|mut ratings| ratings["ratings"].take())
                .filter(Value::is_object),
            Ok(answer) => {
                tracing::warn!(status = answer.status.as_u16(), "ratings refused");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "ratings did not answer");
                None
            }
        }
    }

    async fn reviews(&self, id: &str, headers: &HeaderMap) -> Value {
        let stars = match self.settings.enable_ratings {
            true => Some(self.stars(id, headers).await),
            false => None,
        };
        let reviews: Vec<Value> = REVIEWS
            .iter()
            .map(|(reviewer, text)| {
                let mut review = json!({"reviewer": reviewer, "text": text});
                if let Some(stars) = &stars {
                    review["rating"] = self.rating(stars.as_ref(), reviewer);
                }
                review
            })
            .collect();
        json!({
            "id": id,
            "podname": self.settings.pod_name,
            "clustername": self.settings.cluster_name,
            "reviews": reviews,
        })
    }

    fn rating(&self, stars: Option<&Value>, reviewer: &str) -> Value {
        match stars {
            Some(stars) => json!({
                "stars": stars[reviewer].as_i64().unwrap_or(-1),
                "color": self.settings.star_color,
            }),
            None => json!({"error": "Ratings service is currently unavailable"}),
        }
    }
}

impl Handler for Reviews {
    async fn handle(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path();
        if path == "/health" {
            return json_reply(StatusCode::OK, &json!({"status": "Reviews is healthy"}));
        }
        match path.strip_prefix("/reviews/").and_then(|id| id.parse::<i64>().ok()) {
            Some(id) => json_reply(StatusCode::OK, &self.reviews(&id.to_string(), request.headers()).await),
            None => not_found(),
        }
    }
}
