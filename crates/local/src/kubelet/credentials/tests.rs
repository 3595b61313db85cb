//! Whose proofs a pod is given, and how.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::Arc;

use super::*;

fn pod(container: &str, account: &str) -> Arc<Object> {
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: reviews, namespace: shop}}\nspec:\n  \
         serviceAccountName: {account}\n  containers: [{{name: {container}, image: a}}]\n"
    );
    resources::parse("pod.yaml", &text, "default").objects.remove(0)
}

fn names() -> Credentials {
    Arc::new(|namespace: &str, account: &str| format!("{namespace}/{account}"))
}

#[test]
fn a_pod_with_a_proxy_proves_its_own_account() {
    let proofs = |container, account| Some(of(&pod(container, account), &names())?());
    assert_eq!(proofs("istio-proxy", "bookinfo-reviews").as_deref(), Some("shop/bookinfo-reviews"));
    assert_eq!(proofs("istio-proxy", "").as_deref(), Some("shop/default"));
    assert_eq!(proofs("reviews", "bookinfo-reviews"), None, "nobody would ask");
}

#[tokio::test]
async fn each_question_has_a_proof_of_its_own() {
    let local = tokio::task::LocalSet::new();
    let asked = async {
        let count = Cell::new(0);
        let proofs: Proofs = Rc::new(move || {
            count.set(count.get() + 1);
            format!("proof {}", count.get())
        });
        let socket = UnixStream::from(offer(proofs).expect("a socket"));
        let told = tokio::task::spawn_blocking(move || {
            let mut answers = BufReader::new(socket.try_clone().expect("a copy"));
            let mut ask = |question: &[u8]| {
                (&socket).write_all(question).expect("asked");
                let mut line = String::new();
                answers.read_line(&mut line).expect("answered");
                line
            };
            [ask(b"token\n"), ask(b"token\n"), ask(b"key\n")]
        });
        told.await.expect("no panic")
    };
    assert_eq!(local.run_until(asked).await, ["proof 1\n", "proof 2\n", ""]);
}
