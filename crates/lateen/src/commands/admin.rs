//! `lateen admin`: what the mesh's owner does with its control plane.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::client::Client;
use crate::failure::Outcome;
use crate::protocol::RootsReply;

/// Runs the control plane: replaces the mesh's root.
#[derive(Args, Debug)]
#[command(after_help = "Example: lateen admin rotate-root")]
pub struct Admin {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    /// Makes a new root certificate. The old one is believed until its certificates have expired, and vouches for
    /// the new one: no connection fails meanwhile.
    RotateRoot,
}

/// Runs `lateen admin`.
pub fn run(arguments: &Admin, client: &Client) -> Outcome {
    match arguments.task {
        Task::RotateRoot => {
            let reply: RootsReply = client.post("/v1/admin/rotate-root", &json!({}))?;
            for (number, root) in reply.roots.iter().enumerate() {
                let role = if number == 0 { "signs" } else { "is still believed" };
                anstream::println!("{root} {role}");
            }
        }
    }
    Ok(())
}
