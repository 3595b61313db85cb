//! `lateen apply`, `lateen delete`: objects in and out, and who holds them.

use clap::Args;
use resources::ObjectKey;

use super::{input, output};
use crate::client::Client;
use crate::failure::{BAD_INPUT, Failure, Outcome, style};
use crate::protocol::{Applied, ApplyReply, ApplyRequest, DeleteRequest, ProblemView};

/// Puts objects into the running mesh; returns when every proxy that they
/// concern holds them.
#[derive(Args, Debug)]
#[command(after_help = "Example: lateen apply -f @virtual-service-all-v1")]
pub struct Apply {
    /// A file, a folder, a bundled sample (`@NAME`), or `-` for standard input.
    #[arg(short = 'f', long = "filename", required = true, value_name = "FILE|DIR|@SAMPLE|-")]
    filename: Vec<String>,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// `table`, `json` or `yaml`.
    #[arg(short, long, value_enum, default_value = "table")]
    output: output::Format,
}

/// Takes objects out of the running mesh.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  lateen delete -f @virtual-service-all-v1\n  lateen delete virtualservice reviews"
)]
pub struct Delete {
    /// A file, a folder, a bundled sample (`@NAME`), or `-` for standard input.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|@SAMPLE|-", conflicts_with = "kind")]
    filename: Vec<String>,
    /// Kind of one object: `virtualservice`, `vs`, …
    #[arg(required_unless_present = "filename", requires = "name")]
    kind: Option<String>,
    /// Its name.
    name: Option<String>,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// `table`, `json` or `yaml`.
    #[arg(short, long, value_enum, default_value = "table")]
    output: output::Format,
}

/// Runs `lateen apply`.
pub fn apply(arguments: &Apply, client: &Client) -> Outcome {
    let sources = input::read(&arguments.filename)?;
    let request = ApplyRequest { sources, namespace: arguments.namespace.clone() };
    tell(&client.post("/v1/apply", &request)?, arguments.output)
}

/// Runs `lateen delete`.
pub fn delete(arguments: &Delete, client: &Client) -> Outcome {
    let keys = match (&arguments.kind, &arguments.name) {
        (Some(kind), Some(name)) => {
            vec![ObjectKey::new(super::kind(kind)?, &arguments.namespace, name).to_string()]
        }
        _ => Vec::new(),
    };
    let sources = input::read(&arguments.filename)?;
    let request = DeleteRequest { sources, keys, namespace: arguments.namespace.clone() };
    tell(&client.post("/v1/delete", &request)?, arguments.output)
}

fn tell(reply: &ApplyReply, format: output::Format) -> Outcome {
    match format {
        output::Format::Json => output::json(reply)?,
        output::Format::Yaml => output::yaml(reply)?,
        output::Format::Table | output::Format::Wide | output::Format::Name => say(reply),
    }
    match reply {
        ApplyReply::Refused { .. } => Err(Failure::Said(BAD_INPUT)),
        ApplyReply::Applied(applied) if !applied.delivery.missing.is_empty() => Err(Failure::Said(1)),
        ApplyReply::Applied(_) => Ok(()),
    }
}

fn say(reply: &ApplyReply) {
    match reply {
        ApplyReply::Applied(applied) => say_applied(applied),
        ApplyReply::Refused { problems } => {
            problems.iter().for_each(say_problem);
            let errors = problems.iter().filter(|problem| problem.is_error).count();
            let plural = if errors == 1 { "" } else { "s" };
            anstream::eprintln!("refused: {errors} error{plural}; nothing changed");
        }
    }
}

fn say_applied(applied: &Applied) {
    applied.warnings.iter().for_each(say_problem);
    for object in &applied.objects {
        let dim = if object.action == "unchanged" { style::DIM } else { style::GOOD };
        anstream::println!(
            "{}/{} {dim}{}{}",
            object.kind.to_lowercase(),
            object.name,
            object.action,
            style::RESET
        );
    }
    let delivery = &applied.delivery;
    anstream::println!(
        "generation {} held by {} of {} proxies after {} ms",
        applied.generation,
        delivery.acknowledged,
        delivery.affected,
        applied.milliseconds
    );
    for missing in &delivery.missing {
        anstream::eprintln!(
            "{}not held{} by {}: {}",
            style::WARNING,
            style::RESET,
            missing.proxy,
            missing.why
        );
    }
}

/// One problem as a compiler would tell it.
pub fn say_problem(problem: &ProblemView) {
    let (style, word) = if problem.is_error { (style::ERROR, "error") } else { (style::WARNING, "warning") };
    anstream::eprintln!(
        "{}: {style}{word}{}[{}]: {}",
        problem.at,
        style::RESET,
        problem.code,
        problem.message
    );
    if !problem.help.is_empty() {
        anstream::eprintln!("  {}help{}: {}", style::DIM, style::RESET, problem.help);
    }
}
