//! The aggregated discovery service over gRPC, both forms.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::Server;
use tonic::{Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;
use xds::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use xds::subscription::Protocol;
use xds::subscription::server::Reply;

use crate::ca::Ca;
use crate::caller::Caller;
use crate::certificates::Certificates;
use crate::connection::{self, Request, Requests};
use crate::mesh::Mesh;
use crate::secured::Secured;

const SERVICE: &str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// A dead proxy is noticed within twice this.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A proxy that does not read is not written to further.
const UNSENT_REPLIES: usize = 4;

/// Serves until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, mesh: Arc<Mesh>) {
    let served = Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(Discovery { mesh })
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "xDS server ended");
    }
}

/// Serves xDS and certificates to callers that are known by their certificates.
pub(crate) async fn serve_secured(
    connections: mpsc::Receiver<io::Result<Secured>>,
    mesh: Arc<Mesh>,
    ca: Arc<Ca>,
) {
    let served = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(Discovery { mesh })
        .add_service(Certificates { ca })
        .serve_with_incoming(ReceiverStream::new(connections))
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "secured xDS server ended");
    }
}

#[derive(Clone)]
struct Discovery {
    mesh: Arc<Mesh>,
}

impl NamedService for Discovery {
    const NAME: &'static str = SERVICE;
}

impl Service<http::Request<Body>> for Discovery {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mesh = Arc::clone(&self.mesh);
        Box::pin(async move {
            Ok(match request.uri().path() {
                STATE_OF_THE_WORLD => {
                    let codec = ProstCodec::<DiscoveryResponse, DiscoveryRequest>::default();
                    Grpc::new(codec).streaming(StateOfTheWorldMethod(mesh), request).await
                }
                DELTA => {
                    let codec = ProstCodec::<DeltaDiscoveryResponse, DeltaDiscoveryRequest>::default();
                    Grpc::new(codec).streaming(DeltaMethod(mesh), request).await
                }
                other => Status::unimplemented(format!("`{other}` is not served here")).into_http(),
            })
        })
    }
}

type ReplyStream<T> = Pin<Box<dyn futures_util::Stream<Item = Result<T, Status>> + Send>>;
type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<ReplyStream<T>>, Status>> + Send>>;

struct StateOfTheWorldMethod(Arc<Mesh>);

impl StreamingService<DiscoveryRequest> for StateOfTheWorldMethod {
    type Response = DiscoveryResponse;
    type ResponseStream = ReplyStream<DiscoveryResponse>;
    type Future = Answer<DiscoveryResponse>;

    fn call(&mut self, request: tonic::Request<Streaming<DiscoveryRequest>>) -> Self::Future {
        let caller = Caller::of(request.extensions());
        let requests = StateOfTheWorldRequests(request.into_inner());
        let replies = start(&self.0, Protocol::StateOfTheWorld, caller, requests);
        let replies = replies.filter_map(async |reply| match reply {
            Ok(Reply::StateOfTheWorld(reply)) => Some(Ok(reply)),
            Ok(Reply::Delta(_)) => None,
            Err(status) => Some(Err(status)),
        });
        let replies: ReplyStream<DiscoveryResponse> = Box::pin(replies);
        Box::pin(async { Ok(Response::new(replies)) })
    }
}

struct DeltaMethod(Arc<Mesh>);

impl StreamingService<DeltaDiscoveryRequest> for DeltaMethod {
    type Response = DeltaDiscoveryResponse;
    type ResponseStream = ReplyStream<DeltaDiscoveryResponse>;
    type Future = Answer<DeltaDiscoveryResponse>;

    fn call(&mut self, request: tonic::Request<Streaming<DeltaDiscoveryRequest>>) -> Self::Future {
        let caller = Caller::of(request.extensions());
        let requests = DeltaRequests(request.into_inner());
        let replies = start(&self.0, Protocol::Delta, caller, requests);
        let replies = replies.filter_map(async |reply| match reply {
            Ok(Reply::Delta(reply)) => Some(Ok(reply)),
            Ok(Reply::StateOfTheWorld(_)) => None,
            Err(status) => Some(Err(status)),
        });
        let replies: ReplyStream<DeltaDiscoveryResponse> = Box::pin(replies);
        Box::pin(async { Ok(Response::new(replies)) })
    }
}

fn start(
    mesh: &Arc<Mesh>,
    protocol: Protocol,
    caller: Caller,
    requests: impl Requests + 'static,
) -> ReceiverStream<Result<Reply, Status>> {
    let (sender, receiver) = mpsc::channel(UNSENT_REPLIES);
    tokio::spawn(connection::serve(Arc::clone(mesh), protocol, caller, requests, sender));
    ReceiverStream::new(receiver)
}

struct StateOfTheWorldRequests(Streaming<DiscoveryRequest>);

impl Requests for StateOfTheWorldRequests {
    async fn next(&mut self) -> Result<Option<Request>, Status> {
        Ok(self.0.message().await?.map(|request| Request::StateOfTheWorld(Box::new(request))))
    }
}

struct DeltaRequests(Streaming<DeltaDiscoveryRequest>);

impl Requests for DeltaRequests {
    async fn next(&mut self) -> Result<Option<Request>, Status> {
        Ok(self.0.message().await?.map(|request| Request::Delta(Box::new(request))))
    }
}
