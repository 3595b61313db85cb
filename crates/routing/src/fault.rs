//! Injected delays and failures.

use std::time::Duration;

use xds::envoy::extensions::filters::common::fault::v3::fault_delay::FaultDelaySecifier;
use xds::envoy::extensions::filters::http::fault::v3 as wire;
use xds::envoy::extensions::filters::http::fault::v3::fault_abort::ErrorType;

use crate::headers::{HeaderMatcher, RequestHead};
use crate::invalid::{Invalid, Within};
use crate::message::duration;
use crate::percent::Fraction;

/// What the fault filter does to requests.
#[derive(Debug, Clone, Default)]
pub struct Fault {
    delay: Option<(Fraction, Duration)>,
    abort: Option<(Fraction, Abort)>,
    headers: Box<[HeaderMatcher]>,
    upstream_cluster: Box<str>,
}

/// How an aborted request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abort {
    /// With an HTTP status.
    Http(u16),
    /// With a gRPC status.
    Grpc(u32),
}

/// The faults that befall one request; the delay comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Injection {
    /// Wait this long.
    pub delay: Option<Duration>,
    /// Then answer with this.
    pub abort: Option<Abort>,
}

impl Fault {
    /// Compiles the filter's message.
    pub fn compile(wire: &wire::HttpFault) -> Result<Fault, Invalid> {
        let delay = wire.delay.as_ref().and_then(|delay| {
            let share = delay.percentage.as_ref().map(Fraction::compile)?;
            match delay.fault_delay_secifier.as_ref()? {
                FaultDelaySecifier::FixedDelay(fixed) => Some((share, duration(fixed)?)),
                FaultDelaySecifier::HeaderDelay(_) => None,
            }
        });
        let abort = match wire.abort.as_ref() {
            Some(abort) => abort_with(abort).within("abort")?,
            None => None,
        };
        Ok(Fault {
            delay,
            abort,
            headers: HeaderMatcher::compile_all(&wire.headers)?,
            upstream_cluster: wire.upstream_cluster.as_str().into(),
        })
    }

    /// Whether the filter can ever do something.
    pub fn is_idle(&self) -> bool {
        self.delay.is_none() && self.abort.is_none()
    }

    /// The configured delay and its share in percent.
    pub fn delay(&self) -> Option<(f64, Duration)> {
        self.delay.map(|(share, delay)| (share.percent(), delay))
    }

    /// The configured abort and its share in percent.
    pub fn abort(&self) -> Option<(f64, Abort)> {
        self.abort.map(|(share, abort)| (share.percent(), abort))
    }

    /// Whether the request is one that faults may befall.
    pub fn applies<R: RequestHead>(&self, request: &R, cluster: &str) -> bool {
        (self.upstream_cluster.is_empty() || &*self.upstream_cluster == cluster)
            && self.headers.iter().all(|matcher| matcher.matches(request))
    }

    /// What befalls a request that [`Fault::applies`] to; one random number
    /// for each draw.
    pub fn draw(&self, for_delay: u64, for_abort: u64) -> Injection {
        Injection {
            delay: self.delay.and_then(|(share, delay)| share.happens(for_delay).then_some(delay)),
            abort: self.abort.and_then(|(share, abort)| share.happens(for_abort).then_some(abort)),
        }
    }
}

fn abort_with(abort: &wire::FaultAbort) -> Result<Option<(Fraction, Abort)>, Invalid> {
    let share = abort.percentage.as_ref().map(Fraction::compile);
    let how = match &abort.error_type {
        Some(ErrorType::HttpStatus(status)) => match u16::try_from(*status) {
            Ok(status @ 200..=599) => Abort::Http(status),
            _ => return Err(Invalid::new("http_status", format!("{status} is no status"))),
        },
        Some(ErrorType::GrpcStatus(status)) => Abort::Grpc(*status),
        Some(ErrorType::HeaderAbort(_)) | None => return Ok(None),
    };
    Ok(share.map(|share| (share, how)))
}
