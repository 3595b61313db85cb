//! The table: medians, and ratios against Envoy.

use super::{Round, Shape};

/// Prints one shape's table; `measured` and `idle` hold Envoy first, then ours.
pub(super) fn print(shape: Shape, measured: &[Vec<Round>; 2], idle: &[f64]) {
    let title = match shape {
        Shape::Closed => "HTTP/1.1, closed loop, 64 connections",
        Shape::FixedRate => "HTTP/1.1, 2,000 requests a second",
    };
    println!("\n{title}");
    println!(
        "{:<8} {:>12} {:>19} {:>9} {:>9} {:>9} {:>16}",
        "proxy", "CPU µs/req", "(min to max)", "p50 µs", "p99 µs", "req/s", "MiB idle / load"
    );
    for ((name, rounds), idle) in ["envoy", "lateen"].iter().zip(measured).zip(idle) {
        let cpu = |round: &Round| round.cpu_microseconds;
        println!(
            "{name:<8} {:>12.1} {:>19} {:>9.0} {:>9.0} {:>9.0} {:>16}",
            median(rounds, cpu),
            format!("{:.1} to {:.1}", least(rounds, cpu), most(rounds, cpu)),
            median(rounds, |round| round.figures.p50),
            median(rounds, |round| round.figures.p99),
            median(rounds, |round| round.figures.per_second),
            format!("{idle:.1} / {:.1}", median(rounds, |round| round.resident_mib)),
        );
    }
    let [envoy, ours] = measured;
    let ratio = |of: fn(&Round) -> f64| median(ours, of) / median(envoy, of);
    println!(
        "ratio    {:>12.2} {:>19} {:>9.2} {:>9.2} {:>9.2} {:>16}",
        ratio(|round| round.cpu_microseconds),
        "",
        ratio(|round| round.figures.p50),
        ratio(|round| round.figures.p99),
        ratio(|round| round.figures.per_second),
        format!("{:.2} / {:.2}", idle[1] / idle[0], ratio(|round| round.resident_mib)),
    );
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn least(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    rounds.iter().map(of).fold(f64::INFINITY, f64::min)
}

fn most(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    rounds.iter().map(of).fold(f64::NEG_INFINITY, f64::max)
}
