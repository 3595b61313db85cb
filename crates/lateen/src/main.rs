//! `lateen`: the command line, and the programs that the images name.

mod client;
mod commands;
mod failure;
mod protocol;
mod samples;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    Apply(commands::apply::Apply),
    Delete(commands::apply::Delete),
    Get(commands::get::Get),
    Bookinfo(commands::bookinfo::Bookinfo),
    Proxy(commands::proxy::Proxy),
    Init(commands::init::Init),
    Version(commands::version::Version),
}

fn main() -> ExitCode {
    failure::report(run(&Arguments::parse().verb))
}

fn run(verb: &Verb) -> Outcome {
    match verb {
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
#[expect(clippy::disallowed_methods, reason = "the one place where the command line reads its environment")]
fn home() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("LATEEN_HOME")
        .unwrap_or_else(|| variable("HOME").unwrap_or_else(|| PathBuf::from("/root")).join(".lateen"))
}
