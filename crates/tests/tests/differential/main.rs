//! Our proxy beside stock Envoy, on configurations and requests drawn at
//! random.
//!
//! Without arguments, a few hundred requests on configurations in a row, from
//! anywhere among the seeds that the last long run found without differences:
//! each run looks elsewhere, and a difference is news. `--seed N`,
//! `--configurations N` and `--requests N` say otherwise, `--metrics` compares
//! what was counted too, and `--fresh`, which is what `cargo xtask soak
//! differential` says, takes a seed that nobody has tried.
//!
//! This program is also the proxy that it tests, and starts itself again in
//! namespaces of its own.

use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use tests::differential::planes;
use tests::differential::run::{Options, Outcome, run};
use tests::namespace;

/// Seeds of the last long run, each that of one configuration.
const KNOWN: std::ops::Range<u64> = 71_000..71_100;
/// Those of them that showed a difference which is not mended yet.
const DIFFERENT: [u64; 0] = [];
/// How many configurations the test command takes.
const FEW: usize = 25;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [namespace::INSIDE, rest @ ..] => inside(rest),
        [planes::PROXY, node, socket, admin] => {
            planes::run_proxy(node, socket, admin).map(|()| ExitCode::SUCCESS)
        }
        _ => namespace::enter(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("differential: {error:#}");
        ExitCode::FAILURE
    })
}

fn inside(arguments: &[&str]) -> Result<ExitCode> {
    let options = options(arguments)?;
    println!(
        "differential: --seed {} --configurations {} --requests {}",
        options.seed, options.configurations, options.requests
    );
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(run(&options))?;
    println!(
        "{} configurations, {} requests in {} s, {} of them to apply; {} unanswered; {} differences did not come again; statuses {:?}",
        outcome.configurations,
        outcome.requests,
        started.elapsed().as_secs(),
        outcome.applying.as_secs(),
        outcome.silent,
        outcome.passing.values().map(|(count, _)| count).sum::<usize>(),
        outcome.statuses
    );
    for (kind, (count, example)) in &outcome.passing {
        println!("{count:>6} passing: {kind}: {example}");
    }
    Ok(verdict(&outcome))
}

fn verdict(outcome: &Outcome) -> ExitCode {
    if outcome.silent * 20 > outcome.requests {
        println!("too many requests were not answered at all: the world is broken");
        return ExitCode::FAILURE;
    }
    if outcome.kinds.is_empty() && outcome.requests > 0 {
        println!("no difference");
        return ExitCode::SUCCESS;
    }
    println!("{} kinds of differences:", outcome.kinds.len());
    for (kind, count) in &outcome.kinds {
        println!("{count:>6} {kind}");
    }
    ExitCode::FAILURE
}

fn options(arguments: &[&str]) -> Result<Options> {
    let mut options = Options { seed: known(clock()?), configurations: FEW, requests: 400, metrics: false };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let mut number =
            || rest.next().and_then(|text| text.parse().ok()).with_context(|| format!("{name} N"));
        match *name {
            "--fresh" => options.seed = clock()? % 1_000_000_000,
            "--metrics" => options.metrics = true,
            "--seed" => options.seed = number()?,
            "--configurations" => options.configurations = usize::try_from(number()?)?,
            "--requests" => options.requests = usize::try_from(number()?)?,
            // What cargo and people give every test.
            "--test-threads=1" | "--nocapture" | "--quiet" => {}
            other => bail!(
                "`{other}` is not known: --fresh, --metrics, --seed N, --configurations N, --requests N"
            ),
        }
    }
    Ok(options)
}

/// Seconds since 1970.
fn clock() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_secs())
}

/// The first of a few known seeds in a row.
fn known(drawn: u64) -> u64 {
    let few = FEW as u64;
    let starts = || (KNOWN.start..=KNOWN.end - few).filter(|start| is_clean(*start..*start + few));
    let number = usize::try_from(drawn).unwrap_or_default() % starts().count().max(1);
    starts().nth(number).unwrap_or(KNOWN.start)
}

fn is_clean(seeds: std::ops::Range<u64>) -> bool {
    DIFFERENT.iter().all(|different| !seeds.contains(different))
}
