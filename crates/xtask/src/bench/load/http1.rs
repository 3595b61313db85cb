//! HTTP/1.1: a closed loop over connections, kept or new for each request, or a
//! fixed rate whose latencies count from the moment a request was due.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::super::poll::{Poll, connect, head_end};
use super::{Figures, Kind, Plan, request};

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// When the request on the way was due.
    due: Option<Instant>,
}

/// What came on a connection.
enum Got {
    /// A whole answer of this status.
    Answer(u16),
    /// Its end, after the answer.
    Closed,
}

/// Runs the plan.
pub(super) fn run(plan: &Plan) -> Result<Figures> {
    let renews = plan.kind == Kind::NewConnections;
    let request = request(&plan.host, renews);
    let poll = Poll::new()?;
    let mut connections = Vec::with_capacity(plan.connections);
    for token in 0..plan.connections {
        let stream = connect(plan.address)?;
        poll.add(&stream, token as u64)?;
        connections.push(Connection { stream, buffer: Vec::with_capacity(4096), due: None });
    }
    let renewed = renews.then_some(plan.address);
    let mut run = Run { request, poll, connections, renewed, latencies: Vec::new(), failures: 0 };
    let start = Instant::now();
    match plan.rate {
        None => run.closed_loop(start + Duration::from_secs_f64(plan.seconds))?,
        Some(rate) => run.fixed_rate(start, rate, plan.seconds)?,
    }
    Figures::of(run.latencies, run.failures, start.elapsed().as_secs_f64())
}

struct Run {
    request: Vec<u8>,
    poll: Poll,
    connections: Vec<Connection>,
    /// Where each request gets a connection of its own.
    renewed: Option<SocketAddr>,
    latencies: Vec<u32>,
    failures: u64,
}

impl Run {
    fn closed_loop(&mut self, end: Instant) -> Result<()> {
        for index in 0..self.connections.len() {
            self.send(index, Instant::now())?;
        }
        loop {
            let done = self.receive(None)?;
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            for index in done {
                if let Some(address) = self.renewed {
                    self.renew(index, address)?;
                }
                self.send(index, now)?;
            }
        }
    }

    fn renew(&mut self, index: usize, address: SocketAddr) -> Result<()> {
        let connection = &mut self.connections[index];
        connection.stream = connect(address)?;
        self.poll.add(&connection.stream, index as u64)
    }

    fn fixed_rate(&mut self, start: Instant, rate: u32, seconds: f64) -> Result<()> {
        let total = (f64::from(rate) * seconds) as u64;
        let period = Duration::from_secs(1) / rate;
        let mut idle: VecDeque<usize> = (0..self.connections.len()).collect();
        let (mut sent, mut answered) = (0, 0);
        while answered < total {
            let due = start + period * u32::try_from(sent).context("fewer requests than 2^32")?;
            let now = Instant::now();
            if sent < total
                && now >= due
                && let Some(index) = idle.pop_front()
            {
                self.send(index, due)?;
                sent += 1;
                continue;
            }
            let limit = match sent < total && !idle.is_empty() {
                true => due.saturating_duration_since(now),
                false => Duration::from_secs(5),
            };
            let done = self.receive(Some(limit))?;
            ensure!(sent < total || !done.is_empty(), "no answer within {limit:?}");
            answered += done.len() as u64;
            idle.extend(done);
        }
        Ok(())
    }

    fn send(&mut self, index: usize, due: Instant) -> Result<()> {
        let connection = &mut self.connections[index];
        connection.due = Some(due);
        connection.stream.write_all(&self.request).context("send a request")
    }

    /// Connections whose answer is whole.
    fn receive(&mut self, limit: Option<Duration>) -> Result<Vec<usize>> {
        let ready: Vec<u64> = self.poll.wait(limit)?.collect();
        let mut done = Vec::with_capacity(ready.len());
        for token in ready {
            let index = usize::try_from(token).context("a token is an index")?;
            let connection = &mut self.connections[index];
            let status = match connection.read(self.renewed.is_some())? {
                None => continue,
                Some(Got::Closed) => {
                    done.push(index);
                    continue;
                }
                Some(Got::Answer(status)) => status,
            };
            if status != 200 {
                self.failures += 1;
            }
            if let Some(due) = connection.due.take() {
                self.latencies.push(u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX));
                if self.renewed.is_none() {
                    done.push(index);
                }
            }
        }
        Ok(done)
    }
}

impl Connection {
    /// An answer that is whole now, or the end that follows it where the
    /// proxy is asked to close: who closes first keeps the port for a minute,
    /// and a client would run out of ports.
    fn read(&mut self, closes: bool) -> Result<Option<Got>> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) if closes && self.due.is_none() => return Ok(Some(Got::Closed)),
            Ok(0) => bail!("the proxy closed a connection"),
            Ok(length) => self.buffer.extend_from_slice(&bytes[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("read an answer"),
        }
        let Some(end) = head_end(&self.buffer) else { return Ok(None) };
        let head = std::str::from_utf8(&self.buffer[..end]).context("a head in UTF-8")?;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).context("a status")?;
        let length: usize = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse().ok())
            .context("an answer with content-length")?;
        if self.buffer.len() < end + length {
            return Ok(None);
        }
        self.buffer.clear();
        Ok(Some(Got::Answer(status)))
    }
}
