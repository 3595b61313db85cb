//! A MySQL server with the one table.

use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};

use super::packet::{EOF, ERR, Fields, OK, Packets, put_counted, put_text};
use super::statement::{Column, Statement};
use super::{
    CLIENT_CONNECT_WITH_DB, CLIENT_LONG_PASSWORD, CLIENT_PLUGIN_AUTH, CLIENT_PROTOCOL_41,
    CLIENT_SECURE_CONNECTION, NATIVE_PASSWORD, NONCE, proof,
};
use crate::database::{STARS, malformed};
use crate::server::Session;

const VERSION: &str = "8.0.0-bookinfo";
const UTF8: u8 = 33;
const AUTOCOMMIT: [u8; 2] = [2, 0];
/// The type of all columns: a 32-bit number.
const LONG: u8 = 3;

const COM_QUIT: u8 = 0x01;
const COM_INIT_DB: u8 = 0x02;
const COM_QUERY: u8 = 0x03;
const COM_PING: u8 = 0x0e;

/// The database: one user, one table.
pub(crate) struct Database {
    user: String,
    password: String,
    rows: Mutex<Vec<(i64, i64)>>,
}

/// A refusal: MySQL's number, SQL state, and words.
struct Refused(u16, &'static str, String);

impl Database {
    pub(crate) fn new(user: &str, password: &str) -> Self {
        let rows = (1..).zip(STARS).collect();
        Self { user: user.to_owned(), password: password.to_owned(), rows: Mutex::new(rows) }
    }

    async fn greet<S: AsyncRead + AsyncWrite + Unpin>(&self, packets: &mut Packets<S>) -> io::Result<bool> {
        let nonce: [u8; NONCE] = std::array::from_fn(|_| fastrand::u8(1..=127));
        packets.write(&greeting(&nonce)).await?;
        let Some(answer) = packets.read().await? else { return Ok(false) };
        let (user, mut given, plugin) = credentials(&answer)?;
        if plugin.as_deref().is_some_and(|plugin| plugin != NATIVE_PASSWORD) {
            let mut other = vec![EOF];
            put_text(&mut other, NATIVE_PASSWORD);
            other.extend(nonce);
            other.push(0);
            packets.write(&other).await?;
            let Some(answer) = packets.read().await? else { return Ok(false) };
            given = answer;
        }
        if user != self.user || given != proof(&self.password, &nonce) {
            let words = format!("Access denied for user '{user}'");
            packets.write(&refusal(&Refused(1045, "28000", words))).await?;
            return Ok(false);
        }
        packets.write(&accepted(0)).await?;
        Ok(true)
    }

    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        packets: &mut Packets<S>,
        text: &str,
    ) -> io::Result<()> {
        match Statement::parse(text) {
            Some(Statement::Select(columns)) => self.select(packets, &columns).await,
            Some(Statement::Update { rating, review }) => {
                packets.write(&accepted(self.update(rating, review))).await
            }
            Some(Statement::Session) => packets.write(&accepted(0)).await,
            None => {
                let words = format!(
                    "this small database understands SELECT from and UPDATE of table ratings, not `{text}`"
                );
                packets.write(&refusal(&Refused(1064, "42000", words))).await
            }
        }
    }

    async fn select<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        packets: &mut Packets<S>,
        columns: &[Column],
    ) -> io::Result<()> {
        packets.write(&[columns.len() as u8]).await?;
        for column in columns {
            packets.write(&definition(*column)).await?;
        }
        packets.write(&end()).await?;
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (review, rating) in rows {
            let mut body = Vec::new();
            for column in columns {
                let value = match column {
                    Column::ReviewId => review,
                    Column::Rating => rating,
                };
                put_counted(&mut body, &value.to_string());
            }
            packets.write(&body).await?;
        }
        packets.write(&end()).await
    }

    /// How many rows there were to change.
    fn update(&self, rating: i64, review: Option<i64>) -> u8 {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let meant = rows.iter_mut().filter(|row| review.is_none_or(|review| row.0 == review));
        meant.map(|row| row.1 = rating).count() as u8
    }
}

impl Session for Database {
    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(&self, stream: S) -> io::Result<()> {
        let mut packets = Packets::new(stream);
        if !self.greet(&mut packets).await? {
            return Ok(());
        }
        loop {
            packets.restart();
            let Some(command) = packets.read().await? else { return Ok(()) };
            match command.split_first() {
                Some((&COM_QUERY, text)) => {
                    self.answer(&mut packets, &String::from_utf8_lossy(text)).await?;
                }
                Some((&(COM_PING | COM_INIT_DB), _)) => packets.write(&accepted(0)).await?,
                Some((&COM_QUIT, _)) | None => return Ok(()),
                Some((other, _)) => {
                    let words = format!("command {other} is not known here");
                    packets.write(&refusal(&Refused(1047, "08S01", words))).await?;
                }
            }
        }
    }
}

fn greeting(nonce: &[u8; NONCE]) -> Vec<u8> {
    let capabilities = CLIENT_LONG_PASSWORD
        | CLIENT_CONNECT_WITH_DB
        | CLIENT_PROTOCOL_41
        | CLIENT_SECURE_CONNECTION
        | CLIENT_PLUGIN_AUTH;
    let [low, next, upper, top] = capabilities.to_le_bytes();
    let mut body = vec![10];
    put_text(&mut body, VERSION);
    body.extend(1u32.to_le_bytes());
    body.extend(&nonce[..8]);
    body.extend([0, low, next, UTF8]);
    body.extend(AUTOCOMMIT);
    body.extend([upper, top, NONCE as u8 + 1]);
    body.extend([0; 10]);
    body.extend(&nonce[8..]);
    body.push(0);
    put_text(&mut body, NATIVE_PASSWORD);
    body
}

/// User, proof and the way it was made, as the client sent them.
fn credentials(answer: &[u8]) -> io::Result<(String, Vec<u8>, Option<String>)> {
    let mut fields = Fields(answer);
    let capabilities = fields.u32()?;
    if capabilities & CLIENT_PROTOCOL_41 == 0 || capabilities & CLIENT_SECURE_CONNECTION == 0 {
        return Err(malformed("a client older than MySQL 4.1"));
    }
    fields.bytes(4 + 1 + 23)?;
    let user = fields.text()?.to_owned();
    let length = usize::from(fields.byte()?);
    let given = fields.bytes(length)?.to_vec();
    if capabilities & CLIENT_CONNECT_WITH_DB != 0 {
        fields.text()?;
    }
    let plugin = match capabilities & CLIENT_PLUGIN_AUTH {
        0 => None,
        _ => Some(fields.text()?.to_owned()),
    };
    Ok((user, given, plugin))
}

fn definition(column: Column) -> Vec<u8> {
    let mut body = Vec::new();
    for text in ["def", "test", "ratings", "ratings", column.name(), column.name()] {
        put_counted(&mut body, text);
    }
    body.extend([12, UTF8, 0, 11, 0, 0, 0, LONG, 0, 0, 0, 0, 0]);
    body
}

fn accepted(rows: u8) -> Vec<u8> {
    vec![OK, rows, 0, AUTOCOMMIT[0], AUTOCOMMIT[1], 0, 0]
}

fn end() -> Vec<u8> {
    vec![EOF, 0, 0, AUTOCOMMIT[0], AUTOCOMMIT[1]]
}

fn refusal(Refused(number, state, words): &Refused) -> Vec<u8> {
    let [low, high] = number.to_le_bytes();
    let mut body = vec![ERR, low, high, b'#'];
    body.extend_from_slice(state.as_bytes());
    body.extend_from_slice(words.as_bytes());
    body
}
