//! Sockets change hands, and nothing is lost when one side fails.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use super::*;
use crate::listen;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hot-restart.sock");
    (folder, path)
}

#[tokio::test]
async fn every_socket_is_handed_over_and_connections_wait_on() {
    let (_folder, path) = folder();
    assert!(take_over(&path).expect("nobody is there").is_none());
    let old = Arc::<Sockets>::default();
    let any = "127.0.0.1:0".parse().expect("an address");
    let listeners: Vec<_> = (0..3).map(|_| listen::bind(any).expect("a socket")).collect();
    old.keep_listeners(any, &listeners).expect("kept");
    let many: Vec<_> = (0..150).map(|_| listen::bind(any).expect("a socket")).collect();
    let other = "127.0.0.1:1".parse().expect("an address");
    old.keep_listeners(other, &many).expect("kept");
    let udp = old.datagrams(any).expect("a socket");
    let (mut supervisor, credential) = UnixStream::pair().expect("a pair");
    let successor =
        super::listen(&path, Arc::clone(&old), Some(credential.into())).expect("a place to listen");

    let address = listeners[1].local_addr().expect("an address");
    let waiting = TcpStream::connect(address).expect("a connection");
    let (mut predecessor, new) = take_over(&path).expect("sockets").expect("a predecessor");
    let mut credential = UnixStream::from(predecessor.credential.take().expect("it comes along"));
    credential.write_all(b"token").expect("asked");
    let mut asked = [0; 5];
    supervisor.read_exact(&mut asked).expect("heard");
    assert_eq!(&asked, b"token", "the same socket");
    assert_eq!(new.listeners(other).len(), 150);
    let inherited = new.listeners(any);
    let released = tokio::spawn(predecessor.release());
    let successor = successor.await.expect("a successor");
    drop((listeners, many));
    old.release();
    successor.released();
    released.await.expect("no panic").expect("released");

    let addresses: Vec<_> = inherited.iter().map(|it| it.local_addr().expect("an address")).collect();
    let at = addresses.iter().position(|it| *it == address).expect("the same socket");
    inherited[at].set_nonblocking(false).expect("blocking");
    let (_, peer) = inherited[at].accept().expect("the connection that was waiting");
    assert_eq!(peer, waiting.local_addr().expect("an address"));
    let datagrams = new.datagrams(any).expect("a socket");
    assert_eq!(datagrams.local_addr().expect("an address"), udp.local_addr().expect("an address"));
}

#[tokio::test]
async fn a_successor_that_fails_leaves_the_old_process_as_it_was() {
    let (_folder, path) = folder();
    let sockets = Arc::<Sockets>::default();
    let any = "127.0.0.1:0".parse().expect("an address");
    sockets.listener(any, std::net::TcpListener::bind).expect("a socket");
    let mut successor = super::listen(&path, Arc::clone(&sockets), None).expect("a place to listen");
    drop(take_over(&path).expect("sockets").expect("a predecessor"));
    let (predecessor, inherited) = take_over(&path).expect("sockets").expect("still there");
    assert!(successor.try_recv().is_err(), "the one that failed replaces nobody");
    assert_eq!(inherited.listeners(any).len(), 1);
    let released = tokio::spawn(predecessor.release());
    successor.await.expect("a successor").released();
    released.await.expect("no panic").expect("released");
}
