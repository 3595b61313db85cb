//! Tests of references between objects: the first documents of a case are the mesh.

use crate::test_cases;

fn found(text: &str) -> Vec<String> {
    let parsed = crate::parse("a.yaml", text, "default");
    assert!(!parsed.has_errors(), "{:?}", parsed.problems);
    super::validate_references(&parsed.objects, "cluster.local").iter().map(ToString::to_string).collect()
}

#[test]
fn references_to_nothing_are_told() {
    test_cases::check("references", found);
}
