//! What goes in comes out; what is something else says so.

use crate::any::{UnpackError, pack, unpack};
use crate::envoy::config::cluster::v3::Cluster;
use crate::envoy::config::listener::v3::Listener;

#[test]
fn packed_message_comes_out_equal() {
    let cluster = Cluster { name: "outbound|80||a.b".to_owned(), ..Cluster::default() };
    let any = pack(&cluster);
    assert_eq!(any.type_url, crate::type_url::CLUSTER);
    assert_eq!(unpack::<Cluster>(&any), Ok(cluster));
}

#[test]
fn other_type_is_named_in_the_error() {
    let any = pack(&Cluster::default());
    let error = unpack::<Listener>(&any).expect_err("a cluster is no listener");
    assert_eq!(
        error.to_string(),
        "expected `envoy.config.listener.v3.Listener`, found \
         `type.googleapis.com/envoy.config.cluster.v3.Cluster`"
    );
}

#[test]
fn broken_bytes_are_refused() {
    let mut any = pack(&Cluster::default());
    any.value = vec![0xff, 0xff].into();
    assert!(matches!(unpack::<Cluster>(&any), Err(UnpackError::Decode { .. })));
}
