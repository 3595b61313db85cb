//! `lateen`: the command line, and the programs that the images name.

mod client;
mod commands;
mod failure;
mod mesh;
mod protocol;
mod samples;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use client::Client;
use failure::Outcome;

/// A complete service mesh in one binary, speaking Istio's API.
#[derive(Parser)]
#[command(
    name = "lateen",
    version,
    max_term_width = 100,
    after_help = "Start with `lateen up`, then open http://127.0.0.1:8080/productpage"
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Up(commands::up::Up),
    Down(commands::up::Down),
    Status(commands::status::Status),
    Apply(commands::apply::Apply),
    Delete(commands::apply::Delete),
    Get(commands::get::Get),
    Explain(commands::explain::Explain),
    Admin(commands::admin::Admin),
    Exec(commands::exec::Exec),
    Logs(commands::exec::Logs),
    Bookinfo(commands::bookinfo::Bookinfo),
    Proxy(commands::proxy::Proxy),
    #[command(alias = "istio-iptables")]
    Init(commands::init::Init),
    Version(commands::version::Version),
}

fn main() -> ExitCode {
    if let Some(code) = local::inner_main(std::env::args_os(), &mesh::MeshPrograms) {
        return code;
    }
    start_log();
    failure::report(run(&Arguments::parse().verb))
}

/// Programs log to standard error; `LATEEN_LOG` says how much.
fn start_log() {
    let filter = EnvFilter::try_from_env("LATEEN_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn run(verb: &Verb) -> Outcome {
    match verb {
        Verb::Up(arguments) => commands::up::up(arguments, &home(), &tools()),
        Verb::Down(_) => commands::up::down(&home()),
        Verb::Status(arguments) => commands::status::run(arguments, &client()),
        Verb::Explain(arguments) => commands::explain::run(arguments, &client()),
        Verb::Admin(arguments) => commands::admin::run(arguments, &client()),
        Verb::Exec(arguments) => commands::exec::exec(arguments, &home()),
        Verb::Logs(arguments) => commands::exec::logs(arguments, &home()),
        Verb::Apply(arguments) => commands::apply::apply(arguments, &client()),
        Verb::Delete(arguments) => commands::apply::delete(arguments, &client()),
        Verb::Get(arguments) => commands::get::run(arguments, &client()),
        Verb::Bookinfo(arguments) => commands::bookinfo::run(arguments),
        Verb::Proxy(arguments) => commands::proxy::run(arguments),
        Verb::Init(arguments) => commands::init::run(arguments),
        Verb::Version(arguments) => commands::version::run(arguments),
    }
}

/// The mesh that the environment names.
fn client() -> Client {
    Client::new(&home())
}

/// `$LATEEN_HOME`, else `~/.lateen`.
fn home() -> PathBuf {
    variable("LATEEN_HOME").unwrap_or_else(|| user_folder().join(".lateen"))
}

/// `$LATEEN_TOOLS`, else `~/.cache/lateen/tools`.
fn tools() -> PathBuf {
    variable("LATEEN_TOOLS").unwrap_or_else(|| user_folder().join(".cache/lateen/tools"))
}

fn user_folder() -> PathBuf {
    variable("HOME").unwrap_or_else(|| PathBuf::from("/root"))
}

#[expect(clippy::disallowed_methods, reason = "the one place where the command line reads its environment")]
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
