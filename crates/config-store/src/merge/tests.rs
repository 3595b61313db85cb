//! Precedence and filters of joined sources.

use std::sync::Arc;

use resources::{Kind, Object};

use super::merge;
use crate::memory::Memory;

fn config_map(name: &str, value: &str) -> Arc<Object> {
    let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{k: {value}}}\n");
    let parsed = resources::parse("test.yaml", &text, "default");
    Arc::clone(parsed.objects.first().expect("an object"))
}

#[tokio::test]
async fn later_sources_win_and_filters_hold() {
    let first = Memory::holding([config_map("a", "one"), config_map("b", "one")]);
    let second = Memory::holding([config_map("a", "two")]);
    let mut merged =
        merge(vec![(first.subscribe(), |key| key.kind == Kind::ConfigMap), (second.subscribe(), |_| true)]);
    let value = |merged: &super::Merged, name: &str| {
        let found = merged.state.objects.values().find(|object| object.key.name == name);
        found.map(|object| object.raw["data"]["k"].clone())
    };
    assert_eq!(value(&merged.borrow_and_update(), "a"), Some("two".into()));
    let revision = first.upsert(config_map("c", "one"));
    merged.changed().await.expect("a merged state");
    let now = merged.borrow().clone();
    assert_eq!(now.sources[0], revision);
    assert!(value(&now, "c").is_some());
    assert!(now.state.revision > 1);
}

#[tokio::test]
async fn a_source_that_is_gone_stays_as_it_was() {
    let first = Memory::holding([config_map("a", "one")]);
    let second = Memory::default();
    let mut merged = merge(vec![(first.subscribe(), |_| true), (second.subscribe(), |_| true)]);
    drop(first);
    second.upsert(config_map("b", "one"));
    let wait = merged.wait_for(|merged| merged.state.objects.len() == 2);
    wait.await.expect("both objects");
}
