//! Logs are shown from the right place.

use super::*;

#[test]
fn the_last_lines_begin_where_they_should() {
    let cases =
        [("a\nb\nc\n", 2, "b\nc\n"), ("a\nb", 1, "b"), ("a\n", 5, "a\n"), ("", 3, ""), ("a\nb\n", 0, "")];
    for (text, lines, expected) in cases {
        assert_eq!(&text[start_of_last(text.as_bytes(), lines)..], expected, "{text:?} {lines}");
    }
}

#[test]
fn a_log_that_grows_and_is_turned_over_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.log");
    let mut output = Vec::new();
    let position = show(&path, None, &mut output).expect("shown");
    std::fs::write(&path, "one\ntwo\n").expect("written");
    let position = show_more(&path, position, &mut output).expect("shown");
    let position = show_more(&path, position, &mut output).expect("shown");
    std::fs::write(&path, "new\n").expect("written");
    show_more(&path, position, &mut output).expect("shown");
    assert_eq!(String::from_utf8(output).expect("text"), "one\ntwo\nnew\n");
}

#[test]
fn a_mesh_that_is_not_there_is_told_so() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(!down(folder.path()).expect("nothing to do"));
    let exec_request = Exec {
        workload: "x".to_owned(),
        namespace: "default".to_owned(),
        container: None,
        command: vec!["true".to_owned()],
    };
    let streams = crate::container::silent_streams().expect("streams");
    let error = exec(folder.path(), exec_request, streams).expect_err("an error");
    assert!(matches!(error, ClientError::NotRunning(_)), "{error}");
}
