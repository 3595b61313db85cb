//! Every listening socket of this process, by its address: those that came
//! from a process before it, and those to hand to the one after it.
//!
//! Workers share an address by several sockets, between which the kernel
//! spreads connections. A successor gets the very same sockets: connections
//! that wait to be accepted wait on, and none is spread anew.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// What a socket takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// Where a socket was asked to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Label {
    /// What it takes.
    pub kind: Kind,
    /// The address.
    pub address: SocketAddr,
}

/// The listening sockets.
#[derive(Debug, Default)]
pub struct Sockets {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// From the process before, not taken yet.
    inherited: BTreeMap<Label, Vec<OwnedFd>>,
    /// For the process after.
    open: BTreeMap<Label, Vec<OwnedFd>>,
}

impl Sockets {
    /// Those that came from the process before.
    pub fn inherited(sockets: Vec<(Label, OwnedFd)>) -> Sockets {
        let mut inherited: BTreeMap<Label, Vec<OwnedFd>> = BTreeMap::new();
        for (label, socket) in sockets {
            inherited.entry(label).or_default().push(socket);
        }
        Sockets { inner: Mutex::new(Inner { inherited, ..Inner::default() }) }
    }

    /// One listening socket at `address`: inherited, or what `bind` opens.
    pub fn listener(
        &self,
        address: SocketAddr,
        bind: impl FnOnce(SocketAddr) -> io::Result<TcpListener>,
    ) -> io::Result<TcpListener> {
        let mut inherited = self.listeners(address);
        let listener = match inherited.is_empty() {
            true => bind(address)?,
            false => inherited.swap_remove(0),
        };
        self.keep(Label { kind: Kind::Tcp, address }, [&listener])?;
        Ok(listener)
    }

    /// All inherited sockets at `address`; what is done with them is said by
    /// [`Sockets::keep_listeners`].
    pub fn listeners(&self, address: SocketAddr) -> Vec<TcpListener> {
        let label = Label { kind: Kind::Tcp, address };
        let inherited = self.lock().inherited.remove(&label).unwrap_or_default();
        inherited.into_iter().map(TcpListener::from).collect()
    }

    /// Keeps copies for the process after.
    pub fn keep_listeners(&self, address: SocketAddr, listeners: &[TcpListener]) -> io::Result<()> {
        self.keep(Label { kind: Kind::Tcp, address }, listeners)
    }

    /// One socket for datagrams at `address`: inherited, or opened.
    pub fn datagrams(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let label = Label { kind: Kind::Udp, address };
        let inherited = self.lock().inherited.remove(&label).and_then(|mut sockets| sockets.pop());
        let socket = match inherited {
            Some(socket) => UdpSocket::from(socket),
            None => UdpSocket::bind(address)?,
        };
        socket.set_nonblocking(true)?;
        self.keep(label, [&socket])?;
        Ok(socket)
    }

    /// The address is no longer listened on.
    pub fn forget(&self, address: SocketAddr) {
        self.lock().open.remove(&Label { kind: Kind::Tcp, address });
    }

    /// Copies of all sockets, for the process after.
    pub fn hand_over(&self) -> io::Result<Vec<(Label, OwnedFd)>> {
        let inner = self.lock();
        let all =
            inner.open.iter().flat_map(|(label, sockets)| sockets.iter().map(|socket| (*label, socket)));
        all.map(|(label, socket)| Ok((label, socket.try_clone()?))).collect()
    }

    /// Closes what nobody took and what is kept for a process after: that one
    /// has them.
    pub fn release(&self) {
        *self.lock() = Inner::default();
    }

    /// Closes inherited sockets that the configuration does not have.
    pub fn drop_unused(&self) {
        self.lock().inherited.clear();
    }

    fn keep<'s, S: AsFd + 's>(
        &self,
        label: Label,
        sockets: impl IntoIterator<Item = &'s S>,
    ) -> io::Result<()> {
        let copies: io::Result<Vec<OwnedFd>> =
            sockets.into_iter().map(|socket| socket.as_fd().try_clone_to_owned()).collect();
        self.lock().open.insert(label, copies?);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
