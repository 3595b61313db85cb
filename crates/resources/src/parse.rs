//! From the text of a file to objects and problems.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::decode::{self, Decoded, Finding, Part, Spelling};
use crate::kind::Kind;
use crate::metadata::ObjectMeta;
use crate::object::{Object, ObjectKey, Spec};
use crate::path::Path;
use crate::problem::{Code, Problem};
use crate::source::{Names, Outline, Position, START};
use crate::validate;
use crate::yaml::{self, Node, Value};

/// What a file holds.
#[derive(Debug, Clone, Default)]
pub struct Parsed {
    /// The objects without errors, in the order of the file.
    pub objects: Vec<Arc<Object>>,
    /// Every problem, in the order of the file.
    pub problems: Vec<Problem>,
}

impl Parsed {
    /// Whether anything in the file is refused.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }
}

/// Reads the objects of a YAML (or JSON) text: several documents, `kind: List`, anchors.
///
/// `file` is only a name for messages. Objects that say no namespace get `default_namespace`. An object with an
/// error is left out; the others in the same file are not affected.
pub fn parse(file: &str, text: &str, default_namespace: &str) -> Parsed {
    let mut reader = Reader::new(file, default_namespace);
    for document in yaml::read(text) {
        reader.refusing = document.is_refused();
        for fault in document.faults {
            reader.problem(fault.code, fault.position, fault.message, fault.help);
        }
        if let Some(root) = document.root {
            reader.document(root);
        }
    }
    reader.finish()
}

/// Reads one object, or a `List`, from its JSON form. Its fields have no lines.
pub fn parse_json(file: &str, json: &serde_json::Value, default_namespace: &str) -> Parsed {
    let mut reader = Reader::new(file, default_namespace);
    reader.document(Node::from_json(json, START));
    reader.finish()
}

/// Collects what the documents of a file hold.
struct Reader<'a> {
    file: Arc<str>,
    default_namespace: &'a str,
    drafts: Vec<Draft>,
    /// The text of the document has an error: its objects are checked but not taken.
    refusing: bool,
    /// Names of fields, shared by the sources of all objects of the file.
    names: Names,
    /// Line of every object so far, refused or not.
    lines: HashMap<ObjectKey, u32>,
    problems: Vec<Problem>,
}

/// An object whose source is made when the whole file is read.
struct Draft {
    key: ObjectKey,
    meta: ObjectMeta,
    spec: Spec,
    raw: serde_json::Value,
    outline: Outline,
}

impl<'a> Reader<'a> {
    fn new(file: &str, default_namespace: &'a str) -> Self {
        Self {
            file: file.into(),
            default_namespace,
            drafts: Vec::new(),
            refusing: false,
            names: Names::default(),
            lines: HashMap::new(),
            problems: Vec::new(),
        }
    }

    fn finish(mut self) -> Parsed {
        let names = self.names.share();
        let finish = |draft: Draft| {
            let Draft { key, meta, spec, raw, outline } = draft;
            let source = outline.finish(Arc::clone(&self.file), Arc::clone(&names));
            Arc::new(Object { key, meta, spec, raw, source })
        };
        let objects = self.drafts.into_iter().map(finish).collect();
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        Parsed { objects, problems: self.problems }
    }

    fn problem(&mut self, code: Code, at: Position, message: impl Into<String>, help: impl Into<String>) {
        self.problems.push(Problem {
            code,
            severity: code.severity(),
            file: Arc::clone(&self.file),
            line: at.line,
            column: at.column,
            object: None,
            path: String::new(),
            message: message.into(),
            help: help.into(),
        });
    }

    /// Reads what a document holds: nothing, an object, or a list of objects.
    fn document(&mut self, root: Node) {
        match root.value {
            Value::Null | Value::Removed => {}
            Value::Map(_) if is_list(&root) => self.list(root),
            Value::Map(_) => self.object(root),
            _ => self.problem(
                Code::NotAnObject,
                root.position,
                "this is not an object: it has no `apiVersion`, `kind` and `metadata`",
                "an object begins with `apiVersion:`",
            ),
        }
    }

    fn list(&mut self, root: Node) {
        let Value::Map(members) = root.value else { return };
        for member in members {
            match (member.key.as_str(), member.node.value) {
                ("items", Value::List(items)) => items.into_iter().for_each(|item| self.document(item)),
                ("items", Value::Null) | ("apiVersion" | "kind" | "metadata", _) => {}
                ("items", _) => {
                    self.problem(Code::WrongType, member.position, "`items` must be a list of objects", "");
                }
                (key, _) => {
                    let message = format!("the field `{key}` is not known in a list and has no effect");
                    self.problem(Code::UnknownField, member.position, message, "");
                }
            }
        }
    }

    /// Reads an object and tells everything that is wrong with it.
    fn object(&mut self, mut root: Node) {
        let Some(kind) = self.kind(&root) else { return };
        let at = root.position;
        let mut outline = Outline::default();
        root.outline(&mut outline, &mut self.names);
        let mut findings = Vec::new();
        let mut meta =
            read::<Head>(&mut root, Spelling::Exact, Part::Only("metadata"), &mut findings).metadata;
        let namespace_ignored = self.settle_namespace(kind, &mut meta);
        let mut raw = root.to_json();
        name_namespace(&mut raw, &meta);
        let spec = content(kind, &mut root, &mut findings);
        let key = ObjectKey::new(kind, meta.namespace.as_str(), meta.name.as_str());

        findings.extend(namespace_ignored);
        // A value that does not fit was taken out of the tree and is told already; what follows from that is not.
        let mut broken = root.removed();
        broken.extend(
            findings
                .iter()
                .filter(|finding| finding.path == Path::root())
                .map(|finding| finding.path.clone()),
        );
        let checked = validate::object(&key, &meta, &spec);
        let follows =
            |path: &Path| broken.iter().any(|broken| broken.contains(path) || path.contains(broken));
        findings.extend(checked.into_iter().filter(|finding| !follows(&finding.path)));

        let refused =
            self.refusing || findings.iter().any(|finding| finding.code.severity() == crate::Severity::Error);
        self.tell(&key, &outline, findings);
        if meta.name.is_empty() {
            return;
        }
        self.replace_earlier(&key, at);
        if refused {
            return;
        }
        self.drafts.push(Draft { key, meta, spec, raw, outline });
    }

    /// The kind that an object states; none, and a problem, when it is not one of ours.
    fn kind(&mut self, root: &Node) -> Option<Kind> {
        let text = |key| root.get(key).and_then(|member| member.node.as_text());
        let (Some(version), Some(name)) = (text("apiVersion"), text("kind")) else {
            let missing: Vec<&str> =
                ["apiVersion", "kind"].into_iter().filter(|key| text(key).is_none()).collect();
            let at = root.get(missing[0]).map_or(root.position, |member| member.position);
            let verb = if missing.len() == 1 { "is" } else { "are" };
            let message = format!("`{}` {verb} missing", missing.join("` and `"));
            self.problem(
                Code::NotAnObject,
                at,
                message,
                "an object says `apiVersion`, `kind` and `metadata.name`",
            );
            return None;
        };
        let (version, name) = (version.to_owned(), name.to_owned());
        if let Some(kind) = Kind::of(&version, &name) {
            return Some(kind);
        }
        let at = |key| root.get(key).map_or(root.position, |member| member.node.position);
        let namesake = Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
        // Gateway API has kinds of the same names, which are other kinds.
        if let Some(kind) = namesake.filter(|_| !version.starts_with("gateway.networking.k8s.io/")) {
            let versions = kind.api_versions();
            let message = format!("the kind `{name}` is not known under `apiVersion: {version}`");
            let help = format!("write `apiVersion: {}`", versions[0]);
            self.problem(Code::UnknownApiVersion, at("apiVersion"), message, help);
            return None;
        }
        let message = format!("the kind `{name}` of `{version}` is not one that a mesh reads");
        let near = decode::nearest(&name, Kind::ALL.into_iter().map(Kind::as_str));
        let help = near.map_or_else(known_kinds, |near| format!("did you mean `{near}`?"));
        self.problem(Code::UnknownKind, at("kind"), message, help);
        None
    }

    /// Gives a namespaced object its namespace and takes it from one that has none.
    fn settle_namespace(&self, kind: Kind, meta: &mut ObjectMeta) -> Option<Finding> {
        if kind.namespaced() {
            if meta.namespace.is_empty() {
                meta.namespace = self.default_namespace.to_owned();
            }
            return None;
        }
        let namespace = std::mem::take(&mut meta.namespace);
        (!namespace.is_empty()).then(|| Finding {
            path: Path::parse("metadata.namespace"),
            code: Code::IgnoredNamespace,
            message: format!("a {kind} lives in no namespace; `{namespace}` is ignored"),
            help: "remove `namespace`".to_owned(),
        })
    }

    /// As with kubectl, the last of several objects with the same key counts.
    fn replace_earlier(&mut self, key: &ObjectKey, at: Position) {
        let Some(first) = self.lines.insert(key.clone(), at.line) else { return };
        self.drafts.retain(|draft| draft.key != *key);
        let message = format!("{key} is written in line {first} of this file already; only this one counts");
        self.problem(Code::DuplicateObject, at, message, "remove one of the two, or rename it");
    }

    fn tell(&mut self, key: &ObjectKey, outline: &Outline, findings: Vec<Finding>) {
        for Finding { path, code, message, help } in findings {
            let at = outline.position_of(&self.names, &path);
            self.problem(code, at, message, help);
            if let Some(problem) = self.problems.last_mut() {
                problem.object = (!key.name.is_empty()).then(|| key.clone());
                problem.path = path.to_string();
            }
        }
    }
}

/// The part of an object that all kinds have.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    metadata: ObjectMeta,
}

/// An object of one of Istio's kinds, without what all kinds have.
#[derive(Default, Deserialize)]
#[serde(default, bound = "T: Deserialize<'de> + Default")]
struct Body<T> {
    spec: T,
    /// Written by control planes; known, so that it is not reported.
    #[serde(rename = "status")]
    _status: IgnoredAny,
}

/// Members that are not a part of the content.
const HEAD: &[&str] = &["apiVersion", "kind", "metadata"];

fn read<T: DeserializeOwned + Default>(
    root: &mut Node,
    spelling: Spelling,
    part: Part,
    findings: &mut Vec<Finding>,
) -> T {
    let Decoded { value, findings: found } = decode::decode(root, spelling, part);
    findings.extend(found);
    value
}

/// Reads the content of an object.
fn content(kind: Kind, root: &mut Node, findings: &mut Vec<Finding>) -> Spec {
    fn istio<T: DeserializeOwned + Default>(root: &mut Node, findings: &mut Vec<Finding>) -> T {
        read::<Body<T>>(root, Spelling::Proto, Part::Except(HEAD), findings).spec
    }
    fn kubernetes<T: DeserializeOwned + Default>(root: &mut Node, findings: &mut Vec<Finding>) -> T {
        read(root, Spelling::Exact, Part::Except(HEAD), findings)
    }
    match kind {
        Kind::Namespace => Spec::Namespace(kubernetes(root, findings)),
        Kind::ServiceAccount => Spec::ServiceAccount(kubernetes(root, findings)),
        Kind::ConfigMap => Spec::ConfigMap(kubernetes(root, findings)),
        Kind::Secret => Spec::Secret(kubernetes(root, findings)),
        Kind::Service => Spec::Service(Box::new(kubernetes(root, findings))),
        Kind::Deployment => Spec::Deployment(Box::new(kubernetes(root, findings))),
        Kind::Pod => Spec::Pod(Box::new(kubernetes(root, findings))),
        Kind::Gateway => Spec::Gateway(istio(root, findings)),
        Kind::ServiceEntry => Spec::ServiceEntry(istio(root, findings)),
        Kind::VirtualService => Spec::VirtualService(istio(root, findings)),
        Kind::DestinationRule => Spec::DestinationRule(Box::new(istio(root, findings))),
        Kind::Sidecar => Spec::Sidecar(Box::new(istio(root, findings))),
        Kind::PeerAuthentication => Spec::PeerAuthentication(istio(root, findings)),
    }
}

/// Whether a document is a list of objects: `kind: List`, or `VirtualServiceList` and its like.
fn is_list(root: &Node) -> bool {
    let kind = root.get("kind").and_then(|member| member.node.as_text());
    kind.is_some_and(|kind| kind == "List" || (kind.ends_with("List") && root.get("items").is_some()))
}

/// Writes the namespace that an object got by default into its JSON form.
fn name_namespace(raw: &mut serde_json::Value, meta: &ObjectMeta) {
    if let Some(metadata) = raw.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
        if meta.namespace.is_empty() {
            metadata.remove("namespace");
        } else {
            metadata.insert("namespace".to_owned(), meta.namespace.clone().into());
        }
    }
}

fn known_kinds() -> String {
    let names: Vec<&str> = Kind::ALL.into_iter().map(Kind::as_str).collect();
    format!("known kinds are {}", names.join(", "))
}

#[cfg(test)]
mod tests;
