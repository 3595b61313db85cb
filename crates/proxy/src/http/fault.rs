//! Injected faults: a delay, then a failure.

use routing::fault::{Abort, Fault};

use crate::flags::Flag;
use crate::http::ends::{Departure, Downstream};
use crate::http::exchange::Exchange;
use crate::http::local_reply::LocalReply;
use crate::http::pause::{Interrupted, wait};

/// What was injected.
#[derive(Debug)]
pub enum Injected {
    /// Nothing that ends the request.
    Nothing,
    /// A failure.
    Reply(LocalReply),
    /// The client did not wait.
    Gone(Departure),
}

/// The delay comes first, then the failure.
pub async fn inject(
    exchange: &mut Exchange<'_>,
    fault: Option<&Fault>,
    io: &mut Downstream<'_, '_>,
) -> Injected {
    let Some(fault) = fault else { return Injected::Nothing };
    let injection = fault.draw(fastrand::u64(..), fastrand::u64(..));
    if let Some(delay) = injection.delay {
        exchange.flags.set(Flag::DelayInjected);
        if let Err(Interrupted::Gone(departure)) = wait(delay, None, io).await {
            return Injected::Gone(departure);
        }
    }
    let Some(abort) = injection.abort else { return Injected::Nothing };
    exchange.flags.set(Flag::FaultInjected);
    let mut reply = LocalReply::new(200, "fault_filter_abort").with_body("fault filter abort");
    match abort {
        Abort::Http(status) => reply.status = status,
        // Who does not speak gRPC gets the text alone.
        Abort::Grpc(status) => reply.grpc_status = Some(status),
    }
    Injected::Reply(reply)
}
