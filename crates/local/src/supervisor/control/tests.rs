//! Paths find their handlers.

use super::*;

#[test]
fn a_path_and_what_lies_below_find_the_handler() {
    let mut routes = ControlRoutes::default();
    let handler: Handler = Arc::new(|_| Box::pin(async { ControlResponse::text(StatusCode::OK, "") }));
    routes.add(Method::GET, "/objects", Arc::clone(&handler));
    routes.add(Method::PUT, "/objects/", handler);
    let outcome = |method: Method, path: &str| match routes.find(&method, path) {
        Found::Handler(_, rest) => format!("handler {rest}"),
        Found::OtherMethod => "other method".to_owned(),
        Found::Nothing => "nothing".to_owned(),
    };
    assert_eq!(outcome(Method::GET, "/objects"), "handler ");
    assert_eq!(outcome(Method::PUT, "/objects/default/x"), "handler default/x");
    assert_eq!(outcome(Method::DELETE, "/objects"), "other method");
    assert_eq!(outcome(Method::GET, "/objectsX"), "nothing");
}
