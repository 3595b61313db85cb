//! Facts about the book: fixed ones, or (v2) those of an external service.

use std::time::Duration;

use http::{HeaderMap, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::server::{Handler, Reply, json as json_reply, not_found};
use crate::tls::Tls;
use crate::{Settings, client, forwarding};

/// The book that v2 asks for.
const ISBN: &str = "0486424618";
const BOOKS_HOST: &str = "www.googleapis.com";
const EXTERNAL_LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct Details {
    settings: Settings,
}

impl Details {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings }
    }

    async fn details(&self, id: &str, headers: &HeaderMap) -> Reply {
        let Ok(id) = id.parse::<i64>() else {
            return bad_request("please provide numeric product id");
        };
        if !self.settings.external_book_service {
            return json_reply(StatusCode::OK, &fixed_details(id));
        }
        match self.external_details(id, headers).await {
            Ok(details) => json_reply(StatusCode::OK, &details),
            Err(error) => bad_request(&error),
        }
    }

    async fn external_details(&self, id: i64, headers: &HeaderMap) -> Result<Value, String> {
        let path = format!("/books/v1/volumes?q=isbn:{ISBN}");
        let headers = forwarding::from_service(headers);
        let asked = if self.settings.do_not_encrypt {
            client::get(&format!("{BOOKS_HOST}:80"), &path, headers, EXTERNAL_LIMIT).await
        } else {
            let tls = Tls::new(self.settings.authorities.as_deref()).map_err(|error| error.to_string())?;
            client::get_over_tls(BOOKS_HOST, &path, headers, EXTERNAL_LIMIT, &tls).await
        };
        let answer = asked.map_err(|error| error.to_string())?;
        let volumes: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        book_of(id, &volumes["items"][0]["volumeInfo"])
            .ok_or_else(|| format!("{BOOKS_HOST} answered {} without a book", answer.status))
    }
}

impl Handler for Details {
    async fn handle(&self, request: Request<Incoming>) -> Reply {
        let path = request.uri().path();
        if path == "/health" {
            return json_reply(StatusCode::OK, &json!({"status": "Details is healthy"}));
        }
        match path.strip_prefix("/details") {
            Some(rest) => {
                let id = rest.rsplit('/').next().unwrap_or_default().to_owned();
                self.details(&id, request.headers()).await
            }
            None => not_found(),
        }
    }
}

fn bad_request(error: &str) -> Reply {
    json_reply(StatusCode::BAD_REQUEST, &json!({"error": error}))
}

pub(crate) fn fixed_details(id: i64) -> Value {
    json!({
        "id": id,
        "author": "William Shakespeare",
        "year": 1595,
        "type": "paperback",
        "pages": 200,
        "publisher": "PublisherA",
        "language": "English",
        "ISBN-10": "1234567890",
        "ISBN-13": "123-1234567890",
    })
}

/// A volume of Google Books in our words; `None` when it is not one.
pub(crate) fn book_of(id: i64, volume: &Value) -> Option<Value> {
    let isbn = |kind: &str| {
        volume["industryIdentifiers"]
            .as_array()?
            .iter()
            .find(|entry| entry["type"] == kind)?
            .get("identifier")
            .cloned()
    };
    Some(json!({
        "id": id,
        "author": volume["authors"].get(0)?,
        "year": volume.get("publishedDate")?,
        "type": if volume["printType"] == "BOOK" { "paperback" } else { "unknown" },
        "pages": volume.get("pageCount")?,
        "publisher": volume.get("publisher")?,
        "language": if volume["language"] == "en" { "English" } else { "unknown" },
        "ISBN-10": isbn("ISBN_10")?,
        "ISBN-13": isbn("ISBN_13")?,
    }))
}
