//! Stars that a database holds, and the answers when it does not give them.

use http::StatusCode;
use serde_json::{Value, json};

use crate::Settings;
use crate::database::{DatabaseError, mongo, mysql};
use crate::server::{Reply, json as json_reply};

/// The answer to a GET: the first two stars, 0 for what is missing.
pub(super) async fn get(id: i64, settings: &Settings) -> Reply {
    let asked = match settings.uses_mysql {
        true => mysql::client::ratings(&settings.mysql).await,
        false => mongo::client::ratings(&settings.mongo_url).await,
    };
    match asked {
        Ok(stars) => json_reply(StatusCode::OK, &found(id, &stars)),
        Err(error) => {
            tracing::warn!(%error, "no ratings from the database");
            failed(&error, settings.uses_mysql)
        }
    }
}

fn found(id: i64, stars: &[i64]) -> Value {
    let of = |at: usize| stars.get(at).copied().unwrap_or(0);
    json!({"id": id, "ratings": {"Reviewer1": of(0), "Reviewer2": of(1)}})
}

/// The original answers 200 when it cannot reach MySQL, and 500 for MongoDB.
fn failed(error: &DatabaseError, uses_mysql: bool) -> Reply {
    let (status, words) = match (error, uses_mysql) {
        (DatabaseError::Connect(_), true) => (StatusCode::OK, "could not connect to ratings database"),
        (DatabaseError::Connect(_), false) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "could not connect to ratings database")
        }
        (DatabaseError::Read(_), true) => (StatusCode::INTERNAL_SERVER_ERROR, "could not perform select"),
        (DatabaseError::Read(_), false) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "could not load ratings from database")
        }
    };
    json_reply(status, &json!({"error": words}))
}
