//! The cluster's DNS: what names mean, answers, and the server.

pub(crate) mod answer;
pub(crate) mod server;
pub(crate) mod table;
