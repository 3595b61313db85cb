//! `lateen bookinfo SERVICE`: one service of the sample application.

use anyhow::{Context as _, anyhow};
use clap::Args;

use crate::failure::Outcome;

/// Runs one service of the sample application.
#[derive(Args, Debug)]
#[command(after_help = "Example: SERVICE_VERSION=v-faulty lateen bookinfo ratings 9080")]
pub struct Bookinfo {
    /// `productpage`, `details`, `reviews` or `ratings`; or a database of
    /// ratings v2: `mysqldb`, `mongodb`.
    #[arg(value_parser = bookinfo::Service::NAMES)]
    service: String,
    /// Port to listen on: 9080 unless given, for databases 3306 and 27017.
    port: Option<u16>,
}

/// Runs `lateen bookinfo`.
pub fn run(arguments: &Bookinfo) -> Outcome {
    let service = bookinfo::Service::parse(&arguments.service)
        .ok_or_else(|| anyhow!("no service `{}`", arguments.service))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    let port = arguments.port.unwrap_or(service.port());
    runtime.block_on(bookinfo::serve(service, port, bookinfo::Settings::from_env()))?;
    Ok(())
}
