//! Messages and file descriptors between two processes of the mesh.
//!
//! A channel is a pair of connected `SOCK_SEQPACKET` sockets: a message arrives whole or not at all, and the end of
//! one process is the end of the other's channel. Messages are JSON; a long one travels in an anonymous file.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// Descriptors that one message may carry.
const MAX_DESCRIPTORS: usize = 64;

/// Longest message that travels in the packet itself.
const MAX_INLINE: usize = 32 * 1024;

const INLINE: u8 = 0;
const IN_FILE: u8 = 1;

/// A message with the descriptors that came along.
#[derive(Debug)]
pub(crate) struct Received<T> {
    /// The message.
    pub(crate) message: T,
    /// Its descriptors, in the sender's order.
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// One end of a channel, for a process that waits.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Two connected ends.
    pub(crate) fn pair() -> io::Result<(Channel, Channel)> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Channel { socket: one }, Channel { socket: other }))
    }

    /// Sends a message with copies of `descriptors`.
    pub(crate) fn send<T: Serialize>(&self, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        send(self.socket.as_fd(), message, descriptors)
    }

    /// Waits for a message; `None` when the other end is gone.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Received<T>>> {
        receive(self.socket.as_fd())
    }

    /// Whether the other end is gone.
    pub(crate) fn is_closed(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.socket, PollFlags::empty())];
        poll(&mut polled, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        Ok(polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR))
    }

    /// The same end for a process that has other things to do meanwhile; needs a tokio runtime.
    pub(crate) fn into_async(self) -> io::Result<AsyncChannel> {
        rustix::io::ioctl_fionbio(&self.socket, true)?;
        // tokio only waits for it; messages are sent and received by the functions below.
        let socket = std::os::unix::net::UnixDatagram::from(self.socket);
        Ok(AsyncChannel { socket: UnixDatagram::from_std(socket)? })
    }
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Self {
        Channel { socket }
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.socket
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// One end of a channel, in a tokio runtime.
#[derive(Debug)]
pub(crate) struct AsyncChannel {
    socket: UnixDatagram,
}

impl AsyncChannel {
    /// Sends a message with copies of `descriptors`; waits while the receiver is behind.
    pub(crate) async fn send<T: Serialize>(
        &self,
        message: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        self.socket.async_io(Interest::WRITABLE, || send(self.socket.as_fd(), message, descriptors)).await
    }

    /// Waits for a message; `None` when the other end is gone.
    pub(crate) async fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<Received<T>>> {
        self.socket.async_io(Interest::READABLE, || receive(self.socket.as_fd())).await
    }
}

fn send<T: Serialize>(socket: BorrowedFd<'_>, message: &T, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if descriptors.len() >= MAX_DESCRIPTORS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    let body = serde_json::to_vec(message)?;
    if body.len() <= MAX_INLINE {
        return send_packet(socket, INLINE, &body, descriptors);
    }
    let mut file = File::from(memfd_create("message", MemfdFlags::CLOEXEC)?);
    file.write_all(&body)?;
    file.rewind()?;
    let mut with_file = vec![file.as_fd()];
    with_file.extend_from_slice(descriptors);
    send_packet(socket, IN_FILE, &[], &with_file)
}

fn send_packet(
    socket: BorrowedFd<'_>,
    place: u8,
    body: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    let parts = [IoSlice::new(std::slice::from_ref(&place)), IoSlice::new(body)];
    sendmsg(socket, &parts, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive<T: DeserializeOwned>(socket: BorrowedFd<'_>) -> io::Result<Option<Received<T>>> {
    let mut buffer = vec![0; MAX_INLINE + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let packet =
        match recvmsg(socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(packet) => packet,
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let Some((place, body)) = buffer[..packet.bytes].split_first() else { return Ok(None) };
    let message = if *place == IN_FILE {
        if descriptors.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message without its file"));
        }
        let mut text = Vec::new();
        File::from(descriptors.remove(0)).read_to_end(&mut text)?;
        serde_json::from_slice(&text)?
    } else {
        serde_json::from_slice(body)?
    };
    Ok(Some(Received { message, descriptors }))
}

#[cfg(test)]
mod tests;
