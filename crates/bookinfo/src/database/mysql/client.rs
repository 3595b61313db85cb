//! Asks a MySQL server for the ratings, on a connection of its own.

use std::io;

use tokio::net::TcpStream;

use super::packet::{EOF, ERR, Fields, OK, Packets, put_text};
use super::{
    CLIENT_CONNECT_WITH_DB, CLIENT_LONG_PASSWORD, CLIENT_PLUGIN_AUTH, CLIENT_PROTOCOL_41,
    CLIENT_SECURE_CONNECTION, NATIVE_PASSWORD, NONCE, proof,
};
use crate::database::{DatabaseError, malformed};

const DATABASE: &str = "test";
const QUERY: &str = "SELECT Rating FROM ratings";
const COM_QUERY: u8 = 0x03;
const COM_QUIT: u8 = 0x01;
const UTF8: u8 = 33;
const LONGEST_PACKET: u32 = 1 << 20;

/// Where the database is and who asks.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// The ratings in the table's order; one that is NULL is 0.
pub(crate) async fn ratings(account: &Account) -> Result<Vec<i64>, DatabaseError> {
    let connect = |error: io::Error| DatabaseError::Connect(error.to_string());
    let stream = TcpStream::connect(&account.address).await.map_err(connect)?;
    let mut packets = Packets::new(stream);
    sign_in(&mut packets, account).await.map_err(connect)?;
    let ratings = query(&mut packets).await.map_err(|error| DatabaseError::Read(error.to_string()))?;
    packets.restart();
    // The answer is here: whether the farewell arrives changes nothing.
    let _ = packets.write(&[COM_QUIT]).await;
    Ok(ratings)
}

async fn sign_in(packets: &mut Packets<TcpStream>, account: &Account) -> io::Result<()> {
    let greeting = next(packets).await?;
    let nonce = nonce_of(&greeting)?;
    let capabilities = CLIENT_LONG_PASSWORD
        | CLIENT_CONNECT_WITH_DB
        | CLIENT_PROTOCOL_41
        | CLIENT_SECURE_CONNECTION
        | CLIENT_PLUGIN_AUTH;
    let mut body = capabilities.to_le_bytes().to_vec();
    body.extend(LONGEST_PACKET.to_le_bytes());
    body.push(UTF8);
    body.extend([0; 23]);
    put_text(&mut body, &account.user);
    let proof_sent = proof(&account.password, &nonce);
    body.push(proof_sent.len() as u8);
    body.extend(proof_sent);
    put_text(&mut body, DATABASE);
    put_text(&mut body, NATIVE_PASSWORD);
    packets.write(&body).await?;

    let mut answer = next(packets).await?;
    if answer.first() == Some(&EOF) {
        let mut fields = Fields(&answer[1..]);
        let plugin = fields.text()?;
        if plugin != NATIVE_PASSWORD {
            return Err(malformed(&format!("the server wants `{plugin}`, known is `{NATIVE_PASSWORD}`")));
        }
        let again = proof(&account.password, fields.bytes(NONCE)?);
        packets.write(&again).await?;
        answer = next(packets).await?;
    }
    match answer.first() {
        Some(&OK) => Ok(()),
        _ => Err(malformed("the server asks for something that is not known here")),
    }
}

/// What the server drew, in two pieces of its greeting.
fn nonce_of(greeting: &[u8]) -> io::Result<Vec<u8>> {
    let mut fields = Fields(greeting);
    if fields.byte()? != 10 {
        return Err(malformed("the server does not speak version 10 of the protocol"));
    }
    fields.text()?;
    fields.u32()?;
    let mut nonce = fields.bytes(8)?.to_vec();
    // A filler, capabilities, character set, status, a length, and what is reserved.
    fields.bytes(1 + 2 + 1 + 2 + 2 + 1 + 10)?;
    nonce.extend_from_slice(fields.bytes(NONCE - 8)?);
    Ok(nonce)
}

async fn query(packets: &mut Packets<TcpStream>) -> io::Result<Vec<i64>> {
    packets.restart();
    let mut command = vec![COM_QUERY];
    command.extend_from_slice(QUERY.as_bytes());
    packets.write(&command).await?;
    let columns = Fields(&next(packets).await?).byte()?;
    for _ in 0..columns {
        next(packets).await?;
    }
    next(packets).await?;
    let mut ratings = Vec::new();
    loop {
        let row = next(packets).await?;
        if row.first() == Some(&EOF) && row.len() < 9 {
            return Ok(ratings);
        }
        let rating = Fields(&row).counted_text()?.unwrap_or("0");
        ratings.push(rating.parse().map_err(|_| malformed("a rating is not a number"))?);
    }
}

/// The next packet; what refuses becomes an error with the server's words.
async fn next(packets: &mut Packets<TcpStream>) -> io::Result<Vec<u8>> {
    let packet = packets.read().await?.ok_or_else(|| malformed("the server hung up"))?;
    match packet.split_first() {
        Some((&ERR, rest)) => {
            let words = rest.get(8..).unwrap_or_default();
            Err(malformed(&format!("the server refused: {}", String::from_utf8_lossy(words))))
        }
        _ => Ok(packet),
    }
}
