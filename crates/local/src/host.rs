//! What supervisor and launcher say to each other.
//!
//! The supervisor lives in the world and reaches nothing outside; the launcher stayed outside and lends it sockets.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::progress::Progress;

/// From the world to the launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToHost {
    /// A question; the answer carries its number.
    Ask {
        /// Number of the question.
        number: u64,
        /// The question.
        question: Question,
    },
    /// News for the person who waits.
    Progress(Progress),
    /// The world could not be built.
    Failed(Failure),
}

/// What the world needs from outside.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    /// A connection to an address outside; the socket comes with the answer.
    Dial(SocketAddr),
    /// The addresses of a name, as the host knows it.
    Resolve(String),
    /// A listening socket on the host, at this address or, when that is taken, at any free port of it.
    Listen(SocketAddr),
    /// The host's numbers of these processes of the world.
    HostPids(Vec<u32>),
}

/// From the launcher to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromHost {
    /// The answer to a question.
    Answer {
        /// Number of the question.
        number: u64,
        /// The answer, or why there is none.
        answer: Result<Answer, String>,
    },
    /// End the mesh in order.
    Stop,
}

/// What the launcher found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// A connected socket comes along.
    Dialed,
    /// The addresses.
    Addresses(Vec<IpAddr>),
    /// A listening socket comes along; this is its address.
    Listening(SocketAddr),
    /// Host numbers by the world's numbers.
    Pids(BTreeMap<u32, u32>),
}
