//! `lateen explain`: the way of a request, told from the objects that decide
//! it.

use analysis::explain::{Answer, Destination, EndpointView, Explanation, Faults, Place};
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
        _ => say(arguments, &reply),
    }
    Ok(())
}

fn say(arguments: &Explain, reply: &ExplainReply) {
    let explanation = &reply.explanation;
    line("request", &format!("{} {}", arguments.method.to_ascii_uppercase(), arguments.url));
    for header in &arguments.headers {
        line("", header);
    }
    let proxy = if reply.has_proxy { "" } else { ", which has no proxy" };
    line("from", &format!("{} in {}{proxy}", reply.pod, reply.namespace));
    line("to", &destination(explanation));
    if !reply.has_proxy {
        return;
    }
    say_way(explanation);
    say_answer(&explanation.answer);
    if let Some(help) = &explanation.help {
        line("help", help);
    }
    for rejected in &explanation.rejected {
        line(
            "rejected",
            &format!(
                "{}{} `{}`: {}{}",
                style::WARNING,
                rejected.kind,
                rejected.name,
                rejected.reason,
                style::RESET
            ),
        );
    }
}

fn destination(explanation: &Explanation) -> String {
    let address = explanation.destination;
    match &explanation.resolved_by {
        object if explanation.is_outside => {
            let text = format!("port {} of an address that the mesh does not know", address.port());
            object.iter().fold(text, |text, object| format!("{text}  {}", dim(object)))
        }
        Some(object) => format!("{address}  {}", dim(object)),
        None => address.to_string(),
    }
}

fn say_answer(answer: &Answer) {
    match answer {
        Answer::NotListening => say_end("the connection is refused: no listener has this port"),
        Answer::Closed => say_end("the connection is closed: no filter chain takes it"),
        Answer::NoRoute => say_end("404: no route matches"),
        Answer::Redirect { status, location } => line("answer", &format!("{status} to {location}")),
        Answer::Respond { status, body } => line("answer", &format!("{status} {body}")),
        Answer::Tcp { destinations } => {
            say_destinations(destinations);
            line("answer", "the bytes go on as they are");
        }
        Answer::Forward {
            destinations,
            timeout,
            retries,
            faults,
            path,
            host,
            request_headers,
            response_headers,
            mirrors,
        } => {
            if let Some(faults) = faults {
                line("fault", &fault(faults));
            }
            part("path", path);
            part("authority", host);
            listed("headers", request_headers);
            listed("in answers", response_headers);
            say_destinations(destinations);
            for mirror in mirrors {
                line("copies", &format!("{} to {}", percent(mirror.percent), mirror.cluster));
            }
            line("timeout", &timeout.map_or("none".to_owned(), |timeout| format!("{timeout:?}")));
            let retries = retries.as_ref().map(|retries| match retries.per_try_timeout {
                Some(each) => format!("{}, each attempt within {each:?}", retries.attempts),
                None => retries.attempts.to_string(),
            });
            line("retries", retries.as_deref().unwrap_or("none"));
        }
    }
}

fn say_end(text: &str) {
    line("answer", &format!("{}{text}{}", style::ERROR, style::RESET));
}

fn say_way(explanation: &Explanation) {
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
    let shares: Vec<String> = destinations.iter().map(|destination| percent(destination.percent)).collect();
    let width = shares.iter().map(String::len).max().unwrap_or(0);
    for (destination, share) in destinations.iter().zip(&shares) {
        let share = if destinations.len() == 1 { String::new() } else { format!("{share:>width$}  ") };
        line("cluster", &format!("{share}{}", destination.cluster));
        if let Some(by) = &destination.defined_by {
            below(&place(by));
        }
        if let Some(host) = &destination.host {
            below(&format!("authority {host}"));
        }
        destination.request_headers.iter().for_each(|change| below(change));
        destination.response_headers.iter().for_each(|change| below(&format!("in answers: {change}")));
        match (destination.exists, destination.endpoints.is_empty()) {
            (false, _) => {
                below(&format!("{}503: the proxy has no such cluster{}", style::ERROR, style::RESET))
            }
            (true, true) => below(&format!("{}503: no endpoint is ready{}", style::ERROR, style::RESET)),
            (true, false) => say_endpoints(&destination.endpoints),
        }
    }
}

fn say_endpoints(endpoints: &[EndpointView]) {
    let width = endpoints.iter().map(|endpoint| endpoint.address.len()).max().unwrap_or(0);
    for endpoint in endpoints {
        let workload = endpoint.workload.as_deref().unwrap_or_default();
        below(&format!("{:<width$}  {workload}", endpoint.address));
    }
}

fn fault(faults: &Faults) -> String {
    let share = |share: f64| if share == 100.0 { String::new() } else { format!("{} ", percent(share)) };
    let delay = faults.delay.map(|delay| format!("{}delayed by {delay:?}", share(faults.delay_percent)));
    let abort = faults.abort.as_ref().map(|abort| format!("{}answered {abort}", share(faults.abort_percent)));
    [delay, abort].into_iter().flatten().collect::<Vec<_>>().join(", then ")
}

/// `90 %`, `33.3 %`.
fn percent(share: f64) -> String {
    let text = format!("{share:.1}");
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// `VirtualService/default/reviews http[0]  reviews.yaml:7`.
fn place(place: &Place) -> String {
    let mut text = place.object.clone();
    if !place.path.is_empty() {
        text.push(' ');
        text.push_str(&place.path);
    }
    match (&place.file, place.line) {
        (Some(file), Some(line)) => format!("{text}  {}", dim(&format!("{file}:{line}"))),
        (Some(file), None) => format!("{text}  {}", dim(file)),
        _ => text,
    }
}

fn dim(text: &str) -> String {
    format!("{}{text}{}", style::DIM, style::RESET)
}

fn part(label: &str, value: &Option<String>) {
    if let Some(value) = value {
        line(label, value);
    }
}

fn listed(label: &str, values: &[String]) {
    for (at, value) in values.iter().enumerate() {
        line(if at == 0 { label } else { "" }, value);
    }
}

fn line(label: &str, value: &str) {
    anstream::println!("{}{label:<11}{}{}", style::DIM, style::RESET, value.trim_end());
}

/// More about the line before.
fn below(value: &str) {
    line("", &format!("  {value}"));
}

#[cfg(test)]
mod tests;
