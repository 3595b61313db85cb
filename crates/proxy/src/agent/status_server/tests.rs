//! One page from several sources, some of which are broken.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

use super::{Status, Told, serve};
use crate::agent::app_probe::AppProbes;
use crate::agent::data_plane::Probe;
use crate::agent::settings::{Arguments, Role, Settings};
use crate::start::{ProxyOptions, start};

/// A metric that every worker of a proxy has.
const OF_THE_PROXY: &str = "envoy_server_total_connections";

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// An application that gives this answer to `/own`, and 404 to everything else.
async fn application(answer: &'static str) -> u16 {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap_or(0);
            let is_asked = head[..length].starts_with(b"GET /own ");
            let text = if is_asked { answer } else { "HTTP/1.1 404 X\r\ncontent-length: 0\r\n\r\n" };
            // Who asked may have gone.
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    address.port()
}

fn settings(annotations: &Value) -> Settings {
    let environment = BTreeMap::from([
        ("POD_NAME".to_owned(), "a-0".to_owned()),
        ("INSTANCE_IP".to_owned(), "127.0.0.1".to_owned()),
        ("ISTIO_PROMETHEUS_ANNOTATIONS".to_owned(), annotations.to_string()),
    ]);
    let arguments = Arguments { role: Role::Sidecar, domain: None, envoy_path: None, concurrency: None };
    Settings::from_parts(arguments, &environment, "", "").expect("a test's own settings")
}

/// The merged page of a proxy whose pod has these annotations.
async fn page(annotations: &Value) -> String {
    let options = ProxyOptions { concurrency: 1, ..ProxyOptions::default() };
    let handle = Arc::new(start(options).expect("it starts"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !handle.stats_text().contains(OF_THE_PROXY) {
        assert!(Instant::now() < deadline, "its worker begins");
        tokio::task::yield_now().await;
    }
    let settings = settings(annotations);
    let (commands, _) = mpsc::channel(1);
    let status = Status {
        probe: Probe::Lateen(Arc::clone(&handle)),
        app_probes: AppProbes::new(&settings.app_probers, settings.instance_ip).expect("none"),
        app_metrics: settings.scraped_metrics(),
        commands,
        told: Told::default(),
        started: Instant::now(),
    };
    let (listener, address) = listener().await;
    let server = tokio::spawn(serve(listener, Arc::new(status)));
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = b"GET /stats/prometheus HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    server.abort();
    handle.order_stop();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer
}

fn annotations(port: u16) -> Value {
    json!({"scrape": "true", "path": "/own", "port": port.to_string()})
}

fn has_own(page: &str) -> bool {
    page.contains("istio_build{") && page.contains(OF_THE_PROXY)
}

#[tokio::test]
async fn both_pages_are_one() {
    let port =
        application("HTTP/1.1 200 OK\r\ncontent-length: 25\r\n\r\n# TYPE own gauge\nown 7\n# EOF").await;
    let page = page(&annotations(port)).await;
    assert!(has_own(&page) && page.contains("\nown 7\n"), "{page}");
}

#[tokio::test]
async fn a_broken_source_costs_nothing_but_itself() {
    let failing = application("HTTP/1.1 500 X\r\ncontent-length: 6\r\n\r\nown 7\n").await;
    let cut = application("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nown 7\n").await;
    let page_of_html = application("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n<p>own 7\n</p>").await;
    // Bound, and not listened on.
    let silent = TcpSocket::new_v4().expect("a socket");
    silent.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let address = silent.local_addr().expect("it is bound");
    for port in [failing, cut, page_of_html, address.port()] {
        let page = page(&annotations(port)).await;
        assert!(has_own(&page) && !page.contains("own 7"), "{page}");
    }
}

#[tokio::test]
async fn only_what_the_annotations_say_is_asked() {
    let port = application("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nown 7\n").await;
    for changed in
        [json!({"scrape": "false"}), json!({"path": ""}), json!({"port": "x"}), json!({"port": "15020"})]
    {
        let mut annotations = annotations(port);
        annotations
            .as_object_mut()
            .expect("an object")
            .extend(changed.as_object().expect("an object").clone());
        let page = page(&annotations).await;
        assert!(has_own(&page) && !page.contains("own 7"), "{annotations}: {page}");
    }
}
