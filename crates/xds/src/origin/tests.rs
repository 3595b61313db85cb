//! An origin survives its metadata.

use crate::envoy::config::core::v3::Metadata;
use crate::origin::{NAMESPACE, Origin, string_struct};

#[test]
fn written_origin_is_read_back() {
    for path in ["", "http[1].route[0]"] {
        let origin = Origin { object: "VirtualService/default/reviews".to_owned(), path: path.to_owned() };
        assert_eq!(Origin::read(Some(&origin.to_metadata())), Some(origin));
    }
}

#[test]
fn other_metadata_stays() {
    let mut metadata = Metadata::default();
    metadata.filter_metadata.insert("istio".to_owned(), string_struct([("config", "x")]));
    Origin { object: "Service/a/b".to_owned(), path: String::new() }.write(&mut metadata);
    assert_eq!(metadata.filter_metadata.keys().collect::<Vec<_>>(), ["istio", NAMESPACE]);
}

#[test]
fn absent_origin_is_none() {
    assert_eq!(Origin::read(None), None);
    assert_eq!(Origin::read(Some(&Metadata::default())), None);
}
