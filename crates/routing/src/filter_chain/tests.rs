use super::*;

fn chain(name: &str) -> Arc<FilterChain> {
    Arc::new(FilterChain {
        name: name.into(),
        origin: None,
        hash: 0,
        transport: Transport::Plain,
        handshake_timeout: None,
        terminal: Terminal::Close,
        stats: None,
        connection_limit: None,
        skipped: Vec::new(),
    })
}

fn chains(conditions: &[(&str, serde_json::Value)]) -> Result<FilterChains, Invalid> {
    let matches: Vec<wire::FilterChainMatch> =
        conditions.iter().map(|(_, json)| xds::json::decode(json).expect("a test's own JSON")).collect();
    let list = conditions.iter().map(|(name, _)| chain(name)).collect();
    FilterChains::compile(&matches, list, Some(chain("default")))
}

struct Connection {
    destination: &'static str,
    source: &'static str,
    sni: &'static str,
    transport: &'static str,
    protocols: &'static [&'static str],
}

const PLAIN: Connection = Connection {
    destination: "10.0.0.1:80",
    source: "10.0.0.9:999",
    sni: "",
    transport: "raw_buffer",
    protocols: &["http/1.1"],
};

fn found(chains: &FilterChains, connection: &Connection) -> String {
    let info = ConnectionInfo {
        destination: connection.destination.parse().expect("an address"),
        source: connection.source.parse().expect("an address"),
        server_name: connection.sni,
        transport_protocol: connection.transport,
        application_protocols: connection.protocols,
    };
    chains.find(&info).map(|chain| chain.name.to_string()).unwrap_or_default()
}

fn range(prefix: &str, length: u32) -> serde_json::Value {
    serde_json::json!([{"address_prefix": prefix, "prefix_len": length}])
}

#[test]
fn the_most_specific_key_is_taken_and_nothing_goes_back() {
    use serde_json::json;
    let chains = chains(&[
        ("any", json!({})),
        ("port", json!({"destination_port": 80, "prefix_ranges": range("10.1.0.0", 16)})),
        ("http", json!({"destination_port": 81, "application_protocols": ["http/1.1", "h2c"]})),
        ("tls", json!({"destination_port": 81, "transport_protocol": "tls"})),
        ("sni", json!({"destination_port": 443, "server_names": ["a.example.com"]})),
        ("wild", json!({"destination_port": 443, "server_names": ["*.example.com"]})),
        ("local", json!({"destination_port": 82, "source_type": "SAME_IP_OR_LOOPBACK"})),
        ("outside", json!({"destination_port": 82, "source_type": "EXTERNAL"})),
        ("near", json!({"destination_port": 83, "source_prefix_ranges": range("10.0.0.0", 24)})),
        ("far", json!({"destination_port": 83})),
        ("wide", json!({"destination_port": 84, "prefix_ranges": range("10.0.0.0", 8)})),
        (
            "narrow",
            json!({"destination_port": 84, "prefix_ranges": range("10.0.0.0", 24), "server_names": ["x"]}),
        ),
    ])
    .expect("all conditions differ");
    let on = |destination| Connection { destination, ..PLAIN };
    let table = [
        ("any", on("10.0.0.1:8080")),
        ("default", on("10.0.0.1:80")),
        ("port", on("10.1.2.3:80")),
        ("http", on("10.0.0.1:81")),
        ("default", Connection { protocols: &[], ..on("10.0.0.1:81") }),
        ("tls", Connection { transport: "tls", protocols: &["istio"], ..on("10.0.0.1:81") }),
        ("sni", Connection { sni: "a.example.com", transport: "tls", ..on("10.0.0.1:443") }),
        ("wild", Connection { sni: "b.example.com", transport: "tls", ..on("10.0.0.1:443") }),
        ("wild", Connection { sni: "c.b.example.com", transport: "tls", ..on("10.0.0.1:443") }),
        ("default", Connection { sni: "example.com", transport: "tls", ..on("10.0.0.1:443") }),
        ("local", Connection { source: "127.0.0.1:5", ..on("10.0.0.1:82") }),
        ("local", Connection { source: "10.0.0.1:5", ..on("10.0.0.1:82") }),
        ("outside", on("10.0.0.1:82")),
        ("near", on("10.0.0.1:83")),
        ("far", Connection { source: "10.2.0.9:999", ..on("10.0.0.1:83") }),
        ("default", on("10.0.0.1:84")),
        ("narrow", Connection { sni: "x", ..on("10.0.0.1:84") }),
        ("wide", on("10.3.0.1:84")),
    ];
    for (expected, connection) in &table {
        assert_eq!(&found(&chains, connection), expected, "{} {}", connection.destination, connection.sni);
    }
}

#[test]
fn equal_conditions_and_odd_wildcards_are_refused() {
    use serde_json::json;
    for conditions in [
        [("a", json!({"destination_port": 80})), ("b", json!({"destination_port": 80}))],
        [("a", json!({"server_names": ["*w.example.com"]})), ("b", json!({}))],
    ] {
        assert!(chains(&conditions).is_err());
    }
}
