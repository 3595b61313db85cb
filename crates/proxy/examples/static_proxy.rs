//! Runs the data path on a static bootstrap, as `envoy -c` does:
//! `static_proxy BOOTSTRAP [CONCURRENCY]`.

use std::path::Path;

use proxy::start::{ProxyOptions, run};
use proxy::static_config::StaticConfig;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: static_proxy BOOTSTRAP [CONCURRENCY]")?;
    let concurrency = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let config = StaticConfig::read(Path::new(&path))?;
    run(ProxyOptions {
        node: config.node,
        connection_limit: config.connection_limit,
        static_resources: config.resources,
        admin: config.admin,
        concurrency,
        ..ProxyOptions::default()
    })?;
    Ok(())
}
