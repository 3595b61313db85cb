//! Names that people type.

use super::{DEFAULT, SampleError, find};

#[test]
fn a_sample_is_found_by_its_file_name_or_path() {
    let path = "bookinfo/networking/virtual-service-all-v1.yaml";
    for name in
        ["virtual-service-all-v1", "virtual-service-all-v1.yaml", "networking/virtual-service-all-v1", path]
    {
        assert_eq!(find(name).expect(name).path, path);
    }
    assert!(DEFAULT.iter().all(|name| find(name).is_ok()));
}

#[test]
fn an_unknown_name_is_answered_with_near_ones() {
    match find("virtual-service-reviews-91-9") {
        Err(SampleError::Unknown { nearest, .. }) => {
            assert!(nearest.contains("@virtual-service-reviews-90-10"), "{nearest}")
        }
        other => panic!("{other:?}"),
    }
}
