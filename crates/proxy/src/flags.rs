//! Response flags: what went wrong with a request, in Envoy's two letters.

use smallvec::SmallVec;

/// One thing that went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flag {
    /// The cluster has no endpoint to use.
    NoHealthyUpstream,
    /// The answer took too long.
    UpstreamTimeout,
    /// We ended the upstream's stream.
    LocalReset,
    /// The upstream ended the stream.
    UpstreamRemoteReset,
    /// No connection came about.
    UpstreamConnectionFailure,
    /// The upstream ended the connection.
    UpstreamConnectionTermination,
    /// There is too much under way already.
    UpstreamOverflow,
    /// There is not enough memory.
    OverloadManager,
    /// No route matches.
    NoRoute,
    /// A delay was injected.
    DelayInjected,
    /// A failure was injected.
    FaultInjected,
    /// The client went away.
    DownstreamConnectionTermination,
    /// The client reset the stream.
    DownstreamRemoteReset,
    /// Too many attempts.
    UpstreamRetryLimitExceeded,
    /// Nothing moved for too long.
    StreamIdleTimeout,
    /// The client's request is malformed.
    DownstreamProtocolError,
    /// The request as a whole took too long.
    MaxDurationTimeout,
    /// The upstream's answer is malformed.
    UpstreamProtocolError,
    /// The cluster does not exist.
    NoClusterFound,
}

impl Flag {
    /// Envoy's short form.
    pub fn short(self) -> &'static str {
        match self {
            Flag::NoHealthyUpstream => "UH",
            Flag::UpstreamTimeout => "UT",
            Flag::LocalReset => "LR",
            Flag::UpstreamRemoteReset => "UR",
            Flag::UpstreamConnectionFailure => "UF",
            Flag::UpstreamConnectionTermination => "UC",
            Flag::UpstreamOverflow => "UO",
            Flag::OverloadManager => "OM",
            Flag::NoRoute => "NR",
            Flag::DelayInjected => "DI",
            Flag::FaultInjected => "FI",
            Flag::DownstreamConnectionTermination => "DC",
            Flag::DownstreamRemoteReset => "DR",
            Flag::UpstreamRetryLimitExceeded => "URX",
            Flag::StreamIdleTimeout => "SI",
            Flag::DownstreamProtocolError => "DPE",
            Flag::MaxDurationTimeout => "DT",
            Flag::UpstreamProtocolError => "UPE",
            Flag::NoClusterFound => "NC",
        }
    }
}

/// The flags of one request, in the order in which they were set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Flags(SmallVec<[Flag; 4]>);

impl Flags {
    /// Sets a flag.
    pub fn set(&mut self, flag: Flag) {
        if !self.0.contains(&flag) {
            self.0.push(flag);
        }
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: Flag) -> bool {
        self.0.contains(&flag)
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The short forms joined by commas; `-` for none.
    pub fn text(&self) -> std::borrow::Cow<'static, str> {
        match self.0.as_slice() {
            [] => "-".into(),
            [one] => one.short().into(),
            several => several.iter().map(|flag| flag.short()).collect::<Vec<_>>().join(",").into(),
        }
    }
}
