//! What the kubelet's part asks of a pod process, and what it hears from it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::container::plan::Process;

/// A pod, resolved: nothing in it refers to another object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PodPlan {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// Host name.
    pub(crate) hostname: String,
    /// Address.
    pub(crate) address: Ipv4Addr,
    /// Directory of the containers' logs.
    pub(crate) logs: PathBuf,
    /// Containers that run before all others.
    pub(crate) init_containers: Vec<ContainerPlan>,
    /// Containers.
    pub(crate) containers: Vec<ContainerPlan>,
    /// When containers are started again.
    pub(crate) restart: Restart,
    /// How often each container was started before this pod process, after an earlier one was lost.
    pub(crate) earlier_restarts: BTreeMap<String, u32>,
}

/// When an ended container is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Restart {
    /// Whenever it ends.
    Always,
    /// When it ends with an error.
    OnFailure,
    /// Never.
    Never,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ContainerPlan {
    /// Name.
    pub(crate) name: String,
    /// What runs.
    pub(crate) process: Process,
    /// Whether an init container goes on beside the others.
    pub(crate) is_sidecar: bool,
    /// Restarts it when it fails.
    pub(crate) liveness: Option<ProbePlan>,
    /// Makes it ready.
    pub(crate) readiness: Option<ProbePlan>,
    /// Holds the other two back.
    pub(crate) startup: Option<ProbePlan>,
    /// Done right after the start.
    pub(crate) post_start: Option<Action>,
    /// Done before the end.
    pub(crate) pre_stop: Option<Action>,
}

/// Something done to a container, as a probe or as a hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Action {
    /// A request that succeeds with a status from 200 to 399.
    Http {
        /// Where to connect.
        host: String,
        /// The port.
        port: u16,
        /// The path.
        path: String,
        /// Headers.
        headers: Vec<(String, String)>,
    },
    /// A connection.
    Tcp {
        /// Where to connect.
        host: String,
        /// The port.
        port: u16,
    },
    /// A command in the container that succeeds with exit code 0.
    Exec(Vec<String>),
    /// A pause of this many seconds.
    Sleep(u64),
}

/// A probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProbePlan {
    /// What is done.
    pub(crate) action: Action,
    /// Seconds before the first.
    pub(crate) initial_delay: u32,
    /// Seconds between two.
    pub(crate) period: u32,
    /// Seconds to answer.
    pub(crate) timeout: u32,
    /// Successes in a row that count.
    pub(crate) successes: u32,
    /// Failures in a row that count.
    pub(crate) failures: u32,
    /// Seconds between SIGTERM and SIGKILL for a container that this probe ends.
    pub(crate) grace: Option<u64>,
}

/// To the pod process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToPod {
    /// Its link exists; do this.
    Run(Box<PodPlan>, Grace),
    /// End in order.
    Terminate(Grace),
    /// Run a command in a container; three descriptors for its standard streams come along.
    Exec {
        /// Number of the command.
        number: u64,
        /// The container.
        container: String,
        /// The command.
        command: Vec<String>,
    },
    /// End a command.
    Kill(u64),
}

/// How processes are asked to end before they are killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grace {
    /// Seconds between SIGTERM and SIGKILL.
    pub(crate) seconds: u64,
    /// How often SIGTERM is sent.
    pub(crate) manner: Manner,
}

/// How often a process is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Manner {
    /// Once, as in a cluster.
    Once,
    /// Again and again, so that one that drains for others learns that there are none.
    Insistently,
}

impl Grace {
    /// So many seconds, as in a cluster.
    pub(crate) const fn of(seconds: u64) -> Grace {
        Grace { seconds, manner: Manner::Once }
    }

    /// For pods that end with the whole mesh: nobody is left to be served, and their volumes end with them.
    pub(crate) const AT_THE_END: Grace = Grace { seconds: 1, manner: Manner::Insistently };
}

/// From the pod process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromPod {
    /// The namespaces exist; the network namespace's descriptor comes along.
    Namespaces,
    /// The pod cannot be run.
    Failed(crate::failure::Failure),
    /// How the containers are.
    Status(Vec<ContainerReport>),
    /// A command has ended.
    Executed {
        /// Number of the command.
        number: u64,
        /// Its exit code, or why it did not start.
        outcome: Result<i32, String>,
    },
    /// Every container has ended for good.
    Finished,
}

/// How a container is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ContainerReport {
    /// Its name.
    pub(crate) name: String,
    /// Whether it is an init container.
    pub(crate) is_init: bool,
    /// What it does.
    pub(crate) state: State,
    /// What it did before its last start.
    pub(crate) last_state: Option<Ended>,
    /// Whether it started: its hook is done and its startup probe passed.
    pub(crate) started: bool,
    /// Whether it is ready.
    pub(crate) ready: bool,
    /// How often it was started again.
    pub(crate) restarts: u32,
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum State {
    /// It waits to be started.
    Waiting {
        /// Why, in a word.
        reason: String,
        /// Why.
        message: String,
    },
    /// It runs.
    Running {
        /// Since when, in milliseconds since 1970.
        since: i64,
        /// Its process, as the world numbers it.
        pid: u32,
    },
    /// It ended.
    Terminated(Ended),
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Exit code; 128 plus the signal's number when a signal ended it.
    pub(crate) code: i32,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// Why, in a word.
    pub(crate) reason: String,
    /// More about it.
    pub(crate) message: String,
    /// When it started, in milliseconds since 1970.
    pub(crate) started: i64,
    /// When it ended, in milliseconds since 1970.
    pub(crate) finished: i64,
}
