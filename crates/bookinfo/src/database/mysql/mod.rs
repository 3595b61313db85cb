//! MySQL: table `ratings` of database `test`, columns `ReviewID` and `Rating`.
//!
//! Source: MySQL's client/server protocol, version 10 of the handshake, with
//! `mysql_native_password`; the server speaks first.

pub(crate) mod client;
mod packet;
pub(crate) mod server;
mod statement;
#[cfg(test)]
mod tests;

use sha1::{Digest as _, Sha1};

/// The way to prove a password that both ends know.
const NATIVE_PASSWORD: &str = "mysql_native_password";

/// Length of what the server draws for each connection.
const NONCE: usize = 20;

const CLIENT_LONG_PASSWORD: u32 = 0x1;
const CLIENT_CONNECT_WITH_DB: u32 = 0x8;
const CLIENT_PROTOCOL_41: u32 = 0x200;
const CLIENT_SECURE_CONNECTION: u32 = 0x8000;
const CLIENT_PLUGIN_AUTH: u32 = 0x8_0000;

/// What proves a password without sending it; empty for an empty password.
fn proof(password: &str, nonce: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = Sha1::digest(password.as_bytes());
    let twice = Sha1::digest(once);
    let mask = Sha1::new().chain_update(nonce).chain_update(twice).finalize();
    once.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
}
