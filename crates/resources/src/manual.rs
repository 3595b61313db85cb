//! Manual pages: one per kind, with examples that a test reads and checks.

use crate::kind::Kind;

/// The manual page of a kind, in Markdown.
pub fn manual(kind: Kind) -> &'static str {
    match kind {
        Kind::Namespace => include_str!("namespace/manual.md"),
        Kind::ServiceAccount => include_str!("service_account/manual.md"),
        Kind::ConfigMap => include_str!("config_map/manual.md"),
        Kind::Secret => include_str!("secret/manual.md"),
        Kind::Service => include_str!("service/manual.md"),
        Kind::Deployment => include_str!("deployment/manual.md"),
        Kind::Pod => include_str!("pod/manual.md"),
        Kind::Gateway => include_str!("gateway/manual.md"),
        Kind::ServiceEntry => include_str!("service_entry/manual.md"),
        Kind::VirtualService => include_str!("virtual_service/manual.md"),
        Kind::DestinationRule => include_str!("destination_rule/manual.md"),
        Kind::Sidecar => include_str!("sidecar/manual.md"),
        Kind::PeerAuthentication => include_str!("peer_authentication/manual.md"),
    }
}

#[cfg(test)]
mod tests {
    use crate::Kind;

    #[test]
    fn every_example_is_valid_and_of_its_kind() {
        for kind in Kind::ALL {
            let mut examples = 0;
            for block in super::manual(kind).split("```yaml\n").skip(1) {
                let text = block.split("```").next().expect("a block ends");
                let parsed = crate::parse("manual.md", text, "default");
                assert_eq!(parsed.problems, [], "{kind}:\n{text}");
                assert!(parsed.objects.iter().all(|object| object.key.kind == kind));
                examples += parsed.objects.len();
            }
            assert!(examples > 0, "{kind} has no example");
        }
    }
}
