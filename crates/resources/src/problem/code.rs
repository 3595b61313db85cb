//! The catalogue of codes. A code is never given another meaning and never used again once it is gone.
//!
//! `IST` codes are Istio's own, for the same finding; `LT` codes are ours.

use std::fmt;

/// Whether a problem refuses the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The object is refused.
    Error,
    /// The object is taken; something is probably not as meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Declares the codes with their text, severity and meaning.
macro_rules! codes {
    ($($name:ident = $text:literal, $severity:ident, $meaning:literal;)*) => {
        /// Which sort of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its text: `LT0101`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// How severe a problem with it is.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    // The text of a file.
    Syntax = "LT0101", Error, "The file is not valid YAML.";
    DuplicateKey = "LT0102", Error, "A map has the same key twice.";
    KeyNotText = "LT0103", Error, "A map has a key that is not text.";
    TooLarge = "LT0104", Error, "A document is too deep, or too large once its aliases are put in.";
    Unreadable = "LT0106", Error, "A file cannot be read, or is not text.";
    IgnoredTag = "LT0105", Warning, "A YAML tag has no meaning here and is ignored.";
    // An object as a whole.
    NotAnObject = "LT0201", Error, "A document is not an object.";
    UnknownKind = "LT0202", Error, "The kind is not one that a mesh reads.";
    UnknownApiVersion = "LT0203", Error, "The kind is known, but not under this apiVersion.";
    InvalidName = "LT0204", Error, "A name or namespace is missing or not a valid one.";
    DuplicateObject = "LT0205", Warning, "The same object is written twice; the last one counts.";
    InvalidLabel = "LT0206", Error, "A label is not a valid one.";
    IgnoredNamespace = "LT0207", Warning, "A kind that has no namespace is given one.";
    ReservedAnnotation = "LT0208", Error, "An annotation is reserved for the control plane.";
    TooManyProblems = "LT0209", Error, "An object has so many problems that the rest is left out.";
    // The shape of its fields.
    UnknownField = "LT0301", Warning, "A field is not known and has no effect.";
    WrongType = "LT0302", Error, "A value is of the wrong type.";
    InvalidValue = "LT0303", Error, "A value is of the right type but not one that is possible.";
    UnknownChoice = "LT0304", Error, "A value is not one of those that can be chosen.";
    Required = "LT0305", Error, "A field that must be set is missing.";
    Conflict = "LT0306", Error, "Fields are set that exclude each other.";
    Duplicate = "LT0307", Error, "A list holds the same thing twice.";
    Unsupported = "LT0308", Error, "A field is known but what it asks for is not supported.";
    NoEffect = "LT0309", Warning, "What is written has no effect.";
    // Values that several kinds share.
    InvalidHost = "LT0401", Error, "A host is not a valid name.";
    InvalidPort = "LT0402", Error, "A port is not from 1 to 65535.";
    InvalidDuration = "LT0403", Error, "A duration is too short or too fine.";
    InvalidPercentage = "LT0404", Error, "A percentage is not from 0 to 100.";
    InvalidHeaderName = "LT0405", Error, "A header cannot have this name, or cannot be changed.";
    InvalidHeaderValue = "LT0406", Error, "A header cannot have this value.";
    InvalidRegex = "LT0407", Error, "An expression is not valid RE2.";
    InvalidAddress = "LT0408", Error, "An address or range of addresses is not a valid one.";
    InvalidExportTo = "LT0409", Error, "exportTo does not name namespaces.";
    InvalidSelector = "LT0410", Error, "A selector cannot select anything.";
    EmptySelector = "LT0411", Warning, "A selector selects every workload of the namespace.";
    InvalidProtocol = "LT0412", Error, "A protocol is not known.";
    InvalidPortName = "LT0413", Error, "A port cannot have this name.";
    InvalidSocket = "LT0414", Error, "A Unix socket is not named by an absolute path.";
    InvalidHttpStatus = "LT0415", Error, "A status is not possible here.";
    InvalidSubsetName = "LT0416", Error, "A subset cannot have this name.";
    TargetPort = "LT0417", Error, "targetPort has no meaning in this kind.";
    SocketWithPort = "LT0418", Error, "A socket is given what only an address can have, or the reverse.";
    TlsOnPlainPort = "LT0419", Error, "TLS is set on a port whose protocol is not encrypted.";
    UnknownPort = "LT0420", Error, "A port is referred to by a name that it does not have.";
    // VirtualService.
    InvalidDelegate = "LT1001", Error, "A VirtualService without hosts has what a delegate cannot have.";
    WildcardHostOnMesh = "LT1002", Error, "The host * is bound to sidecars.";
    OverlappingHosts = "LT1003", Error, "Two hosts of the same VirtualService overlap.";
    NoRoutes = "LT1004", Error, "A VirtualService has no routes.";
    InvalidGatewayName = "LT1005", Error, "A gateway is not named as name or namespace/name.";
    LegacyGatewayName = "LT1006", Warning, "A gateway is named in the old way.";
    ClaimWithoutGateway = "LT1007", Error, "A claim of a token is matched in sidecars.";
    RouteWithoutAction = "LT1008", Error, "A rule does nothing.";
    RouteConflict = "LT1009", Error, "A rule does two things that exclude each other.";
    NestedDelegate = "LT1010", Error, "A delegate delegates.";
    EmptyPrefix = "LT1011", Error, "A prefix is empty where that matches nothing.";
    AuthorityTwice = "LT1012", Error, "The authority is set in two places.";
    TotalWeight = "LT1013", Error, "The weights add up to nothing, or to too much.";
    EmptyRedirect = "LT1014", Error, "A redirect leads to where the request came from.";
    RedirectConflict = "LT1015", Error, "A redirect changes the path in a way that its rule does not allow.";
    InvalidScheme = "LT1016", Error, "A scheme is neither http nor https.";
    BodyTooLarge = "LT1017", Error, "A fixed response is too large.";
    LargeBody = "LT1018", Warning, "A fixed response is so large that it slows every change.";
    EmptyRewrite = "LT1019", Error, "A rewrite changes nothing.";
    RewriteConflict = "LT1020", Error, "A rewrite changes the path in two ways.";
    RetriesOff = "LT1021", Error, "Retries are turned off and configured.";
    InvalidRetryOn = "LT1022", Error, "A condition for retries is not known.";
    InvalidMethod = "LT1023", Error, "A method is not known.";
    EmptyOrigin = "LT1024", Error, "An origin allows nobody.";
    EmptyFault = "LT1025", Error, "A fault does nothing.";
    InvalidGrpcStatus = "LT1026", Error, "A gRPC status is not known.";
    SniAddress = "LT1027", Warning, "A server name is an address.";
    SniNotInHosts = "LT1028", Error, "A server name is none of the hosts.";
    UnreachableRule = "IST0130", Warning, "A rule is never used, because earlier ones take everything.";
    IneffectiveMatch = "IST0131", Warning, "A match is never used, because an earlier one takes everything.";
    // DestinationRule.
    DuplicateSubset = "LT1101", Error, "Two subsets have the same name.";
    EmptyTrafficPolicy = "LT1102", Error, "A traffic policy sets nothing.";
    TunnelConflict = "LT1103", Error, "A tunnel and the PROXY protocol are both set.";
    InvalidTunnel = "LT1104", Error, "A tunnel is made with neither CONNECT nor POST.";
    EmptyConnectionPool = "LT1105", Error, "A connection pool sets nothing.";
    UpgradeConflict = "LT1106", Error, "The client's protocol is both kept and changed.";
    HashConflict = "LT1107", Error, "The algorithm of a hash is chosen twice.";
    InvalidTable = "LT1108", Error, "The table for Maglev does not have a possible size.";
    LocalityConflict = "LT1109", Error, "Preferences by locality exclude each other.";
    InvalidLocality = "LT1110", Error, "A locality is not well-formed, or another one includes it.";
    LocalityShares = "LT1111", Error, "Shares by locality do not add up to 100.";
    FailoverWithoutDetection = "LT1112", Warning, "Failover is set without outlier detection.";
    InvalidFailover = "LT1113", Error, "Failover is not from one region to another.";
    InvalidWarmup = "LT1114", Error, "The warm-up of new endpoints is not possible.";
    LocalOriginNotSplit = "LT1115", Error, "Failures to connect are limited but not counted apart.";
    ClientTlsConflict = "LT1116", Error, "TLS settings exclude each other.";
    ExportWithSelector = "LT1117", Error, "A rule for selected clients is exported to other namespaces.";
    // Gateway.
    GatewayWithoutSelector = "LT1201", Warning, "A Gateway selects every proxy.";
    InvalidGatewayHost = "LT1202", Error, "A host of a server is not namespace/name with a full name.";
    TlsMissing = "LT1203", Error, "A server for HTTPS or TLS has no TLS settings.";
    HttpsRedirect = "LT1204", Warning, "A redirect to https is set where no plain requests come.";
    OldTls = "LT1205", Warning, "An old version of TLS is allowed without cipher suites for it.";
    UnknownCipherSuite = "LT1206", Warning, "A cipher suite is not known.";
    DuplicateCipherSuite = "LT1207", Warning, "A cipher suite is listed twice.";
    CertificatesIgnored = "LT1208", Warning, "Certificates are set where TLS is passed through.";
    CertificateConflict = "LT1209", Error, "Certificates come from two places.";
    TooManyCertificates = "LT1210", Warning, "More than two certificates are set.";
    CrlUnsupported = "LT1211", Error, "A list of revoked certificates is set where none is used.";
    // ServiceEntry.
    EndpointConflict = "LT1301", Error, "Endpoints are set that the resolution does not allow.";
    PartialWildcard = "LT1302", Warning, "A wildcard stands for a part of a name.";
    AddressConflict = "LT1303", Error, "A range of addresses is set that the resolution does not allow.";
    EndpointWithoutAddress = "LT1304", Warning, "An endpoint has a network but no address.";
    WildcardResolution = "LT1305", Error, "A host cannot be resolved in the way that is set.";
    SharedAddress = "LT1306", Warning, "Several hosts share addresses on a TCP port.";
    SharedPort = "LT1307", Error, "Several hosts share a port on which they cannot be told apart.";
    // Sidecar.
    EmptySidecar = "LT1401", Error, "A Sidecar says nothing.";
    CatchAllNotLast = "LT1402", Error, "A listener without port does not stand last.";
    InvalidDefaultEndpoint = "LT1403", Error, "Inbound traffic is sent to a place outside the workload.";
    InvalidEgressHost = "LT1404", Error, "A host is not namespace/name with a full name.";
    DuplicateEgressHost = "LT1405", Warning, "A host is included in another one.";
    EgressProxy = "LT1406", Error, "An egress proxy is set where unknown traffic is not allowed.";
    // PeerAuthentication.
    PortsWithoutSelector = "LT1501", Error, "Ports are set without a selector.";
    // Kubernetes' kinds.
    SelectorMismatch = "LT2001", Error, "A Deployment does not select its own pods.";
    UnknownVolume = "LT2002", Warning, "A container mounts a volume that its pod does not have.";
    // Several objects.
    Deprecated = "IST0002", Warning, "A field is deprecated.";
    ReferencedResourceNotFound = "IST0101", Warning, "An object refers to something that does not exist.";
    PortRequired = "IST0112", Warning, "A destination has several ports, and none is chosen.";
    HostNotInGateway = "IST0132", Warning, "A host of a VirtualService is none of its gateway's.";
    UnknownDestinationRuleHost = "IST0174", Warning, "A DestinationRule is for a host that does not exist.";
    ConflictingVirtualServiceHosts = "IST0109", Warning, "Two VirtualServices route the same host.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
