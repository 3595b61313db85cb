//! `lateen explain`: the way of a request, told from the objects that decide
//! it.

use analysis::explain::{Answer, Destination, Explanation, Faults, Place};
use clap::Args;

use super::{apply, input, output};
use crate::client::Client;
use crate::failure::{BAD_INPUT, Failure, Outcome, style};
use crate::protocol::{ExplainReply, ExplainRequest};

/// Tells what a workload's proxy would do with a request, and why: listener,
/// route, rule with file and line, destinations, timeout, retries, faults.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: lateen explain GET http://reviews:9080/ --from productpage -H 'end-user: jason'"
)]
pub struct Explain {
    /// Method.
    method: String,
    /// `http://HOST[:PORT]/PATH`.
    url: String,
    /// Pod, Deployment or `svc/NAME` that sends the request.
    #[arg(long, value_name = "WORKLOAD")]
    from: String,
    /// A header, `NAME: VALUE`.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Objects to put in first, without applying them.
    #[arg(short = 'f', long = "filename", value_name = "FILE|DIR|@SAMPLE|-")]
    filename: Vec<String>,
    /// Namespace of the workload.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// `table`, `json` or `yaml`.
    #[arg(short, long, value_enum, default_value = "table")]
    output: output::Format,
}

/// Runs `lateen explain`.
pub fn run(arguments: &Explain, client: &Client) -> Outcome {
    let request = ExplainRequest {
        method: arguments.method.clone(),
        url: arguments.url.clone(),
        from: arguments.from.clone(),
        namespace: arguments.namespace.clone(),
        headers: arguments.headers.clone(),
        sources: input::read(&arguments.filename)?,
    };
    let reply: ExplainReply = client.post("/v1/explain", &request)?;
    reply.problems.iter().for_each(apply::say_problem);
    if reply.problems.iter().any(|problem| problem.is_error) {
        return Err(Failure::Said(BAD_INPUT));
    }
    match arguments.output {
        output::Format::Json => output::json(&reply)?,
        output::Format::Yaml => output::yaml(&reply)?,
        _ => say(&reply),
    }
    Ok(())
}

fn say(reply: &ExplainReply) {
    let explanation = &reply.explanation;
    line(
        "from",
        &format!("{}.{}{}", reply.pod, reply.namespace, if reply.has_proxy { "" } else { " (no proxy)" }),
    );
    line("to", &explanation.destination.to_string());
    if !reply.has_proxy {
        return;
    }
    say_way(explanation);
    match &explanation.answer {
        Answer::NotListening => line("answer", "the connection is refused: no listener has this port"),
        Answer::Closed => line("answer", "the connection is closed: no filter chain takes it"),
        Answer::NoRoute => line("answer", "404: no route matches"),
        Answer::Redirect { status, location } => line("answer", &format!("{status} to {location}")),
        Answer::Respond { status, body } => line("answer", &format!("{status} {body}")),
        Answer::Tcp { destinations } => say_destinations(destinations),
        Answer::Forward { destinations, timeout, retries, faults, path, request_headers } => {
            if let Some(faults) = faults {
                line("fault", &fault(faults));
            }
            if let Some(path) = path {
                line("path", path);
            }
            for change in request_headers {
                line("header", change);
            }
            say_destinations(destinations);
            line("timeout", &timeout.map_or("none".to_owned(), |timeout| format!("{timeout:?}")));
            let retries = retries.as_ref().map(|retries| match retries.per_try_timeout {
                Some(each) => format!("{}, each within {each:?}", retries.attempts),
                None => retries.attempts.to_string(),
            });
            line("retries", retries.as_deref().unwrap_or("none"));
        }
    }
}

fn say_way(explanation: &Explanation) {
    let part = |label: &str, value: &Option<String>| {
        if let Some(value) = value {
            line(label, value);
        }
    };
    part("listener", &explanation.listener);
    part("chain", &explanation.filter_chain);
    part("routes", &explanation.route_configuration);
    part("host", &explanation.virtual_host);
    part("route", &explanation.route);
    if let Some(rule) = &explanation.rule {
        line("rule", &place(rule));
    }
}

fn say_destinations(destinations: &[Destination]) {
    for destination in destinations {
        let share = match destinations.len() {
            1 => String::new(),
            _ => format!("{:.0} % ", destination.percent),
        };
        let missing = if destination.exists { "" } else { "  (the proxy has no such cluster: 503)" };
        line("cluster", &format!("{share}{}{missing}", destination.cluster));
        if let Some(by) = &destination.defined_by {
            line("", &format!("{}defined by {}{}", style::DIM, place(by), style::RESET));
        }
        if destination.exists && destination.endpoints.is_empty() {
            line("endpoint", "none is ready: 503");
        }
        for endpoint in &destination.endpoints {
            line(
                "endpoint",
                &format!("{}  {}", endpoint.address, endpoint.workload.as_deref().unwrap_or("")),
            );
        }
    }
}

fn fault(faults: &Faults) -> String {
    let delay = faults.delay.map(|delay| format!("{:.0} % delayed by {delay:?}", faults.delay_percent));
    let abort = faults.abort.as_ref().map(|abort| format!("{:.0} % answered {abort}", faults.abort_percent));
    [delay, abort].into_iter().flatten().collect::<Vec<_>>().join(", then ")
}

/// `VirtualService/default/reviews http[0]  reviews.yaml:7`.
fn place(place: &Place) -> String {
    let mut text = place.object.clone();
    if !place.path.is_empty() {
        text.push(' ');
        text.push_str(&place.path);
    }
    match (&place.file, place.line) {
        (Some(file), Some(line)) => format!("{text}  ({file}:{line})"),
        (Some(file), None) => format!("{text}  ({file})"),
        _ => text,
    }
}

fn line(label: &str, value: &str) {
    anstream::println!("{}{label:<10}{}{}", style::DIM, style::RESET, value.trim_end());
}
