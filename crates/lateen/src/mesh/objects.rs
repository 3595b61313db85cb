//! `GET /v1/objects?kind=K[&namespace=N][&name=X]`.

use anyhow::{Context as _, Result};
use resources::Kind;

use super::Mesh;
use crate::protocol::ObjectView;

pub(super) fn list(mesh: &Mesh, query: &str) -> Result<Vec<ObjectView>> {
    let parameter = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let kind = parameter("kind").context("the query names no kind")?;
    let kind = Kind::parse(kind).with_context(|| format!("no kind `{kind}`"))?;
    let merged = mesh.merged.borrow().clone();
    let objects = merged.state.objects.values().filter(|object| {
        object.key.kind == kind
            && parameter("namespace").is_none_or(|namespace| namespace == object.key.namespace)
            && parameter("name").is_none_or(|name| name == object.key.name)
    });
    Ok(objects
        .map(|object| ObjectView {
            kind: object.key.kind.as_str().to_owned(),
            namespace: object.key.namespace.clone(),
            name: object.key.name.clone(),
            source: format!("{}:{}", object.source.file, object.source.line_of("")),
            object: object.raw.clone(),
        })
        .collect())
}
