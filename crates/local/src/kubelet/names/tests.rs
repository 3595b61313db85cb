//! Names have the usual form and depend on what they should.

use serde_json::json;

use super::*;

#[test]
fn a_hash_depends_on_the_content_and_not_on_its_order() {
    let one =
        json!({"spec": {"containers": [{"name": "a", "image": "b"}]}, "metadata": {"labels": {"x": "1"}}});
    let same =
        json!({"metadata": {"labels": {"x": "1"}}, "spec": {"containers": [{"image": "b", "name": "a"}]}});
    let other =
        json!({"spec": {"containers": [{"name": "a", "image": "c"}]}, "metadata": {"labels": {"x": "1"}}});
    assert_eq!(template_hash(&one), template_hash(&same));
    assert_ne!(template_hash(&one), template_hash(&other));
    assert_eq!(template_hash(&one).len(), 10);
}

#[test]
fn names_look_as_in_a_cluster() {
    let name = pod_name("reviews-v1", "5d8f7c9b66", 12345);
    let parts: Vec<&str> = name.rsplitn(3, '-').collect();
    assert_eq!((parts[0].len(), parts[1], parts[2]), (5, "5d8f7c9b66", "reviews-v1"));
    let uid = uid(u64::MAX, 0);
    let lengths: Vec<usize> = uid.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert_eq!(&uid[14..15], "4");
}
