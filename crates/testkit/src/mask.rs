//! In what our proxy and stock Envoy may differ: the one list, with a reason
//! for each.  Anything that is not here is a fault of one of them.

/// A place where answers may differ.
#[derive(Debug, Clone, Copy)]
pub struct Allowed {
    /// Where: a path in what is compared, `*` for any one step.
    pub at: &'static str,
    /// What is still compared.
    pub still: Still,
    /// Why.
    pub reason: &'static str,
}

/// What is still compared of a value that may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Still {
    /// Nothing.
    Nothing,
    /// Whether there is one.
    Presence,
    /// An address without its port.
    Host,
    /// That it ended, if not how.
    Ended,
}

/// Every difference that is allowed.
pub const ALLOWED: &[Allowed] = &[
    Allowed {
        at: "client/end",
        still: Still::Ended,
        reason: "the kernel resets a connection that is closed before all was read, which is a matter of moments",
    },
    Allowed {
        at: "broken time",
        still: Still::Nothing,
        reason: "Envoy keeps a connection that it gives up for a second, so that the client may read; we close after what was written",
    },
    Allowed { at: "client/headers/date", still: Still::Presence, reason: "the time" },
    Allowed {
        at: "client/headers/x-envoy-upstream-service-time",
        still: Still::Presence,
        reason: "a duration",
    },
    Allowed { at: "backend/*/headers/x-request-id", still: Still::Presence, reason: "drawn at random" },
    Allowed {
        at: "backend/*/headers/x-envoy-expected-rq-timeout-ms",
        still: Still::Presence,
        reason: "a duration",
    },
    Allowed {
        at: "backend/*/headers/x-envoy-peer-metadata",
        still: Still::Nothing,
        reason: "stock Envoy tells nobody whom it serves",
    },
    Allowed {
        at: "backend/*/headers/x-envoy-peer-metadata-id",
        still: Still::Nothing,
        reason: "stock Envoy tells nobody whom it serves",
    },
    Allowed {
        at: "client/headers/x-envoy-peer-metadata",
        still: Still::Nothing,
        reason: "stock Envoy tells nobody whom it serves",
    },
    Allowed {
        at: "client/headers/x-envoy-peer-metadata-id",
        still: Still::Nothing,
        reason: "stock Envoy tells nobody whom it serves",
    },
    Allowed { at: "log/request id", still: Still::Presence, reason: "drawn at random" },
    Allowed {
        at: "log/duration",
        still: Still::Presence,
        reason: "a duration; compared as a whole, with tolerance",
    },
    Allowed { at: "log/service time", still: Still::Presence, reason: "a duration" },
    Allowed { at: "log/upstream local", still: Still::Host, reason: "the kernel chooses the port" },
    Allowed { at: "log/remote", still: Still::Host, reason: "the kernel chooses the port" },
];

/// What is compared at a path; none when all of the value is.
pub fn at(path: &[String]) -> Option<&'static Allowed> {
    ALLOWED.iter().find(|allowed| {
        let mut steps = allowed.at.split('/');
        path.iter().all(|step| steps.next().is_some_and(|wanted| wanted == "*" || wanted == step))
            && steps.next().is_none()
    })
}
