//! A worker thread.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::LocalRuntime;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{AbortHandle, spawn_local};

use crate::control::Command;
use crate::listen;
use crate::shared::Shared;
use crate::worker::Worker;

/// Starts a worker thread.
pub fn spawn(
    number: usize,
    shared: Arc<Shared>,
    commands: UnboundedReceiver<Command>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread();
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let mut runtime = runtime;
        match runtime.enable_all().build_local(tokio::runtime::LocalOptions::default()) {
            Ok(runtime) => run(&runtime, shared, commands),
            Err(error) => tracing::error!("worker {number} has no runtime: {error}"),
        }
    })
}

fn run(runtime: &LocalRuntime, shared: Arc<Shared>, mut commands: UnboundedReceiver<Command>) {
    runtime.block_on(async move {
        let worker = Worker::new(shared);
        spawn_local(worker.clone().sweep());
        let mut accepting: HashMap<(Arc<str>, SocketAddr), Vec<AbortHandle>> = HashMap::new();
        while let Some(command) = commands.recv().await {
            match command {
                Command::Listen { name, address, socket } => match TcpListener::from_std(socket) {
                    Ok(listener) => {
                        let task = spawn_local(listen::accept(Rc::clone(&worker), name.clone(), listener));
                        accepting.entry((name, address)).or_default().push(task.abort_handle());
                    }
                    Err(error) => tracing::error!("listener `{name}`: {error}"),
                },
                Command::Unlisten { name, address } => {
                    for task in accepting.remove(&(name, address)).into_iter().flatten() {
                        task.abort();
                    }
                }
                Command::Stop => break,
            }
        }
        worker.logs.flush();
    });
}
