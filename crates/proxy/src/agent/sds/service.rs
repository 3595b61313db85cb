//! SDS over gRPC, both forms.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;
use xds::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use xds::subscription::Protocol;
use xds::subscription::server::{Event, Memory, Reply, Stream};

use crate::secrets::Secrets;

const STATE_OF_THE_WORLD: &str = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
const DELTA: &str = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets";

/// Replies that Envoy has not taken yet.
const UNSENT_REPLIES: usize = 4;

/// The service.
#[derive(Clone)]
pub(super) struct SecretDiscovery {
    pub(super) secrets: Secrets,
}

impl NamedService for SecretDiscovery {
    const NAME: &'static str = "envoy.service.secret.v3.SecretDiscoveryService";
}

impl Service<http::Request<Body>> for SecretDiscovery {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let secrets = self.secrets.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                STATE_OF_THE_WORLD => {
                    let codec = ProstCodec::<DiscoveryResponse, DiscoveryRequest>::default();
                    Grpc::new(codec).streaming(StateOfTheWorldMethod(secrets), request).await
                }
                DELTA => {
                    let codec = ProstCodec::<DeltaDiscoveryResponse, DeltaDiscoveryRequest>::default();
                    Grpc::new(codec).streaming(DeltaMethod(secrets), request).await
                }
                other => Status::unimplemented(format!("`{other}` is not served here")).into_http(),
            })
        })
    }
}

type ReplyStream<T> = Pin<Box<dyn futures_util::Stream<Item = Result<T, Status>> + Send>>;
type Answer<T> = Pin<Box<dyn Future<Output = Result<Response<ReplyStream<T>>, Status>> + Send>>;

struct StateOfTheWorldMethod(Secrets);

impl StreamingService<DiscoveryRequest> for StateOfTheWorldMethod {
    type Response = DiscoveryResponse;
    type ResponseStream = ReplyStream<DiscoveryResponse>;
    type Future = Answer<DiscoveryResponse>;

    fn call(&mut self, request: tonic::Request<Streaming<DiscoveryRequest>>) -> Self::Future {
        let take = |stream: &mut Stream, request: DiscoveryRequest| stream.on_state_of_the_world(&request);
        let replies = start(&self.0, Protocol::StateOfTheWorld, request.into_inner(), take);
        let replies = replies.filter_map(async |reply| match reply {
            Reply::StateOfTheWorld(reply) => Some(Ok(reply)),
            Reply::Delta(_) => None,
        });
        let replies: ReplyStream<DiscoveryResponse> = Box::pin(replies);
        Box::pin(async { Ok(Response::new(replies)) })
    }
}

struct DeltaMethod(Secrets);

impl StreamingService<DeltaDiscoveryRequest> for DeltaMethod {
    type Response = DeltaDiscoveryResponse;
    type ResponseStream = ReplyStream<DeltaDiscoveryResponse>;
    type Future = Answer<DeltaDiscoveryResponse>;

    fn call(&mut self, request: tonic::Request<Streaming<DeltaDiscoveryRequest>>) -> Self::Future {
        let take = |stream: &mut Stream, request: DeltaDiscoveryRequest| stream.on_delta(&request);
        let replies = start(&self.0, Protocol::Delta, request.into_inner(), take);
        let replies = replies.filter_map(async |reply| match reply {
            Reply::Delta(reply) => Some(Ok(reply)),
            Reply::StateOfTheWorld(_) => None,
        });
        let replies: ReplyStream<DeltaDiscoveryResponse> = Box::pin(replies);
        Box::pin(async { Ok(Response::new(replies)) })
    }
}

fn start<R: Send + 'static>(
    secrets: &Secrets,
    protocol: Protocol,
    requests: Streaming<R>,
    take: fn(&mut Stream, R) -> Event,
) -> ReceiverStream<Reply> {
    let (sender, receiver) = mpsc::channel(UNSENT_REPLIES);
    let conversation = Conversation {
        secrets: secrets.clone(),
        stream: Stream::new(protocol, "lateen-agent", Memory::default()),
        has_target: false,
        generation: 0,
    };
    tokio::spawn(conversation.run(requests, take, sender));
    ReceiverStream::new(receiver)
}

/// One stream of Envoy's.
struct Conversation {
    secrets: Secrets,
    stream: Stream,
    /// Nothing is said while there is no certificate: that a secret is absent
    /// would make Envoy drop what it has.
    has_target: bool,
    generation: u64,
}

impl Conversation {
    async fn run<R: Send + 'static>(
        mut self,
        mut requests: Streaming<R>,
        take: fn(&mut Stream, R) -> Event,
        replies: mpsc::Sender<Reply>,
    ) {
        let mut changed = self.secrets.changed();
        self.retarget();
        loop {
            while let Some(reply) = self.next_reply() {
                if replies.send(reply).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                request = requests.message() => match request {
                    Ok(Some(request)) => tell(take(&mut self.stream, request)),
                    // Envoy opens another stream when it wants one.
                    Ok(None) | Err(_) => return,
                },
                news = changed.changed() => match news {
                    Ok(()) => self.retarget(),
                    Err(_) => return,
                },
            }
        }
    }

    fn next_reply(&mut self) -> Option<Reply> {
        if self.has_target { self.stream.next_reply() } else { None }
    }

    fn retarget(&mut self) {
        let Some(target) = super::target(&self.secrets) else { return };
        self.generation += 1;
        self.stream.set_target(self.generation, target);
        self.stream.stop_waiting();
        self.has_target = true;
    }
}

fn tell(event: Event) {
    match event {
        Event::Rejected(rejections) => {
            for rejection in &rejections {
                tracing::error!(
                    secret = rejection.name,
                    reason = rejection.message,
                    "Envoy refuses a secret"
                );
            }
        }
        Event::RejectedUnnamed(message) => tracing::error!(message, "Envoy refuses its secrets"),
        Event::Subscribed | Event::Acknowledged | Event::Stale => {}
    }
}
