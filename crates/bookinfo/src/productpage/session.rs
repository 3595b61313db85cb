//! Who is signed in: the user's name in a signed cookie.
//!
//! Any password is good, as in the original; the signature only keeps a page
//! from believing a name that no sign-in gave it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, header};
use sha2::Sha256;

const COOKIE: &str = "session";

/// Signs the demo's cookies.  Fixed, so that every replica of the page reads
/// the others' sessions; the demo guards nothing.
const KEY: &[u8] = b"bookinfo's sessions are a demonstration";

/// The signed-in user's name, if the request carries a good session cookie.
pub(crate) fn user_of(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .find_map(verified)
        .filter(|user| !user.is_empty())
}

/// The `Set-Cookie` value that signs `user` in.
pub(crate) fn signing_in(user: &str) -> String {
    let name = URL_SAFE_NO_PAD.encode(user);
    let signature = URL_SAFE_NO_PAD.encode(mac(user).finalize().into_bytes());
    format!("{COOKIE}={name}.{signature}; HttpOnly; Path=/; SameSite=Lax")
}

/// The `Set-Cookie` value that signs out.
pub(crate) fn signing_out() -> String {
    format!("{COOKIE}=; HttpOnly; Path=/; Max-Age=0; SameSite=Lax")
}

fn verified(cookie: &str) -> Option<String> {
    let (name, signature) = cookie.split_once('.')?;
    let user = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
    mac(&user).verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    Some(user)
}

fn mac(user: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("HMAC takes a key of any length");
    mac.update(user.as_bytes());
    mac
}
