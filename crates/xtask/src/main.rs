//! The project's own tasks: `cargo xtask test`, `tools`, `tidy`.

mod bench;
mod process;
mod retry;
mod soak;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs everything that CI runs, or only the parts named.
    Test {
        /// Parts to run; all of them without a name.
        parts: Vec<String>,
    },
    /// Installs real peers (Envoy, nftables, …) outside the checkout.
    Tools {
        /// Tools to install; all of them without a name.
        names: Vec<String>,
    },
    /// Measures our proxy beside stock Envoy, in one run, as ratios.
    Bench {
        /// What to measure.
        suite: bench::Suite,
        /// Rounds of each proxy.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Seconds a round.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
        /// Keep the tables in bench/README.md.
        #[arg(long)]
        record: bool,
    },
    /// Runs for long what the test command runs for seconds.
    Soak {
        /// What to run: `differential`, `outage`, `churn` or `restarts`.
        name: String,
        /// Where all is drawn from; fresh without one.
        #[arg(long)]
        seed: Option<u64>,
        /// How many configurations.
        #[arg(long, default_value_t = 2000)]
        configurations: u32,
        /// How many requests, over all configurations.
        #[arg(long, default_value_t = 100_000)]
        requests: u32,
        /// How long a fault lasts, and how long changes go on.
        #[arg(long)]
        seconds: Option<u32>,
        /// Requests a second while the mesh is at fault.
        #[arg(long)]
        rate: Option<u32>,
        /// How often proxies are replaced.
        #[arg(long)]
        restarts: Option<u32>,
    },
    /// The servers of a bench.
    #[command(hide = true)]
    BenchServer,
    /// The load of a bench.
    #[command(hide = true)]
    BenchLoad {
        kind: bench::Kind,
        target: String,
        #[arg(long)]
        connections: usize,
        #[arg(long)]
        rate: u32,
        #[arg(long)]
        seconds: f64,
    },
    /// Checks layers, purity, names, documentation and licences.
    Tidy,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.task {
        Task::Test { parts } => test::run(&parts),
        Task::Tools { names } => tools::run(&names),
        Task::Tidy => tidy::run(),
        Task::Soak { name, seed, configurations, requests, seconds, rate, restarts } => {
            soak::run(&name, &soak::Options { seed, configurations, requests, seconds, rate, restarts })
        }
        Task::Bench { suite, rounds, seconds, record } => {
            bench::run(bench::Options { suite, rounds, seconds, record })
        }
        Task::BenchServer => bench::serve(),
        Task::BenchLoad { kind, target, connections, rate, seconds } => {
            bench::resolve(&target).and_then(|address| {
                let rate = (rate > 0).then_some(rate);
                bench::load(&bench::Plan { kind, address, host: target, connections, rate, seconds })
            })
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
