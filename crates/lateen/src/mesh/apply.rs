//! `POST /v1/apply`, `POST /v1/delete`: validated as a whole, written, and
//! waited for until every proxy holds it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use config_store::Objects;
use config_store::directory::{Directory, DirectoryError};
use config_store::plan::{self, Action};
use resources::{Object, ObjectKey, Problem, validate_references};

use translation::mesh::CLUSTER_DOMAIN;

use super::{DIRECTORY, Mesh};
use crate::protocol::{
    Applied, ApplyReply, ApplyRequest, DeleteRequest, Delivery, Missing, ObjectChange, ProblemView,
    SourceText,
};

/// How long proxies may take before the answer names those that do not hold
/// the change.
const LIMIT: Duration = Duration::from_secs(10);

/// Puts objects in.
pub(super) async fn apply(mesh: Arc<Mesh>, request: ApplyRequest) -> Result<ApplyReply> {
    let start = Instant::now();
    let (objects, mut problems) = read(&request.sources, &request.namespace);
    let held = mesh.directory.state();
    problems.extend(references(&mesh, &objects));
    if problems.iter().any(Problem::is_error) {
        return Ok(ApplyReply::Refused { problems: problems.iter().map(view).collect() });
    }
    let planned = plan::apply(&held.objects, &objects);
    let changed: Vec<Arc<Object>> = planned
        .iter()
        .filter(|(_, action)| *action != Action::Unchanged)
        .map(|(object, _)| Arc::clone(object))
        .collect();
    let revision = match changed.is_empty() {
        true => held.revision,
        false => {
            on_disk(&mesh, move |directory| directory.put(&changed)).await.context("write the objects")?
        }
    };
    let changes = planned.iter().map(|(object, action)| change(&object.key, *action)).collect();
    let warnings = problems.iter().map(view).collect();
    delivered(&mesh, revision, changes, warnings, start).await
}

/// Takes objects out.
pub(super) async fn delete(mesh: Arc<Mesh>, request: DeleteRequest) -> Result<ApplyReply> {
    let start = Instant::now();
    let (objects, problems) = read(&request.sources, &request.namespace);
    let named =
        request.keys.iter().map(|key| ObjectKey::parse(key).with_context(|| format!("no object `{key}`")));
    let mut keys = named.collect::<Result<Vec<_>>>()?;
    keys.extend(objects.iter().map(|object| object.key.clone()));
    let held = mesh.directory.state();
    let planned = plan::delete(&held.objects, &keys);
    let revision =
        on_disk(&mesh, move |directory| directory.remove(&keys)).await.context("remove the objects")?;
    let changes = planned.iter().map(|(key, action)| change(key, *action)).collect();
    let warnings = problems.iter().map(view).collect();
    delivered(&mesh, revision, changes, warnings, start).await
}

/// Changes the folder on a thread that may wait for the disk.
async fn on_disk(
    mesh: &Arc<Mesh>,
    change: impl FnOnce(&Directory) -> Result<u64, DirectoryError> + Send + 'static,
) -> Result<u64> {
    let mesh = Arc::clone(mesh);
    let changed = tokio::task::spawn_blocking(move || change(&mesh.directory));
    Ok(changed.await.context("the mesh is ending")??)
}

/// Every source's objects and problems.
pub(super) fn read(sources: &[SourceText], namespace: &str) -> (Vec<Arc<Object>>, Vec<Problem>) {
    let mut objects = Vec::new();
    let mut problems = Vec::new();
    for source in sources {
        let parsed = resources::parse(&source.file, &source.text, namespace);
        objects.extend(parsed.objects);
        problems.extend(parsed.problems);
    }
    (objects, problems)
}

/// What the new objects say of others that does not hold in the mesh as it
/// would be.
fn references(mesh: &Mesh, objects: &[Arc<Object>]) -> Vec<Problem> {
    let mut all: Objects = mesh.merged.borrow().state.objects.clone();
    all.extend(objects.iter().map(|object| (object.key.clone(), Arc::clone(object))));
    let found = validate_references(all.values(), CLUSTER_DOMAIN);
    let is_new = |problem: &Problem| {
        let key = problem.object.as_ref();
        key.is_some_and(|key| objects.iter().any(|object| object.key == *key))
    };
    found.into_iter().filter(is_new).collect()
}

/// Waits for the proxies and tells everything.
async fn delivered(
    mesh: &Mesh,
    revision: u64,
    objects: Vec<ObjectChange>,
    warnings: Vec<ProblemView>,
    start: Instant,
) -> Result<ApplyReply> {
    let mut merged = mesh.merged.clone();
    let generation = merged
        .wait_for(|merged| merged.sources[DIRECTORY] >= revision)
        .await
        .context("the mesh is ending")?
        .state
        .revision;
    let delivery = mesh.control_plane.wait_for(generation, LIMIT).await;
    let missing =
        delivery.missing.into_iter().map(|missing| Missing { proxy: missing.proxy, why: missing.why });
    Ok(ApplyReply::Applied(Applied {
        generation,
        objects,
        warnings,
        delivery: Delivery {
            affected: delivery.affected,
            acknowledged: delivery.acknowledged,
            missing: missing.collect(),
        },
        milliseconds: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    }))
}

fn change(key: &ObjectKey, action: Action) -> ObjectChange {
    ObjectChange {
        kind: key.kind.as_str().to_owned(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        action: action.as_str().to_owned(),
    }
}

/// A problem as the command line tells it.
pub(super) fn view(problem: &Problem) -> ProblemView {
    ProblemView {
        is_error: problem.is_error(),
        at: format!("{}:{}:{}", problem.file, problem.line, problem.column),
        code: problem.code.as_str().to_owned(),
        message: problem.message.clone(),
        help: problem.help.clone(),
    }
}
