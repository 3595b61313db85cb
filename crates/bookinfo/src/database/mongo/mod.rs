//! MongoDB: collection `ratings` of database `test`, field `rating`.
//!
//! Source: MongoDB's wire protocol, OP_MSG, with the old OP_QUERY for the first
//! question of a driver; BSON 1.1.

mod bson;
pub(crate) mod client;
mod message;
pub(crate) mod server;
#[cfg(test)]
mod tests;
