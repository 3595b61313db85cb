//! Outages, churn and restarts under constant load: no request may fail.
//!
//! Without arguments, all of it in a minute; `outage`, `churn` or `restarts`
//! runs one, `--long` for minutes, and `--seconds N`, `--rate N` and
//! `--restarts N` say how much. This program is also the control plane of the
//! mesh that it tests, and starts itself again in namespaces of its own.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tests::namespace;
use tests::soak::{Options, Scenario, control, scenarios};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [namespace::INSIDE, rest @ ..] => inside(rest).map(|()| ExitCode::SUCCESS),
        [control::CONTROL_PLANE, folder, address] => {
            control::run(folder, address).map(|()| ExitCode::SUCCESS)
        }
        _ => namespace::enter(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("soak: {error:#}");
        ExitCode::FAILURE
    })
}

fn inside(arguments: &[&str]) -> Result<()> {
    let (chosen, options) = plan(arguments)?;
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(scenarios::run(&chosen, options))?;
    println!("soak: {} s", started.elapsed().as_secs());
    Ok(())
}

fn plan(arguments: &[&str]) -> Result<(Vec<Scenario>, Options)> {
    let mut chosen = Vec::new();
    let mut options = if arguments.contains(&"--long") { Options::LONG } else { Options::SHORT };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let mut number =
            || rest.next().and_then(|text| text.parse::<u32>().ok()).with_context(|| format!("{name} N"));
        match *name {
            "--seconds" => options.lasting = Duration::from_secs(number()?.into()),
            "--rate" => options.rate = number()?,
            "--restarts" => options.restarts = usize::try_from(number()?)?,
            // What cargo and people give every test.
            "--long" | "--test-threads=1" | "--nocapture" | "--quiet" => {}
            scenario => chosen.push(Scenario::of(scenario)?),
        }
    }
    if chosen.is_empty() {
        chosen.extend(Scenario::ALL);
    }
    Ok((chosen, options))
}
