//! What the command line and a running mesh say to each other, as JSON over
//! the control socket.

use serde::{Deserialize, Serialize};

/// `POST /v1/apply`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApplyRequest {
    /// YAML texts with the names that problems are told by.
    pub sources: Vec<SourceText>,
    /// For objects that name no namespace.
    pub namespace: String,
}

/// `POST /v1/delete`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteRequest {
    /// Texts that name objects to delete.
    pub sources: Vec<SourceText>,
    /// Objects to delete, `VirtualService/default/reviews`.
    pub keys: Vec<String>,
    /// For objects of the texts that name no namespace.
    pub namespace: String,
}

/// A YAML text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceText {
    /// File name as the person typed it, or `<stdin>`.
    pub file: String,
    /// All of it.
    pub text: String,
}

/// The answer to both.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "result")]
pub enum ApplyReply {
    /// The objects are in, and this is who holds them.
    Applied(Applied),
    /// Nothing changed.
    Refused {
        /// Why.
        problems: Vec<ProblemView>,
    },
}

/// What an apply did.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// The mesh's generation that holds the objects.
    pub generation: u64,
    /// Each object and what became of it.
    pub objects: Vec<ObjectChange>,
    /// Things to know that refuse nothing.
    pub warnings: Vec<ProblemView>,
    /// Who holds the generation.
    pub delivery: Delivery,
    /// From the request to the answer.
    pub milliseconds: u64,
}

/// An object and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectChange {
    /// `VirtualService`.
    pub kind: String,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `created`, `configured`, `unchanged`, `deleted`.
    pub action: String,
}

/// A problem of some YAML.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProblemView {
    /// Whether it refuses the object.
    pub is_error: bool,
    /// As `file:line:column`.
    pub at: String,
    /// Stable code.
    pub code: String,
    /// What and why.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// Who holds a generation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Proxies that the change concerns.
    pub affected: usize,
    /// Those that acknowledged it.
    pub acknowledged: usize,
    /// Those that did not, and why.
    pub missing: Vec<Missing>,
}

/// A proxy that does not hold a generation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// `reviews-v1-7d9.default`.
    pub proxy: String,
    /// Still waiting, or what it rejected.
    pub why: String,
}

/// `GET /v1/objects`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectView {
    /// `VirtualService`.
    pub kind: String,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where it was read from, with its line.
    pub source: String,
    /// The object as written.
    pub object: serde_json::Value,
}

/// An error answer of any route.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorReply {
    /// A sentence.
    pub error: String,
}

/// `POST /v1/explain`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainRequest {
    /// `GET`.
    pub method: String,
    /// `http://reviews:9080/`.
    pub url: String,
    /// Pod, Deployment or `svc/x` that sends it.
    pub from: String,
    /// Its namespace.
    pub namespace: String,
    /// `NAME: VALUE`.
    pub headers: Vec<String>,
    /// Objects to put in first, without applying them.
    pub sources: Vec<SourceText>,
}

/// The answer: whose proxy was asked, and what it would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainReply {
    /// The pod.
    pub pod: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether the pod has a proxy at all.
    pub has_proxy: bool,
    /// What the proxy would do.
    pub explanation: analysis::explain::Explanation,
    /// Problems of the objects that were put in.
    pub problems: Vec<ProblemView>,
}

/// The roots that are believed, the one that signs first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootsReply {
    /// Their subjects.
    pub roots: Vec<String>,
}
