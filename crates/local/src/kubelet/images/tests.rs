//! Images are found by name, the user's before the bundled.

use super::*;

#[test]
fn names_are_completed_and_tags_dropped() {
    let cases = [
        ("curlimages/curl", "docker.io/curlimages/curl"),
        ("docker.io/istio/proxyv2:1.2@sha256:ab", "docker.io/istio/proxyv2"),
        ("nginx:1.27", "docker.io/library/nginx"),
        ("registry.local:5000/team/app", "registry.local:5000/team/app"),
        ("localhost/app:dev", "localhost/app"),
    ];
    for (image, expected) in cases {
        assert_eq!(repository(image), expected);
    }
}

#[test]
fn the_users_file_comes_first_and_an_unknown_image_is_told_where_to_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("images.yaml");
    let bundled = Images::load(&file).expect("bundled images");
    let reviews = bundled.find("docker.io/istio/examples-bookinfo-reviews-v3:1.20.3", &file).expect("known");
    assert_eq!(reviews.command, ["lateen", "bookinfo", "reviews"]);
    assert_eq!(reviews.env["STAR_COLOR"], "red");
    let elsewhere = "registry.istio.io/release/examples-bookinfo-reviews-v3:1.20.3";
    assert_eq!(bundled.find(elsewhere, &file).expect("known"), reviews);
    let refusal = bundled.find("ghcr.io/me/app:2", &file).expect_err("unknown").to_string();
    assert!(refusal.contains("add `ghcr.io/me/app: {command: [PROGRAM, ARGUMENT]}`"), "{refusal}");

    std::fs::write(
        &file,
        "curlimages/curl: {command: [my-curl]}\nghcr.io/me/app: {command: [app], workingDir: /srv}\n",
    )
    .expect("a file");
    let images = Images::load(&file).expect("images");
    assert_eq!(images.find("curlimages/curl:8", &file).expect("known").command, ["my-curl"]);
    assert_eq!(images.find("ghcr.io/me/app", &file).expect("known").working_dir, Some("/srv".into()));

    std::fs::write(&file, "x: {comand: [y]}\n").expect("a file");
    let problem = Images::load(&file).expect_err("a problem").to_string();
    assert!(problem.contains("comand") && problem.contains("images.yaml"), "{problem}");
}
