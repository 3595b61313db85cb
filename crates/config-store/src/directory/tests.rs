//! A real folder, edited as people and programs edit it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use resources::{Kind, Object, ObjectKey};
use tokio::sync::watch;

use super::Directory;
use crate::State;

fn text(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  k: {value}\n")
}

fn object(name: &str, value: &str) -> Arc<Object> {
    let parsed = resources::parse("mine.yaml", &text(name, value), "default");
    Arc::clone(parsed.objects.first().expect("an object"))
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::ConfigMap, "default", name)
}

fn value(state: &State, name: &str) -> Option<String> {
    Some(state.objects.get(&key(name))?.raw["data"]["k"].as_str()?.to_owned())
}

async fn until(states: &mut watch::Receiver<Arc<State>>, holds: impl Fn(&State) -> bool) -> Arc<State> {
    let wait = states.wait_for(|state| holds(state));
    let found = tokio::time::timeout(std::time::Duration::from_secs(10), wait).await.expect("in time");
    Arc::clone(&found.expect("the folder is open"))
}

fn open(root: &Path) -> (Directory, watch::Receiver<Arc<State>>) {
    let directory = Directory::open(root).expect("a folder");
    let states = directory.subscribe();
    (directory, states)
}

#[tokio::test]
async fn what_is_put_in_is_there_now_and_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let (directory, states) = open(folder.path());
    let revision = directory.put(&[object("a", "one")]).expect("written");
    assert_eq!(states.borrow().revision, revision);
    assert_eq!(value(&states.borrow(), "a").as_deref(), Some("one"));
    assert_eq!(&*states.borrow().objects[&key("a")].source.file, "mine.yaml");
    assert!(folder.path().join("default/configmap-a.yaml").is_file());
    drop(directory);

    let (_again, states) = open(folder.path());
    assert_eq!(value(&states.borrow(), "a").as_deref(), Some("one"));
}

#[tokio::test]
async fn an_edited_file_takes_effect_and_a_broken_one_keeps_what_it_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let (directory, mut states) = open(folder.path());
    directory.put(&[object("a", "one")]).expect("written");
    let path = folder.path().join("default/configmap-a.yaml");

    fs::write(&path, text("a", "two")).expect("edited");
    let state = until(&mut states, |state| value(state, "a").as_deref() == Some("two")).await;
    assert_eq!(state.objects[&key("a")].source.file.as_ref(), path.display().to_string());

    fs::write(&path, "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n data: {}\n").expect("broken");
    let state = until(&mut states, |state| !state.problems.is_empty()).await;
    assert_eq!(value(&state, "a").as_deref(), Some("two"));

    fs::write(&path, text("a", "three")).expect("mended");
    let state = until(&mut states, |state| state.problems.is_empty()).await;
    assert_eq!(value(&state, "a").as_deref(), Some("three"));

    fs::remove_file(&path).expect("deleted");
    until(&mut states, |state| state.objects.is_empty()).await;
}

#[tokio::test]
async fn a_file_of_several_objects_loses_only_the_one_that_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("both.yaml"), format!("{}---\n{}", text("a", "one"), text("b", "one")))
        .expect("written");
    let (directory, states) = open(folder.path());
    assert_eq!(states.borrow().objects.len(), 2);
    directory.remove(&[key("a")]).expect("removed");
    assert_eq!(value(&states.borrow(), "a"), None);
    assert_eq!(value(&states.borrow(), "b").as_deref(), Some("one"));
    directory.put(&[object("b", "two")]).expect("written");
    let kept = fs::read_to_string(folder.path().join("both.yaml")).expect("the file");
    assert!(kept.contains("two"), "{kept}");
    directory.remove(&[key("b")]).expect("removed");
    assert!(!folder.path().join("both.yaml").exists());
}
