//! Owners and canonical names.

use serde_json::json;

use super::*;

#[test]
fn the_deployment_stands_behind_its_replica_set() {
    let mut pod = json!({"metadata": {
        "name": "reviews-v1-5d8f-x", "labels": {"pod-template-hash": "5d8f", "app": "reviews", "version": "v1"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "reviews-v1-5d8f", "controller": true}],
    }});
    let workload = Workload::of(&pod);
    assert_eq!(
        workload.owner("default"),
        "kubernetes://apis/apps/v1/namespaces/default/deployments/reviews-v1"
    );
    assert_eq!(workload.canonical(&pod), ("reviews".to_owned(), "v1".to_owned()));
    pod["metadata"]["labels"] = json!({"app.kubernetes.io/name": "r", "app": "reviews"});
    let workload = Workload::of(&pod);
    assert_eq!(
        workload.owner("default"),
        "kubernetes://apis/apps/v1/namespaces/default/replicasets/reviews-v1-5d8f"
    );
    assert_eq!(workload.canonical(&pod), ("r".to_owned(), "latest".to_owned()));
}

#[test]
fn a_pod_may_stand_alone() {
    let pod = json!({"metadata": {"generateName": "job-"}});
    let workload = Workload::of(&pod);
    assert_eq!(workload.owner("x"), "kubernetes://apis/v1/namespaces/x/pods/job");
    let long = json!({"metadata": {"name": "p", "labels": {"app": "a".repeat(70)}}});
    assert_eq!(Workload::of(&long).canonical(&long).0.len(), 63);
}
