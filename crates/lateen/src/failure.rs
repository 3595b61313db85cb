//! How a command ends: what is said on stderr, and the exit code.

use std::process::ExitCode;

/// Input that was refused.
pub const BAD_INPUT: u8 = 65;

/// A command's end other than success.
#[derive(Debug)]
pub enum Failure {
    /// Something went wrong; the chain of causes is printed.
    Error(anyhow::Error),
    /// The problems are on stderr already; this is the exit code.
    Said(u8),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

/// What a command returns.
pub type Outcome = Result<(), Failure>;

/// Prints what is left to say and gives the process's exit code.
pub fn report(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Said(code)) => ExitCode::from(code),
        Err(Failure::Error(error)) => {
            anstream::eprintln!("{}error{}: {error:#}", style::ERROR, style::RESET);
            ExitCode::FAILURE
        }
    }
}

/// Colours, on a terminal only: `anstream` removes them elsewhere and with
/// NO_COLOR.
pub mod style {
    use anstyle::{AnsiColor, Reset, Style};

    /// The word `error`.
    pub const ERROR: Style = AnsiColor::Red.on_default().bold();
    /// The word `warning`.
    pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
    /// What went well.
    pub const GOOD: Style = AnsiColor::Green.on_default();
    /// What is beside the point.
    pub const DIM: Style = Style::new().dimmed();
    /// Back to normal.
    pub const RESET: Reset = Reset;
}
