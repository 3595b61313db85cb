//! A MongoDB server with the one collection, for reading.

use std::io;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use super::message::{self, Message};
use crate::database::STARS;
use crate::server::Session;

const DATABASE: &str = "test";
const COLLECTION: &str = "ratings";
/// The protocol's generation that drivers of today still speak to.
const WIRE_VERSION: u32 = 21;

/// The database.
pub(crate) struct Database;

impl Session for Database {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(&self, mut stream: S) -> io::Result<()> {
        let mut number = 0;
        while let Some(question) = message::read(&mut stream).await? {
            number += 1;
            let answer = Message { number, form: question.form, document: answer(&question.document) };
            message::write(&mut stream, &answer, question.number).await?;
        }
        Ok(())
    }
}

fn answer(question: &Map<String, Value>) -> Map<String, Value> {
    let command = question.keys().next().map_or("", String::as_str);
    let answer = match command {
        "hello" | "isMaster" | "ismaster" => hello(),
        "ping" | "endSessions" => json!({"ok": 1.0}),
        "buildInfo" | "buildinfo" => json!({"version": "7.0.0", "versionArray": [7, 0, 0, 0], "ok": 1.0}),
        "listDatabases" => json!({"databases": [{"name": DATABASE}], "ok": 1.0}),
        "listCollections" => {
            batch("$cmd.listCollections", &[json!({"name": COLLECTION, "type": "collection"})])
        }
        "find" => find(question),
        other => json!({
            "ok": 0.0,
            "errmsg": format!("no such command here: '{other}'; this small database is there to be read by find"),
            "code": 59,
            "codeName": "CommandNotFound",
        }),
    };
    match answer {
        Value::Object(document) => document,
        _ => Map::new(),
    }
}

fn hello() -> Value {
    json!({
        "helloOk": true,
        "ismaster": true,
        "isWritablePrimary": true,
        "maxBsonObjectSize": 1 << 20,
        "maxMessageSizeBytes": 1 << 20,
        "maxWriteBatchSize": 1000,
        "minWireVersion": 0,
        "maxWireVersion": WIRE_VERSION,
        "readOnly": true,
        "ok": 1.0,
    })
}

fn find(question: &Map<String, Value>) -> Value {
    let named = |key: &str, name: &str| question.get(key).is_some_and(|value| value == name);
    let stars: Vec<Value> = match named("find", COLLECTION) && named("$db", DATABASE) {
        true => STARS.iter().map(|stars| json!({"rating": stars})).collect(),
        false => Vec::new(),
    };
    let limit = question.get("limit").and_then(Value::as_u64).filter(|limit| *limit > 0);
    let shown = limit.map_or(stars.len(), |limit| stars.len().min(limit as usize));
    batch(COLLECTION, &stars[..shown])
}

fn batch(collection: &str, documents: &[Value]) -> Value {
    let place = format!("{DATABASE}.{collection}");
    json!({"cursor": {"firstBatch": documents, "id": 0, "ns": place}, "ok": 1.0})
}
