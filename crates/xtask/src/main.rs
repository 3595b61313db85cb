//! The project's own tasks: `cargo xtask test`, `tools`, `tidy`.

mod process;
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
    /// Checks layers, purity, names, documentation and licences.
    Tidy,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.task {
        Task::Test { parts } => test::run(&parts),
        Task::Tools { names } => tools::run(&names),
        Task::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
