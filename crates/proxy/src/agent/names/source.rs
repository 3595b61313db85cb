//! The table of names for a pod whose proxy is Envoy: a stream of the agent's
//! own, on which nothing else is asked for.

use tokio::sync::mpsc::unbounded_channel;
use xds::envoy::config::core::v3::Node;
use xds::subscription::Protocol;
use xds::subscription::client::{Client, Interest, Request};
use xds::type_url::NAME_TABLE;

use crate::ads::{self, StreamEvent};
use crate::start::{NameTables, XdsAddress};
use crate::subscriber::take_names;

/// Sends every table that comes; without a control plane the last one stays.
pub async fn follow(address: XdsAddress, tos: Option<u32>, node: Node, tables: NameTables) {
    let mut client = Client::new(Protocol::Delta, node);
    client.watch(NAME_TABLE, Interest::All);
    let (events, mut stream) = unbounded_channel();
    let connection = tokio::spawn(ads::keep_open(address, tos, events));
    let _connection = tokio_util::task::AbortOnDropHandle::new(connection);
    let mut requests = None;
    while let Some(event) = stream.recv().await {
        let answers = match event {
            StreamEvent::Open(sender) => {
                requests = Some(sender);
                client.connected()
            }
            StreamEvent::Closed => {
                requests = None;
                client.disconnected();
                Vec::new()
            }
            StreamEvent::Response(response) => match client.on_delta(*response) {
                Some(update) => {
                    let rejected = take_names(&update, &tables);
                    client.conclude(&update, &rejected).into_iter().collect()
                }
                None => Vec::new(),
            },
        };
        for answer in answers {
            if let (Request::Delta(request), Some(requests)) = (answer, &requests) {
                // A stream that has just ended is noticed elsewhere.
                let _ = requests.send(request);
            }
        }
    }
}
