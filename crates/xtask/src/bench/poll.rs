//! Readiness of many sockets on one thread, as thin as it can be: what the
//! load and the server cost is subtracted from nobody.

use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

/// An epoll instance and its events.
pub(super) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    pub(super) fn new() -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).context("create an epoll instance")?;
        Ok(Self { epoll, events: Vec::with_capacity(256) })
    }

    /// Tells of input on `source` by `token`.
    pub(super) fn add(&self, source: impl AsFd, token: u64) -> Result<()> {
        epoll::add(&self.epoll, source, EventData::new_u64(token), EventFlags::IN).context("watch a socket")
    }

    /// The tokens of sockets with input; none when the time passed.
    pub(super) fn wait(&mut self, limit: Option<Duration>) -> Result<impl Iterator<Item = u64>> {
        let limit = limit.map(|limit| Timespec {
            tv_sec: limit.as_secs().cast_signed(),
            tv_nsec: limit.subsec_nanos().into(),
        });
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for sockets"),
        }
        Ok(self.events.drain(..).map(|event| event.data.u64()))
    }
}

/// A connected socket that never waits.
pub(super) fn connect(address: std::net::SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// Where a message's head ends, if it is whole.
pub(super) fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}
