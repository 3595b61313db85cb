//! Entry points for fuzzing, also called by a test with a bounded number of inputs.

use crate::{Problem, parse, validate_references, yaml};

/// Reads any bytes as a file and does with the result what programs do.
///
/// # Panics
/// When an invariant is broken: a position outside the text, an object with an error, or YAML that was written
/// and does not read back.
pub fn yaml(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = parse("fuzz.yaml", &text, "default");
    let lines = u32::try_from(text.matches(['\n', '\r']).count()).unwrap_or(u32::MAX).saturating_add(1);
    for problem in &parsed.problems {
        assert!((1..=lines).contains(&problem.line), "{problem} is outside the text");
        assert!(problem.column >= 1 && !problem.message.is_empty());
    }
    for object in &parsed.objects {
        let refused = |problem: &&Problem| problem.is_error() && problem.object.as_ref() == Some(&object.key);
        if let Some(problem) = parsed.problems.iter().find(refused) {
            // Another object of the same name may have been refused before this one.
            assert_ne!(problem.line, object.source.line_of(""), "{problem} did not refuse the object");
        }
        let again = parse("again.yaml", &yaml::to_yaml(&object.raw), "default");
        assert!(!again.has_errors(), "{} does not read back: {:?}", object.key, again.problems);
        let [object_again] = again.objects.as_slice() else { panic!("{} does not read back", object.key) };
        assert_eq!(object_again.raw, object.raw, "{} reads back as another", object.key);
        assert_eq!(object_again.spec, object.spec, "{} reads back as another", object.key);
    }
    validate_references(&parsed.objects, "cluster.local");
}

#[cfg(test)]
mod tests;
