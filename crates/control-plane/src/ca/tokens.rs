//! Tokens that prove, once and soon, who their bearer is.
//!
//! They are made by the program that starts a workload, which hands them over
//! by a descriptor.  Only their hashes are kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::SpiffeId;
use identity::spiffe::NotAnIdentity;
use zeroize::{Zeroize as _, Zeroizing};

/// How long a token is worth anything.
pub(super) const LIFETIME: Duration = Duration::from_secs(60);

/// Most tokens that are out at a time: who makes more is not a workload.
const MOST: usize = 100_000;

/// A token; it is wiped when it is dropped, and is not shown.
pub struct Token(Zeroizing<String>);

impl Token {
    /// As it is handed over.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why there is no token, or why it proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Never made, or used before.
    #[error("the token is unknown, or was used before")]
    Unknown,
    /// Too late.
    #[error("the token has expired")]
    Expired,
    /// For nobody.
    #[error("a token is for a workload")]
    Identity(#[from] NotAnIdentity),
    /// The operating system gave no random numbers.
    #[error("draw random numbers")]
    Random,
    /// Too many are out.
    #[error("too many tokens are waiting to be used")]
    TooMany,
}

/// The tokens that are out, by hash.
#[derive(Default)]
pub(super) struct Tokens {
    out: Mutex<HashMap<[u8; 32], (SpiffeId, SystemTime)>>,
}

impl Tokens {
    /// Makes a token.
    pub(super) fn mint(&self, identity: SpiffeId, now: SystemTime) -> Result<Token, TokenError> {
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| TokenError::Random)?;
        let mut text = Zeroizing::new(String::with_capacity(64));
        URL_SAFE_NO_PAD.encode_string(random, &mut text);
        random.zeroize();
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.retain(|_, (_, until)| now <= *until);
        if out.len() >= MOST {
            return Err(TokenError::TooMany);
        }
        out.insert(hash(&text), (identity, now + LIFETIME));
        Ok(Token(text))
    }

    /// Takes a token back.
    pub(super) fn redeem(&self, token: &str, now: SystemTime) -> Result<SpiffeId, TokenError> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let (identity, until) = out.remove(&hash(token)).ok_or(TokenError::Unknown)?;
        if now > until { Err(TokenError::Expired) } else { Ok(identity) }
    }
}

/// Whoever can measure how long a lookup takes learns of a hash, not of a token.
fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}
