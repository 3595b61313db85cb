//! A real folder, edited as people and programs edit it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use resources::{Kind, Object, ObjectKey};
use tokio::sync::watch;

use super::{Directory, Emptied};
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
async fn many_objects_are_put_in_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (directory, states) = open(folder.path());
    let objects: Vec<_> = (0..200).map(|number| object(&format!("m{number}"), "one")).collect();
    directory.put(&objects).expect("written");
    assert_eq!(states.borrow().objects.len(), 200);
    let files = fs::read_dir(folder.path().join("default")).expect("the folder");
    let names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
    assert_eq!(names.len(), 200);
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{names:?}");
    let keys: Vec<_> = objects.iter().map(|object| object.key.clone()).collect();
    directory.remove(&keys).expect("removed");
    assert!(states.borrow().objects.is_empty());
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

#[tokio::test]
async fn what_a_person_wrote_around_a_changed_object_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("mine.yaml");
    let first = "# first\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}   # the a\ndata: {k: one}\n";
    fs::write(&path, format!("{first}--- # then\n{}---\n# the end\n", text("b", "one"))).expect("written");
    let (directory, states) = open(folder.path());
    assert_eq!(states.borrow().problems, []);

    directory.put(&[object("b", "two"), object("c", "new")]).expect("written");
    let kept = fs::read_to_string(&path).expect("the file");
    assert!(
        kept.starts_with(first) && kept.contains("k: two") && kept.ends_with("---\n# the end\n"),
        "{kept}"
    );
    assert!(folder.path().join("default/configmap-c.yaml").is_file());

    // The same content again changes nothing in the file.
    directory.put(&[object("a", "one")]).expect("written");
    assert_eq!(fs::read_to_string(&path).expect("the file"), kept);
    assert_eq!(&*states.borrow().objects[&key("a")].source.file, "mine.yaml");

    directory.remove(&[key("a")]).expect("removed");
    let left = fs::read_to_string(&path).expect("the file");
    assert!(!left.contains("first") && left.contains("k: two"), "{left}");
}

#[tokio::test]
async fn a_broken_file_is_not_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("both.yaml");
    fs::write(&path, format!("{}---\n{}", text("a", "one"), text("b", "one"))).expect("written");
    let (directory, mut states) = open(folder.path());

    let broken = format!("{}---\n{}", text("a", "one"), text("b", "[unclosed"));
    fs::write(&path, &broken).expect("broken");
    let state = until(&mut states, |state| !state.problems.is_empty()).await;
    assert_eq!(value(&state, "b").as_deref(), Some("one"));
    let error = directory.put(&[object("b", "two")]).expect_err("nobody can tell where b is");
    assert!(
        error.to_string().ends_with("holds ConfigMap/default/b, but is broken; mend the file first"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).expect("the file"), broken);
    directory.put(&[object("fresh", "one"), object("b", "two")]).expect_err("all or nothing");
    assert_eq!(value(&states.borrow(), "fresh"), None);
    assert!(!folder.path().join("default/configmap-fresh.yaml").exists());

    // The object beside it can be changed, and what is wrong stays to be mended.
    directory.put(&[object("a", "two")]).expect("written");
    let now = states.borrow().clone();
    assert_eq!((value(&now, "a").as_deref(), value(&now, "b").as_deref()), (Some("two"), Some("one")));
    assert_eq!(now.problems.len(), 1);
    assert!(fs::read_to_string(&path).expect("the file").contains("[unclosed"));
}

#[tokio::test]
async fn a_broken_file_of_one_object_is_mended_by_putting_the_object() {
    let folder = tempfile::tempdir().expect("a folder");
    let (directory, mut states) = open(folder.path());
    directory.put(&[object("a", "one")]).expect("written");
    fs::write(folder.path().join("default/configmap-a.yaml"), "a: [").expect("broken");
    until(&mut states, |state| !state.problems.is_empty()).await;
    directory.put(&[object("a", "two")]).expect("written");
    let now = states.borrow().clone();
    assert_eq!((now.problems.len(), value(&now, "a").as_deref()), (0, Some("two")));
}

#[tokio::test]
async fn one_bad_file_does_not_hurt_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.yaml"), text("a", "one")).expect("written");
    fs::write(folder.path().join("b.yaml"), [0xff, 0xfe, 0x00]).expect("written");
    fs::write(folder.path().join("c.yaml"), text("a", "two")).expect("written");
    fs::write(folder.path().join(".hidden.yaml"), "a: [").expect("written");
    fs::write(folder.path().join("notes.txt"), "a: [").expect("written");
    let (_directory, states) = open(folder.path());
    let state = states.borrow().clone();
    assert_eq!(value(&state, "a").as_deref(), Some("one"));
    let told: Vec<&str> = state.problems.iter().map(|problem| problem.code.as_str()).collect();
    assert_eq!(told, ["LT0106", "LT0205"]);
    assert!(state.problems[1].message.ends_with("a.yaml` too, which counts"), "{}", state.problems[1]);
}

#[tokio::test]
async fn a_file_that_is_emptied_before_it_is_written_keeps_its_objects() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.yaml");
    fs::write(&path, text("a", "one")).expect("written");
    let (_directory, mut states) = open(folder.path());
    fs::write(&path, "").expect("emptied");
    fs::write(folder.path().join("b.yaml"), text("b", "one")).expect("written");
    let state = until(&mut states, |state| value(state, "b").is_some()).await;
    assert_eq!(value(&state, "a").as_deref(), Some("one"));
    // Left empty, it is meant to be.
    until(&mut states, |state| value(state, "a").is_none()).await;
}

#[tokio::test]
async fn what_was_put_in_never_disappears_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (directory, mut states) = open(folder.path());
    let watch = tokio::spawn(async move {
        let mut most = 0;
        while states.changed().await.is_ok() {
            let count = states.borrow_and_update().objects.len();
            assert!(count >= most, "{most} objects became {count}");
            most = count;
        }
        most
    });
    // Somebody looks at the folder all the time, as after a burst of events.
    let shared = Arc::clone(&directory.shared);
    let done = Arc::new(AtomicBool::new(false));
    let looking = std::thread::spawn({
        let done = Arc::clone(&done);
        move || {
            while !done.load(Ordering::Relaxed) {
                shared.read_all(Emptied::Take).expect("the folder is there");
            }
        }
    });
    let put = tokio::task::spawn_blocking(move || {
        for number in 0..60 {
            directory.put(&[object(&format!("o{number}"), "one")]).expect("written");
        }
        done.store(true, Ordering::Relaxed);
        directory.state().objects.len()
    });
    assert_eq!(put.await.expect("all written"), 60);
    looking.join().expect("the folder was read");
    assert_eq!(watch.await.expect("no object disappeared"), 60);
}
