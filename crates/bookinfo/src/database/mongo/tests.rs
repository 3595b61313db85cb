//! Documents, and client and server against each other.

use serde_json::json;

use super::bson::{decode, encode};
use super::client::{parse_url, ratings};
use super::server::Database;
use crate::server;

#[test]
fn documents_are_read_as_they_were_written() {
    let value = json!({
        "text": "stars", "small": 5, "large": 5_000_000_000_i64, "half": 0.5, "yes": true, "none": null,
        "list": [1, "two", {"three": 3}], "nested": {"empty": {}},
    });
    let document = value.as_object().expect("a document");
    assert_eq!(&decode(&encode(document)).expect("a document"), document);
}

#[test]
fn broken_documents_are_refused() {
    let whole = encode(json!({"a": "b", "c": [1, 2]}).as_object().expect("a document"));
    for end in 0..whole.len() {
        assert!(decode(&whole[..end]).is_err(), "cut at {end}");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] = 0xff;
        // Whatever it becomes, it ends.
        let _ = decode(&changed);
    }
    let mut deep = json!({});
    for _ in 0..40 {
        deep = json!({"a": deep});
    }
    assert!(decode(&encode(deep.as_object().expect("a document"))).is_err());
}

#[test]
fn urls_name_a_host_and_a_database() {
    let parsed = |url: &str| parse_url(url);
    assert_eq!(parsed("mongodb://mongodb:27017/test"), Some(("mongodb:27017".into(), "test".into())));
    assert_eq!(parsed("mongodb://db"), Some(("db:27017".into(), "test".into())));
    assert_eq!(parsed("mongodb://db/stars?tls=false"), Some(("db:27017".into(), "stars".into())));
    assert_eq!(parsed("mysql://db/test"), None);
    assert_eq!(parsed("mongodb://a,b/test"), None);
}

#[tokio::test]
async fn the_client_reads_what_the_server_holds() {
    let address = server::spawn_session(Database).await;
    assert_eq!(ratings(&format!("mongodb://{address}/test")).await.expect("ratings"), [5, 4]);
    assert_eq!(ratings(&format!("mongodb://{address}/other")).await.expect("ratings"), Vec::<i64>::new());
    assert!(ratings("http://db").await.is_err());
}
