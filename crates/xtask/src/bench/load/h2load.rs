//! HTTP/2 and gRPC by nghttp2's `h2load`, which spends less on a request than
//! any proxy and so leaves CPU 1 to the server.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{Figures, Kind, Plan};

/// Streams of each connection.
const STREAMS: usize = 8;

pub(super) fn run(plan: &Plan) -> Result<Figures> {
    let folder = std::env::temp_dir().join(format!("h2load-{}", std::process::id()));
    std::fs::create_dir_all(&folder).context("make a folder for the log")?;
    let figures = measured(plan, &folder);
    // A folder that cannot be removed does not change the figures.
    let _ = std::fs::remove_dir_all(&folder);
    figures
}

fn measured(plan: &Plan, folder: &std::path::Path) -> Result<Figures> {
    let log = folder.join("requests");
    let mut command = Command::new("h2load");
    command
        .args(["--clients", &plan.connections.to_string(), "--max-concurrent-streams", &STREAMS.to_string()])
        .args(["--duration", &format!("{}", plan.seconds.ceil())])
        .arg(format!("--log-file={}", log.display()));
    let path = match plan.kind {
        Kind::Grpc => {
            let message = folder.join("message");
            std::fs::write(&message, crate::bench::server::grpc_message()).context("write a message")?;
            command.arg("--data").arg(message);
            command.args(["--header", "content-type: application/grpc", "--header", "te: trailers"]);
            "/bench.Echo/Call"
        }
        _ => {
            command.args(["--header", "x-tenant: blue", "--header", "accept: application/json"]);
            "/items/42?view=full"
        }
    };
    command.arg(format!("http://{}{path}", plan.host)).stdout(Stdio::null());
    let status = command.status().context("start h2load: `cargo xtask tools h2load` installs it")?;
    ensure!(status.success(), "h2load ended with {status}");
    read(&std::fs::read_to_string(&log).context("read h2load's log")?, plan.seconds.ceil())
}

/// Lines of start in microseconds, status, microseconds taken; status -1 failed.
fn read(log: &str, seconds: f64) -> Result<Figures> {
    let mut latencies = Vec::new();
    let mut failures = 0;
    for line in log.lines() {
        let mut fields = line.split('\t').skip(1);
        let status: i32 = fields.next().and_then(|field| field.parse().ok()).context("a status")?;
        let took = fields.next().and_then(|field| field.parse().ok()).context("a duration")?;
        match status {
            200 => latencies.push(took),
            _ => failures += 1,
        }
    }
    Figures::of(latencies, failures, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read() {
        let figures = read("1\t200\t10\n2\t200\t30\n3\t503\t5\n", 2.0).expect("figures");
        assert_eq!((figures.requests, figures.failures), (2, 1));
        assert_eq!((figures.per_second, figures.p50, figures.p99), (1.0, 10.0, 10.0));
        assert!(read("", 1.0).is_err());
    }
}
