//! Why there is no connection, in words that tell what to mend.

use std::time::{Duration, UNIX_EPOCH};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};
use rustls_pki_types::UnixTime;

/// The peer closed the socket without saying so inside TLS first: what it
/// sent may not be all.
pub const TRUNCATED: &str = "TLS error: the peer closed the connection without ending TLS";

/// Envoy's words for secrets that have not come.
pub const NO_SECRET: &str = "TLS error: Secret is not supplied by SDS";

/// An error of rustls.
pub fn words(error: &Error) -> String {
    format!("TLS error: {}", reason(error))
}

fn reason(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(fault) => certificate(fault),
        Error::NoCertificatesPresented => "the peer shows no certificate".to_owned(),
        Error::AlertReceived(alert) => told(*alert),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "the peer does not speak TLS".to_owned(),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "no cipher suite in common".to_owned()
        }
        Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon) => {
            "no key exchange in common".to_owned()
        }
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic,
        ) => "no version of TLS in common".to_owned(),
        Error::DecryptError => "a record cannot be decrypted".to_owned(),
        other => other.to_string(),
    }
}

fn certificate(fault: &CertificateError) -> String {
    match fault {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the peer's certificate expired at {}", moment(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the peer's certificate is not valid before {}", moment(*not_before))
        }
        CertificateError::UnknownIssuer => "the peer's certificate is signed by an unknown CA".to_owned(),
        CertificateError::Revoked => "the peer's certificate is revoked".to_owned(),
        CertificateError::UnknownRevocationStatus => {
            "nothing says whether the peer's certificate is revoked".to_owned()
        }
        CertificateError::ExpiredRevocationListContext { next_update, .. } => {
            format!("the revocation list expired at {}", moment(*next_update))
        }
        CertificateError::BadSignature => "the peer's certificate is not signed by whom it names".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the peer's certificate is not for this use (extended key usage)".to_owned()
        }
        CertificateError::BadEncoding => "the peer's certificate cannot be read".to_owned(),
        CertificateError::Other(other) => other.0.to_string(),
        other => other.to_string(),
    }
}

/// What the peer says is wrong with us.
fn told(alert: AlertDescription) -> String {
    let meaning = match alert {
        AlertDescription::CertificateRequired => "it wants a certificate from us",
        AlertDescription::HandshakeFailure => "it cannot agree with us on algorithms or wants a certificate",
        AlertDescription::BadCertificate => "it does not take our certificate",
        AlertDescription::CertificateExpired => "our certificate has expired",
        AlertDescription::CertificateRevoked => "our certificate is revoked",
        AlertDescription::CertificateUnknown => "it does not take our certificate",
        AlertDescription::UnknownCA => "it does not know who signed our certificate",
        AlertDescription::AccessDenied => "it does not let us in",
        AlertDescription::ProtocolVersion => "it speaks another version of TLS",
        AlertDescription::UnrecognisedName => "it does not know the server name",
        AlertDescription::NoApplicationProtocol => "it speaks no application protocol of ours",
        AlertDescription::InternalError => "it has an error of its own",
        _ => return format!("the peer sent the alert {alert:?}"),
    };
    format!("the peer refused: {meaning} ({alert:?})")
}

fn moment(time: UnixTime) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs())).unwrap_or(UNIX_EPOCH);
    jiff::Timestamp::try_from(time).unwrap_or_default().to_string()
}

/// What a peer said in place of TLS.
pub fn plain_words(first: &[u8]) -> Option<&'static str> {
    let is_settings = first.len() >= 4 && first[0] == 0 && first[3] == 4;
    if first.starts_with(b"HTTP/") {
        Some("HTTP")
    } else if is_settings || first.starts_with(b"PRI * HTTP/2") {
        Some("HTTP/2")
    } else if first.first().is_some_and(|byte| byte.is_ascii_uppercase())
        && first.iter().take_while(|byte| byte.is_ascii_uppercase()).count() < first.len()
        && first.contains(&b' ')
    {
        Some("HTTP")
    } else if first.first().is_some_and(|byte| !(20..=24).contains(byte)) {
        Some("something else")
    } else {
        None
    }
}
