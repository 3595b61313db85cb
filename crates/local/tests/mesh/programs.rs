//! The smallest programs: objects from files, and from the control socket.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http::{Method, StatusCode};
use local::{ControlResponse, ControlRoutes, Parts, Programs, World};
use resources::{Object, ObjectKey};
use std::collections::BTreeMap;
use tokio::sync::watch;

type Objects = BTreeMap<ObjectKey, Arc<Object>>;

/// Objects come from the files that the settings name; `PUT /objects` puts others in their place.
pub struct FromFiles;

impl Programs for FromFiles {
    fn start(&self, world: World) -> BoxFuture<'static, Result<Parts, String>> {
        Box::pin(async move {
            let mut text = String::new();
            for file in world.settings.as_array().into_iter().flatten().filter_map(|file| file.as_str()) {
                text.push_str(&std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?);
                text.push_str("\n---\n");
            }
            let (sender, objects) = watch::channel(Arc::new(parse(&text)?));
            let sender = Arc::new(sender);
            let mut routes = ControlRoutes::default();
            routes.add(
                Method::PUT,
                "/objects",
                Arc::new(move |request| {
                    let sender = Arc::clone(&sender);
                    Box::pin(async move {
                        match parse(&String::from_utf8_lossy(&request.body)) {
                            Ok(objects) => {
                                sender.send_replace(Arc::new(objects));
                                ControlResponse::text(StatusCode::OK, "")
                            }
                            Err(problem) => ControlResponse::text(StatusCode::BAD_REQUEST, problem),
                        }
                    })
                }),
            );
            let cluster = world.cluster;
            routes.add(
                Method::GET,
                "/cluster",
                Arc::new(move |_| {
                    let objects: Vec<serde_json::Value> =
                        cluster.borrow().values().map(|object| object.raw.clone()).collect();
                    Box::pin(async move { ControlResponse::json(StatusCode::OK, &objects) })
                }),
            );
            Ok(Parts { objects, routes, admit: Box::new(|pod, _| Ok(pod)), credentials: None })
        })
    }
}

fn parse(text: &str) -> Result<Objects, String> {
    let parsed = resources::parse("test.yaml", text, "default");
    if parsed.has_errors() {
        return Err(parsed.problems.iter().map(|problem| format!("{problem}\n")).collect());
    }
    Ok(parsed.objects.into_iter().map(|object| (object.key.clone(), object)).collect())
}
