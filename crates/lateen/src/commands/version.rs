//! `lateen version`.

use clap::Args;

use crate::failure::Outcome;

/// Shows the version.
#[derive(Args, Debug)]
#[command(after_help = "Example: lateen version --short")]
pub struct Version {
    /// The number alone.
    #[arg(long)]
    short: bool,
}

/// Runs `lateen version`.
pub fn run(arguments: &Version) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    match arguments.short {
        true => anstream::println!("{version}"),
        false => anstream::println!("client version: lateen {version}"),
    }
    Ok(())
}
