//! Messages with descriptors on a `SOCK_SEQPACKET` socket: each arrives whole
//! or not at all.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Descriptors that one message carries.
pub const MAX_DESCRIPTORS: usize = 64;

/// Longest message.
const MAX_MESSAGE: usize = 64 * 1024;

/// Sends a message with copies of `descriptors`.
pub fn send<T: Serialize>(link: &OwnedFd, message: &T, descriptors: &[&OwnedFd]) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let descriptors: Vec<_> = descriptors.iter().map(|descriptor| descriptor.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors for one message"));
    }
    sendmsg(link, &[IoSlice::new(&body)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for a message.
pub fn receive<T: DeserializeOwned>(link: &OwnedFd, patience: Duration) -> io::Result<(T, Vec<OwnedFd>)> {
    wait(link, patience)?;
    let mut buffer = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(link, &mut [IoSliceMut::new(&mut buffer)], &mut control, flags)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((serde_json::from_slice(&buffer[..received.bytes])?, descriptors))
}

fn wait(link: &OwnedFd, patience: Duration) -> io::Result<()> {
    let limit = Timespec::try_from(patience).ok();
    let mut watched = [PollFd::new(link, PollFlags::IN)];
    loop {
        match poll(&mut watched, limit.as_ref()) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
