//! `istio.v1.auth.IstioCertificateService`: certificates for callers who show
//! a certificate or a token.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use identity::{SpiffeId, pem};
use prost_types::value::Kind;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;
use xds::istio::auth::{IstioCertificateRequest, IstioCertificateResponse};

use crate::ca::{Ca, CaError, Grant, telling};
use crate::secured::Peer;

const CREATE: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

/// Largest request that is read.
const LARGEST: usize = 64 << 10;

/// The service.
#[derive(Clone)]
pub(crate) struct Certificates {
    pub(crate) ca: Arc<Ca>,
}

impl NamedService for Certificates {
    const NAME: &'static str = "istio.v1.auth.IstioCertificateService";
}

impl Service<http::Request<Body>> for Certificates {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let create = Create(Arc::clone(&self.ca));
        Box::pin(async move {
            Ok(match request.uri().path() {
                CREATE => {
                    let codec = ProstCodec::<IstioCertificateResponse, IstioCertificateRequest>::default();
                    Grpc::new(codec).max_decoding_message_size(LARGEST).unary(create, request).await
                }
                other => Status::unimplemented(format!("`{other}` is not served here")).into_http(),
            })
        })
    }
}

struct Create(Arc<Ca>);

impl UnaryService<IstioCertificateRequest> for Create {
    type Response = IstioCertificateResponse;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Self::Response>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<IstioCertificateRequest>) -> Self::Future {
        let answer = create(&self.0, &request, SystemTime::now());
        Box::pin(std::future::ready(answer.map(Response::new)))
    }
}

/// Signs for the caller, whoever the request says that he is.
fn create(
    ca: &Ca,
    request: &tonic::Request<IstioCertificateRequest>,
    now: SystemTime,
) -> Result<IstioCertificateResponse, Status> {
    let identity = authenticate(ca, request, now)?;
    let asked = request.get_ref();
    refuse_impersonation(asked, &identity)?;
    let lifetime = u64::try_from(asked.validity_duration).ok().filter(|seconds| *seconds > 0);
    let grant = ca
        .issue(&asked.csr, &identity, lifetime.map(Duration::from_secs), now)
        .map_err(|error| status(&identity, &error))?;
    tracing::info!(%identity, "certificate issued");
    Ok(answer(&grant))
}

/// By the certificate of the connection, else by a token.
fn authenticate(
    ca: &Ca,
    request: &tonic::Request<IstioCertificateRequest>,
    now: SystemTime,
) -> Result<SpiffeId, Status> {
    if let Some(Peer { identity: Some(identity) }) = request.extensions().get::<Peer>() {
        return Ok(identity.clone());
    }
    let token = request
        .metadata()
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = token else {
        ca.count_unauthenticated();
        return Err(Status::unauthenticated("show a client certificate, or a token: neither was sent"));
    };
    ca.redeem_token(token, now).map_err(|error| Status::unauthenticated(error.to_string()))
}

/// Istio's node proxies may ask for others; here nobody may.
fn refuse_impersonation(asked: &IstioCertificateRequest, identity: &SpiffeId) -> Result<(), Status> {
    let fields = asked.metadata.as_ref().map(|metadata| &metadata.fields);
    let wanted = fields.and_then(|fields| fields.get("ImpersonatedIdentity")?.kind.as_ref());
    match wanted {
        None | Some(Kind::NullValue(_)) => Ok(()),
        Some(Kind::StringValue(text)) if text.is_empty() || *text == identity.to_string() => Ok(()),
        Some(_) => Err(Status::permission_denied(format!("`{identity}` may ask for itself alone"))),
    }
}

fn status(identity: &SpiffeId, error: &CaError) -> Status {
    let text = telling(error);
    match error {
        CaError::Request(_) => Status::invalid_argument(text),
        _ => {
            tracing::error!(%identity, "no certificate was issued: {text}");
            // The caller tries again; why is for the log.
            Status::unavailable("the certificate could not be signed")
        }
    }
}

/// The leaf, what leads to a root, and in the last place whom to believe.
fn answer(grant: &Grant) -> IstioCertificateResponse {
    let chain = grant.issued.chain.iter().map(|certificate| pem::of_certificates([certificate]));
    IstioCertificateResponse { cert_chain: chain.chain([grant.bundle.to_pem()]).collect() }
}

#[cfg(test)]
mod tests;
