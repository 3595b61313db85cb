//! The stream to the control plane: opened again and again, with a pause
//! that grows. What is said on it is decided elsewhere.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use tower_service::Service;
use xds::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

use crate::dial::dial;
use crate::start::XdsAddress;
use crate::telling::telling;

/// What happens on the stream.
#[derive(Debug)]
pub enum StreamEvent {
    /// A new stream: requests go here.
    Open(UnboundedSender<DeltaDiscoveryRequest>),
    /// The server says something.
    Response(Box<DeltaDiscoveryResponse>),
    /// The stream is gone.
    Closed,
}

const PATH: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/// The largest message that is accepted.
const MAX_MESSAGE: usize = 256 << 20;
/// The pause before the first new attempt, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A server that answers nothing for so long is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Why a stream ended or did not come about.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("connect to `{0:?}`")]
    Connect(XdsAddress, #[source] tonic::transport::Error),
    #[error("`{0}` is no address")]
    Address(String, #[source] tonic::transport::Error),
    #[error("the control plane ended the stream: {0}")]
    Status(Box<tonic::Status>),
    #[error("the control plane ended the stream")]
    Ended,
    #[error("the proxy is ending")]
    Unwanted,
}

/// Keeps a stream open for ever.
pub async fn keep_open(address: XdsAddress, tos: Option<u32>, events: UnboundedSender<StreamEvent>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut answered = false;
        let error = match stream(&address, tos, &events, &mut answered).await {
            Err(StreamError::Unwanted) => return,
            Err(error) => error,
            Ok(never) => match never {},
        };
        tracing::warn!("xDS: {}", telling(&error));
        if events.send(StreamEvent::Closed).is_err() {
            return;
        }
        if answered {
            pause = FIRST_PAUSE;
        }
        // A random part of the pause, so that proxies do not come all at once.
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn stream(
    address: &XdsAddress,
    tos: Option<u32>,
    events: &UnboundedSender<StreamEvent>,
    answered: &mut bool,
) -> Result<std::convert::Infallible, StreamError> {
    let channel = connect(address, tos).await?;
    let mut grpc = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
    grpc.ready().await.map_err(|error| StreamError::Connect(address.clone(), error))?;
    let (requests, received) = unbounded_channel();
    // The first requests must be on their way before the server answers at
    // all.
    events.send(StreamEvent::Open(requests)).map_err(|_| StreamError::Unwanted)?;
    let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
    let outgoing: UnboundedReceiver<_> = received;
    let request = tonic::Request::new(UnboundedReceiverStream::new(outgoing));
    let response = grpc
        .streaming(request, tonic::codegen::http::uri::PathAndQuery::from_static(PATH), codec)
        .await
        .map_err(|status| StreamError::Status(Box::new(status)))?;
    let mut incoming = response.into_inner();
    while let Some(message) = incoming.next().await {
        let message = message.map_err(|status| StreamError::Status(Box::new(status)))?;
        *answered = true;
        events.send(StreamEvent::Response(Box::new(message))).map_err(|_| StreamError::Unwanted)?;
    }
    Err(StreamError::Ended)
}

async fn connect(address: &XdsAddress, tos: Option<u32>) -> Result<Channel, StreamError> {
    let uri = match address {
        XdsAddress::Tcp(authority) => format!("http://{authority}"),
        XdsAddress::Unix(path) => format!("unix://{}", path.display()),
    };
    let endpoint = Endpoint::from_shared(uri.clone())
        .map_err(|error| StreamError::Address(uri, error))?
        .connect_timeout(KEEP_ALIVE)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    let connected = match address {
        XdsAddress::Unix(_) => endpoint.connect().await,
        XdsAddress::Tcp(authority) => {
            let dialler = Dialler { target: authority.clone(), tos };
            endpoint.connect_with_connector(dialler).await
        }
    };
    connected.map_err(|error| StreamError::Connect(address.clone(), error))
}

/// Connects as capture rules want it.
#[derive(Clone)]
struct Dialler {
    target: String,
    tos: Option<u32>,
}

impl Service<Uri> for Dialler {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Dialler { target, tos } = self.clone();
        Box::pin(async move { dial(&target, tos).await.map(TokioIo::new) })
    }
}
