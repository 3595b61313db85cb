//! Asks a MongoDB server for the ratings, on a connection of its own.

use std::io;

use serde_json::{Map, Value, json};
use tokio::net::TcpStream;

use super::message::{self, Form, Message};
use crate::database::{DatabaseError, malformed};

const DEFAULT_PORT: u16 = 27017;
const COLLECTION: &str = "ratings";

/// `mongodb://HOST[:PORT]/DATABASE` as an address and the database's name.
pub(crate) fn parse_url(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("mongodb://")?;
    let (host, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let database = rest.split('?').next().filter(|name| !name.is_empty()).unwrap_or("test");
    if host.is_empty() || host.contains(['@', ',']) {
        return None;
    }
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:{DEFAULT_PORT}") };
    Some((address, database.to_owned()))
}

/// The ratings in the collection's order; one without a number is 0.
pub(crate) async fn ratings(url: &str) -> Result<Vec<i64>, DatabaseError> {
    let (address, database) = parse_url(url).ok_or_else(|| {
        DatabaseError::Connect(format!("`{url}` is not of the form mongodb://HOST:PORT/DATABASE"))
    })?;
    let mut stream = TcpStream::connect(&address)
        .await
        .map_err(|error| DatabaseError::Connect(format!("{address}: {error}")))?;
    find(&mut stream, &database).await.map_err(|error| DatabaseError::Read(error.to_string()))
}

async fn find(stream: &mut TcpStream, database: &str) -> io::Result<Vec<i64>> {
    let mut document = Map::new();
    document.insert("find".to_owned(), COLLECTION.into());
    document.insert("filter".to_owned(), json!({}));
    document.insert("$db".to_owned(), database.into());
    message::write(stream, &Message { number: 1, form: Form::Message, document }, 0).await?;
    let answer = message::read(stream).await?.ok_or_else(|| malformed("the server hung up"))?;
    let found = answer.document.get("cursor").and_then(|cursor| cursor["firstBatch"].as_array());
    match found {
        Some(found) => Ok(found.iter().map(|document| number(&document["rating"])).collect()),
        None => Err(malformed(&format!("the server refused: {}", Value::Object(answer.document)))),
    }
}

/// Numbers may be whole or, as the shell of MongoDB writes them, doubles.
fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_f64().map(|number| number as i64)).unwrap_or(0)
}
