//! One type of resource on one stream: what the client asked for, what it is
//! known to hold, and the one reply that it has not answered yet.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::resource::{Named, Resource, content_version};
use crate::subscription::rejection::{Rejection, named_in};
use crate::subscription::server::Summary;
use crate::subscription::{Protocol, is_listed_in_full};
use crate::type_url::starts_as_wildcard;

/// The version of a reply after which something is still missing.
const PARTIAL: &str = "partial";

/// What to send next of this type.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Plan {
    pub(super) resources: Vec<Arc<Resource>>,
    pub(super) removed: Vec<String>,
    /// Names and versions after this plan, hashed; state of the world only.
    pub(super) version: String,
    /// To be sent even with nothing in it: the client waits for a first word.
    greets: bool,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        !self.greets && self.resources.is_empty() && self.removed.is_empty()
    }
}

/// The part of a delta request that changes the subscription.
pub(super) struct Request<'a> {
    pub(super) first: bool,
    pub(super) subscribe: &'a [String],
    pub(super) unsubscribe: &'a [String],
    pub(super) initial_versions: &'a BTreeMap<String, String>,
    pub(super) named: Option<&'a Named>,
}

/// What a nonce and an error said about the last reply.
pub(super) enum Answer {
    /// The request answers nothing.
    None,
    /// It answers a reply that is not the last one.
    Stale,
    /// The reply was refused, and no resource was named.
    Unnamed(String),
    /// Everything but `rejections` was taken.
    Taken { concluded: Vec<Arc<Resource>>, rejections: Vec<Rejection> },
}

/// What outlives the stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    good: BTreeMap<String, Arc<Resource>>,
    rejected: BTreeMap<String, Rejection>,
    held: BTreeMap<String, String>,
    /// The last reply was unanswered: the client may hold something else.
    uncertain: bool,
    owed: BTreeSet<String>,
}

#[derive(Debug)]
struct Unanswered {
    resources: Vec<Arc<Resource>>,
    removed: Vec<String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Subscription {
    protocol: Protocol,
    in_full: bool,
    may_start_as_wildcard: bool,
    wildcard: bool,
    names: BTreeSet<String>,
    was_named: bool,
    resumed: bool,
    /// Name to version, as the client acknowledged or told it.
    held: BTreeMap<String, String>,
    /// The last version that the client took of each resource.
    good: BTreeMap<String, Arc<Resource>>,
    rejected: BTreeMap<String, Rejection>,
    /// To be sent even when held.
    forced: BTreeSet<String>,
    /// To be sent alone, because a reply was refused and nothing named.
    singly: BTreeSet<String>,
    told_absent: BTreeSet<String>,
    /// What the client held on the earlier stream, and what it still waited for.
    held_before: BTreeMap<String, String>,
    uncertain: bool,
    owed: BTreeSet<String>,
    owes_greeting: bool,
    nonce: String,
    unanswered: Option<Unanswered>,
    sent: u64,
    acknowledged: u64,
    /// Nothing is due, and nothing happened since that was found.
    idle: Cell<bool>,
}

impl Subscription {
    pub(super) fn new(protocol: Protocol, type_url: &str, memory: Memory) -> Self {
        Self {
            protocol,
            in_full: protocol == Protocol::StateOfTheWorld && is_listed_in_full(type_url),
            may_start_as_wildcard: starts_as_wildcard(type_url),
            wildcard: false,
            names: BTreeSet::new(),
            was_named: false,
            resumed: false,
            held: BTreeMap::new(),
            good: memory.good,
            rejected: memory.rejected,
            forced: BTreeSet::new(),
            singly: BTreeSet::new(),
            told_absent: BTreeSet::new(),
            held_before: memory.held,
            uncertain: memory.uncertain,
            owed: memory.owed,
            owes_greeting: false,
            nonce: String::new(),
            unanswered: None,
            sent: 0,
            acknowledged: 0,
            idle: Cell::new(false),
        }
    }

    pub(super) fn into_memory(self, owed: BTreeSet<String>) -> Memory {
        let uncertain = self.unanswered.is_some();
        Memory { good: self.good, rejected: self.rejected, held: self.held, uncertain, owed }
    }

    pub(super) fn last_nonce(&self) -> &str {
        &self.nonce
    }

    /// Whether a reply is unanswered.
    pub(super) fn is_busy(&self) -> bool {
        self.unanswered.is_some()
    }

    /// Whether the client came with resources from an earlier stream.
    pub(super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    pub(super) fn is_forced(&self, name: &str) -> bool {
        self.forced.contains(name)
    }

    pub(super) fn holds(&self, resource: &Resource) -> bool {
        self.held.get(&resource.name) == Some(&resource.version)
    }

    pub(super) fn holds_name(&self, name: &str) -> bool {
        self.held.contains_key(name)
    }

    /// Sends `name` again, if the client asked for it.
    pub(super) fn force(&mut self, name: &str) {
        if self.wants(name) {
            self.forced.insert(name.to_owned());
            self.idle.set(false);
        }
    }

    /// Drops what was noted about resources that the target no longer has in
    /// that version.
    pub(super) fn forget_obsolete(&mut self, named: Option<&Arc<Named>>) {
        let version = |name: &str| named.and_then(|named| named.get(name)).map(|resource| &resource.version);
        self.rejected.retain(|name, rejection| version(name) == Some(&rejection.version));
        self.told_absent.retain(|name| version(name).is_none());
        self.idle.set(false);
    }

    /// The full list of names of a state-of-the-world request.
    pub(super) fn replace_names(&mut self, names: &[String]) {
        let wildcard = names.iter().any(|name| name == "*");
        let explicit: BTreeSet<String> = names.iter().filter(|name| *name != "*").cloned().collect();
        if names.is_empty() {
            self.wildcard = !self.was_named && self.may_start_as_wildcard;
        } else {
            self.was_named = true;
            self.wildcard = wildcard;
        }
        if explicit == self.names {
            return;
        }
        self.forced.extend(explicit.difference(&self.names).cloned());
        self.names = explicit;
        self.forget_unwanted();
    }

    /// A client that comes back with the version of exactly the list it should
    /// hold, and is known to hold it, is sent nothing. Any other is sent
    /// everything: the version alone does not tell what became of a list that
    /// was refused in part, nor of names dropped and taken up again.
    pub(super) fn adopt_version(&mut self, version: &str, named: Option<&Named>) {
        self.resumed = !version.is_empty();
        self.owed.clear();
        self.owes_greeting = self.in_full;
        if !self.resumed || !self.in_full {
            return;
        }
        self.held = std::mem::take(&mut self.held_before);
        if self.uncertain {
            self.held.values_mut().for_each(String::clear);
        }
        let wanted = || self.wanted(named).filter_map(|resource| self.effective(resource));
        let holds_all = !self.uncertain
            && wanted().all(|resource| self.holds(resource))
            && wanted().count() == self.held.len();
        self.owes_greeting = !holds_all || self.set_version(named) != version;
        self.forget_unwanted();
        if !self.owes_greeting {
            self.forced.clear();
        }
    }

    /// Notes resources that the client waits for, whatever it says it holds.
    pub(super) fn owe(&mut self, names: impl Iterator<Item = String>) {
        self.owed.extend(names);
    }

    /// The names of a delta request.
    pub(super) fn change_names(&mut self, request: &Request<'_>) {
        if request.first {
            self.start(request);
        }
        for name in request.unsubscribe {
            if name == "*" {
                self.wildcard = false;
            } else {
                self.names.remove(name);
            }
        }
        for name in request.subscribe {
            if name == "*" {
                self.wildcard = true;
                continue;
            }
            self.names.insert(name.clone());
            self.told_absent.remove(name);
            if !(request.first && self.held.contains_key(name)) {
                self.forced.insert(name.clone());
            }
        }
        if !request.subscribe.is_empty() || !request.unsubscribe.is_empty() || request.first {
            self.forget_unwanted();
        }
    }

    fn start(&mut self, request: &Request<'_>) {
        self.wildcard = request.subscribe.is_empty() && self.may_start_as_wildcard;
        self.resumed = !request.initial_versions.is_empty();
        self.held = request.initial_versions.clone();
        self.owes_greeting = self.wildcard && !self.resumed;
        for name in std::mem::take(&mut self.owed) {
            self.held.remove(&name);
        }
        for (name, version) in &self.held {
            let current = request.named.and_then(|named| named.get(name));
            if let Some(resource) = current.filter(|resource| resource.version == *version) {
                self.good.insert(name.clone(), Arc::clone(resource));
            }
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    fn forget_unwanted(&mut self) {
        let (wildcard, names) = (self.wildcard, &self.names);
        let wanted = |name: &String| wildcard || names.contains(name);
        self.held.retain(|name, _| wanted(name));
        self.forced.retain(&wanted);
        self.singly.retain(&wanted);
        self.told_absent.retain(&wanted);
        self.idle.set(false);
    }

    fn wanted<'a>(&'a self, named: Option<&'a Named>) -> Box<dyn Iterator<Item = &'a Arc<Resource>> + 'a> {
        match named {
            None => Box::new(std::iter::empty()),
            Some(named) if self.wildcard => Box::new(named.values()),
            Some(named) => Box::new(self.names.iter().filter_map(|name| named.get(name))),
        }
    }

    /// The target's resource, or in place of one that the client refused, the
    /// last one it took.
    fn effective<'a>(&'a self, resource: &'a Arc<Resource>) -> Option<&'a Arc<Resource>> {
        match self.rejected.get(&resource.name) {
            Some(rejection) if rejection.version == resource.version => self.good.get(&resource.name),
            _ => Some(resource),
        }
    }

    /// What is due, as far as it may be sent now.
    pub(super) fn plan(&self, named: Option<&Named>, may_add: bool, may_remove: bool) -> Plan {
        if self.idle.get() {
            return Plan::default();
        }
        let changed: Vec<Arc<Resource>> = self
            .wanted(named)
            .filter_map(|resource| self.effective(resource))
            .filter(|resource| !self.holds(resource) || self.forced.contains(&resource.name))
            .cloned()
            .collect();
        let removed = self.removals(named);
        if changed.is_empty() && removed.is_empty() && !self.owes_greeting {
            self.idle.set(true);
            return Plan::default();
        }
        let greets = self.owes_greeting && may_add;
        let due = changed.len();
        let changed = if may_add { self.single_out(changed) } else { Vec::new() };
        let removed = if may_remove { removed } else { Vec::new() };
        match self.protocol {
            Protocol::Delta => Plan { resources: changed, removed, version: String::new(), greets },
            Protocol::StateOfTheWorld if self.in_full => self.full_plan(named, &changed, removed, greets),
            // A reply that leaves something out must not claim the whole set.
            Protocol::StateOfTheWorld => Plan {
                version: if changed.len() == due { self.set_version(named) } else { PARTIAL.to_owned() },
                resources: changed,
                removed: Vec::new(),
                greets,
            },
        }
    }

    fn removals(&self, named: Option<&Named>) -> Vec<String> {
        let gone = |name: &&String| named.is_none_or(|named| !named.contains_key(*name));
        if self.protocol == Protocol::StateOfTheWorld && !self.in_full {
            return Vec::new();
        }
        let mut removed: Vec<String> = self.held.keys().filter(gone).cloned().collect();
        if self.protocol == Protocol::Delta {
            let untold = |name: &&String| !self.held.contains_key(*name) && !self.told_absent.contains(*name);
            removed.extend(self.names.iter().filter(gone).filter(untold).cloned());
        }
        removed
    }

    /// Whether the client asked for something of which it holds no version yet.
    pub(super) fn lacks_any(&self, named: Option<&Named>) -> bool {
        !self.idle.get()
            && self
                .wanted(named)
                .filter_map(|resource| self.effective(resource))
                .any(|resource| !self.holds_name(&resource.name))
    }

    /// Suspects travel alone, after everything else.
    fn single_out(&self, changed: Vec<Arc<Resource>>) -> Vec<Arc<Resource>> {
        if self.singly.is_empty() {
            return changed;
        }
        let (suspects, mut rest): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|resource| self.singly.contains(&resource.name));
        if rest.is_empty() {
            rest.extend(suspects.into_iter().next());
        }
        rest
    }

    /// Everything the client should hold after this reply, what may not be
    /// removed yet included.
    fn full_plan(
        &self,
        named: Option<&Named>,
        changed: &[Arc<Resource>],
        removed: Vec<String>,
        greets: bool,
    ) -> Plan {
        if changed.is_empty() && removed.is_empty() && !greets {
            return Plan::default();
        }
        let added: BTreeSet<&str> = changed.iter().map(|resource| resource.name.as_str()).collect();
        let mut resources: Vec<Arc<Resource>> = Vec::new();
        for resource in self.wanted(named).filter_map(|resource| self.effective(resource)) {
            if self.holds(resource) || added.contains(resource.name.as_str()) {
                resources.push(Arc::clone(resource));
            } else {
                resources.extend(self.good.get(&resource.name).cloned());
            }
        }
        let kept = self.held.keys().filter(|name| named.is_none_or(|named| !named.contains_key(*name)));
        let kept = kept.filter(|name| !removed.contains(name));
        resources.extend(kept.filter_map(|name| self.good.get(name).cloned()));
        resources.sort_by(|left, right| left.name.cmp(&right.name));
        let version = version_of(resources.iter());
        Plan { resources, removed, version, greets }
    }

    fn set_version(&self, named: Option<&Named>) -> String {
        version_of(self.wanted(named).filter_map(|resource| self.effective(resource)))
    }

    /// Notes that `plan` is on its way.
    pub(super) fn sent(&mut self, plan: Plan, nonce: String, generation: u64) {
        for resource in &plan.resources {
            self.forced.remove(&resource.name);
            self.told_absent.remove(&resource.name);
        }
        self.told_absent.extend(plan.removed.iter().filter(|name| self.names.contains(*name)).cloned());
        self.owes_greeting &= !plan.greets;
        self.nonce = nonce;
        self.sent = generation;
        self.unanswered = Some(Unanswered { resources: plan.resources, removed: plan.removed });
        self.idle.set(false);
    }

    /// Takes in what a request says about the last reply.
    pub(super) fn answer(&mut self, nonce: &str, error: Option<&str>) -> Answer {
        if nonce.is_empty() {
            return Answer::None;
        }
        if nonce != self.nonce {
            return Answer::Stale;
        }
        let Some(unanswered) = self.unanswered.take() else { return Answer::None };
        self.idle.set(false);
        self.acknowledged = self.sent;
        match error {
            None => self.take(unanswered, Vec::new()),
            Some(message) => self.refuse(unanswered, message),
        }
    }

    fn refuse(&mut self, unanswered: Unanswered, message: &str) -> Answer {
        let changed: Vec<&Arc<Resource>> =
            unanswered.resources.iter().filter(|resource| !self.holds(resource)).collect();
        let mut names = named_in(message, unanswered.resources.iter().map(|resource| resource.name.as_str()));
        if names.is_empty() && (changed.len() == 1 || self.in_full) {
            names = changed.iter().map(|resource| resource.name.as_str()).collect();
        } else if names.is_empty() && unanswered.resources.len() == 1 {
            names = unanswered.resources.iter().map(|resource| resource.name.as_str()).collect();
        }
        if names.is_empty() {
            self.singly.extend(unanswered.resources.iter().map(|resource| resource.name.clone()));
            self.forced.extend(self.singly.iter().cloned());
            return Answer::Unnamed(message.to_owned());
        }
        let rejections = unanswered
            .resources
            .iter()
            .filter(|resource| names.contains(&resource.name.as_str()))
            .map(|resource| Rejection {
                name: resource.name.clone(),
                version: resource.version.clone(),
                message: message.to_owned(),
            })
            .collect();
        self.take(unanswered, rejections)
    }

    fn take(&mut self, unanswered: Unanswered, rejections: Vec<Rejection>) -> Answer {
        for resource in &unanswered.resources {
            self.singly.remove(&resource.name);
            if !self.wants(&resource.name) {
                continue;
            }
            match rejections.iter().find(|rejection| rejection.name == resource.name) {
                Some(rejection) => {
                    // It may have been good for an earlier process of the client.
                    self.good
                        .retain(|name, good| *name != rejection.name || good.version != rejection.version);
                    self.rejected.insert(resource.name.clone(), rejection.clone());
                }
                None => {
                    self.held.insert(resource.name.clone(), resource.version.clone());
                    self.good.insert(resource.name.clone(), Arc::clone(resource));
                }
            }
        }
        for name in &unanswered.removed {
            self.held.remove(name);
            self.good.remove(name);
        }
        Answer::Taken { concluded: unanswered.resources, rejections }
    }

    /// The client holds everything of `generation`.
    pub(super) fn settled(&mut self, generation: u64) {
        self.sent = generation;
        self.acknowledged = generation;
    }

    pub(super) fn summary(&self, type_url: &str) -> Summary {
        let mut text = String::new();
        for (name, version) in &self.held {
            text.push_str(name);
            text.push('\0');
            text.push_str(version);
            text.push('\0');
        }
        Summary {
            type_url: type_url.to_owned(),
            held: self.held.len(),
            sent: self.sent,
            acknowledged: self.acknowledged,
            version: content_version(text.as_bytes()),
            rejections: self.rejected.values().cloned().collect(),
        }
    }
}

fn version_of<'a>(resources: impl Iterator<Item = &'a Arc<Resource>>) -> String {
    let mut text = String::new();
    for resource in resources {
        text.push_str(&resource.name);
        text.push('\0');
        text.push_str(&resource.version);
        text.push('\0');
    }
    content_version(text.as_bytes())
}
