//! What a running mesh answers on its control socket.

use std::future::Future;
use std::sync::Arc;

use futures_util::FutureExt as _;
use http::{Method, StatusCode};
use local::{ControlRequest, ControlResponse, ControlRoutes};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Mesh, apply, authority, explain, objects};
use crate::protocol::ErrorReply;

/// Every route.
pub(super) fn of(mesh: &Arc<Mesh>) -> ControlRoutes {
    let mut routes = ControlRoutes::default();
    let mut add = |method, path, handler| routes.add(method, path, handler);
    add(Method::POST, "/v1/apply", answering(mesh, apply::apply));
    add(Method::POST, "/v1/delete", answering(mesh, apply::delete));
    add(Method::POST, "/v1/explain", answering(mesh, explain::explain));
    add(Method::POST, "/v1/admin/rotate-root", querying(mesh, authority::rotate_root));
    add(Method::GET, "/v1/objects", querying(mesh, objects::list));
    add(Method::GET, "/v1/status", querying(mesh, |mesh, _| Ok(mesh.control_plane.status())));
    routes
}

/// A route whose body and answer are JSON.
fn answering<Q, A, F>(mesh: &Arc<Mesh>, answer: fn(Arc<Mesh>, Q) -> F) -> local::Handler
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize + Send + 'static,
    F: Future<Output = anyhow::Result<A>> + Send + 'static,
{
    let mesh = Arc::clone(mesh);
    Arc::new(move |request: ControlRequest| {
        let mesh = Arc::clone(&mesh);
        async move {
            match serde_json::from_slice(&request.body) {
                Ok(question) => respond(answer(mesh, question).await),
                Err(problem) => refuse(StatusCode::BAD_REQUEST, &format!("the request's body: {problem}")),
            }
        }
        .boxed()
    })
}

/// A route that reads at most its query.
fn querying<A>(mesh: &Arc<Mesh>, answer: fn(&Mesh, &str) -> anyhow::Result<A>) -> local::Handler
where
    A: Serialize + 'static,
{
    let mesh = Arc::clone(mesh);
    Arc::new(move |request: ControlRequest| {
        let response = respond(answer(&mesh, &request.query));
        async move { response }.boxed()
    })
}

fn respond<A: Serialize>(answer: anyhow::Result<A>) -> ControlResponse {
    match answer {
        Ok(answer) => ControlResponse::json(StatusCode::OK, &answer),
        Err(error) => refuse(StatusCode::UNPROCESSABLE_ENTITY, &format!("{error:#}")),
    }
}

fn refuse(status: StatusCode, error: &str) -> ControlResponse {
    ControlResponse::json(status, &ErrorReply { error: error.to_owned() })
}
