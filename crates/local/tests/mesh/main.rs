//! A real mesh on this machine, as root and as an ordinary user.
//!
//! This binary is three things: the mesh's own parts, when it is started as one; the applications that run in the
//! mesh's pods; and the test that starts and asks them. It has no harness of its own name: `cargo test -p local
//! --test mesh -- NAME` runs the scenarios whose names contain NAME.

mod applications;
mod programs;
mod scenarios;
mod session;

use std::process::ExitCode;

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    if let Some(code) = local::inner_main(std::env::args_os(), &programs::FromFiles) {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve") => applications::serve(&arguments[1], &arguments[2]),
        Some("as-caller") => scenarios::run_as_caller(&arguments[1..]),
        Some("up") => session::up_by_hand(&arguments[1], &arguments[2..]),
        Some("exec") => session::exec_by_hand(&arguments[1], &arguments[2], &arguments[3..]),
        _ => scenarios::run_all(&arguments),
    }
}
