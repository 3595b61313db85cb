//! What a person who waits for a mesh is told.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// News from a mesh that comes up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Progress {
    /// The world stands; control socket and gateway door answer.
    World(Doors),
    /// How far the pods are.
    Pods {
        /// Pods that are ready.
        ready: usize,
        /// Pods that are wanted.
        wanted: usize,
    },
    /// Something to know; the mesh goes on.
    Notice(String),
    /// Every pod is ready for the first time.
    Ready(Doors),
}

/// Where the mesh is reached from the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doors {
    /// The ingress gateway's door.
    pub gateway: SocketAddr,
    /// Doors to further ports of the gateway: port of the Gateway server, and address on the host.
    pub others: Vec<(u16, SocketAddr)>,
}
