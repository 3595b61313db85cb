//! Putting configuration into use: compile, open sockets, publish, tell the
//! workers.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use routing::compile::{Changes, Kind, Rejection, Skipped, compile};
use routing::config::Config;
use routing::invalid::Invalid;
use tokio::sync::mpsc::UnboundedSender;

use crate::listen;
use crate::secrets::Secrets;
use crate::shared::Shared;
use crate::sockets::Sockets;

/// What a worker is told.
#[derive(Debug)]
pub enum Command {
    /// Accept connections.
    Listen {
        /// The listener's name.
        name: Arc<str>,
        /// The socket's address.
        address: SocketAddr,
        /// The socket.
        socket: StdListener,
    },
    /// Accept no more connections.
    Unlisten {
        /// The listener's name.
        name: Arc<str>,
        /// The socket's address.
        address: SocketAddr,
    },
    /// End.
    Stop,
}

/// Puts configuration into use.
#[derive(Debug)]
pub struct Control {
    shared: Arc<Shared>,
    workers: Vec<UnboundedSender<Command>>,
    /// Listener and configured address, and the address that was bound.
    bound: BTreeMap<(Arc<str>, SocketAddr), SocketAddr>,
    sockets: Arc<Sockets>,
    /// Another process listens now.
    retired: bool,
}

/// What became of changes.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// Resources that were not accepted.
    pub rejections: Vec<Rejection>,
    /// What is configured and has no effect here.
    pub skipped: Vec<Skipped>,
}

/// Sockets that are open and not yet handed to the workers.
type Opened = Vec<(Arc<str>, SocketAddr, SocketAddr, Vec<StdListener>)>;

impl Control {
    /// Tells these workers.
    pub fn new(
        shared: Arc<Shared>,
        workers: Vec<UnboundedSender<Command>>,
        sockets: Arc<Sockets>,
    ) -> Control {
        Control { shared, workers, bound: BTreeMap::new(), sockets, retired: false }
    }

    /// Applies changes. When it returns, every request that begins sees
    /// them.
    pub fn apply(&mut self, changes: &Changes) -> Applied {
        let previous = self.shared.config();
        let compiled = compile(&previous, changes);
        let mut config = compiled.config;
        let mut applied = Applied { rejections: compiled.rejections, skipped: compiled.skipped };
        let opened = self.open(&mut config, &previous, &mut applied);
        self.shared.publish(config.clone());
        self.hand_over(opened);
        self.close(&config);
        for rejection in &applied.rejections {
            tracing::warn!("{:?} `{}` rejected: {}", rejection.kind, rejection.name, rejection.reason);
        }
        for skipped in &applied.skipped {
            tracing::info!("listener `{}`: passed over: {}", skipped.listener, skipped.what);
        }
        applied
    }

    /// The configuration in use.
    pub fn config(&self) -> Arc<Config> {
        self.shared.config()
    }

    /// Certificates, keys and roots by name.
    pub fn secrets(&self) -> &Secrets {
        self.shared.tls.secrets()
    }

    /// How many workers there are.
    pub fn concurrency(&self) -> usize {
        self.workers.len()
    }

    /// The addresses that are listened on, by listener.
    pub fn listening(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.bound.iter().map(|((name, _), bound)| (name.clone(), *bound)).collect()
    }

    /// Accepts no more connections on any listener.
    pub fn close_all(&mut self) {
        self.close(&Config::default());
    }

    /// Accepts no more connections, whatever is configured from now on:
    /// another process has the sockets.
    pub fn retire(&mut self) {
        self.retired = true;
        self.close_all();
        self.shared.retire();
    }

    /// Tells the workers to end.
    pub fn stop(&self) {
        for worker in &self.workers {
            // One that has ended already needs no telling.
            let _ = worker.send(Command::Stop);
        }
    }

    /// Opens the sockets that the configuration needs and that are not open.
    /// A listener whose socket cannot be opened stays as it was.
    fn open(&self, config: &mut Config, previous: &Config, applied: &mut Applied) -> Opened {
        let mut opened = Opened::new();
        if self.retired {
            return opened;
        }
        let mut failed: Vec<(Arc<str>, Invalid)> = Vec::new();
        for entry in config.listeners.active.values().filter(|entry| entry.value.bind_to_port) {
            let name = &entry.value.name;
            for address in &entry.value.addresses {
                if self.bound.contains_key(&(name.clone(), *address)) {
                    continue;
                }
                match self.sockets(*address) {
                    Ok((bound, sockets)) => opened.push((name.clone(), *address, bound, sockets)),
                    Err(error) => {
                        let reason = Invalid::new("address", format!("cannot bind `{address}`: {error}"));
                        failed.push((name.clone(), reason));
                        break;
                    }
                }
            }
        }
        for (name, reason) in failed {
            config.restore_listener(&name, previous);
            opened.retain(|(opened, ..)| *opened != name);
            applied.rejections.push(Rejection { kind: Kind::Listener, name: name.to_string(), reason });
        }
        opened
    }

    /// One socket for each worker, or more where a process before this one
    /// had more workers: connections wait at each of them.
    fn sockets(&self, address: SocketAddr) -> std::io::Result<(SocketAddr, Vec<StdListener>)> {
        let mut sockets = self.sockets.listeners(address);
        if sockets.is_empty() {
            sockets.push(listen::bind(address)?);
        }
        let bound = sockets[0].local_addr()?;
        while sockets.len() < self.workers.len() {
            sockets.push(listen::bind(bound)?);
        }
        self.sockets.keep_listeners(address, &sockets)?;
        Ok((bound, sockets))
    }

    fn hand_over(&mut self, opened: Opened) {
        for (name, address, bound, sockets) in opened {
            for (worker, socket) in self.workers.iter().cycle().zip(sockets) {
                let _ = worker.send(Command::Listen { name: name.clone(), address, socket });
            }
            self.bound.insert((name, address), bound);
        }
    }

    /// Closes the sockets that the configuration no longer has.
    fn close(&mut self, config: &Config) {
        let workers = &self.workers;
        self.bound.retain(|(name, address), _| {
            let listener = config.listener(name);
            let wanted = listener
                .is_some_and(|listener| listener.bind_to_port && listener.addresses.contains(address));
            if !wanted {
                self.sockets.forget(*address);
                for worker in workers {
                    let _ = worker.send(Command::Unlisten { name: name.clone(), address: *address });
                }
            }
            wanted
        });
    }
}
