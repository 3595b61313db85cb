//! The order in which a pod's containers start and end.

use std::rc::Rc;

use futures_util::future::join_all;
use tokio::task::{JoinHandle, spawn_local};

use super::plan::Restart;
use super::runner::{Milestone, Runner};
use super::{Pod, Stop};

/// A container that runs in a task of its own.
struct Running {
    runner: Rc<Runner>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(pod: &Rc<Pod>, runner: Runner) -> Running {
        let runner = Rc::new(runner);
        let task = spawn_local(Rc::clone(&runner).run(Rc::clone(pod)));
        Running { runner, task }
    }

    async fn end(self) {
        // A task of ours that panicked has been reported, and has ended.
        let _ = self.task.await;
    }
}

/// Runs the pod until all its containers have ended for good.
pub(super) async fn run(pod: &Rc<Pod>) {
    let mut sidecars = Vec::new();
    if initialize(pod, &mut sidecars).await {
        run_containers(pod).await;
    }
    // Sidecars end last, in the reverse of the order in which they started.
    while let Some(sidecar) = sidecars.pop() {
        sidecar.runner.stop(pod.order());
        sidecar.end().await;
    }
}

/// Runs the init containers; whether the others may start.
async fn initialize(pod: &Rc<Pod>, sidecars: &mut Vec<Running>) -> bool {
    for plan in &pod.plan.init_containers {
        if pod.is_stopping() {
            return false;
        }
        if plan.is_sidecar {
            let sidecar = Running::start(pod, Runner::new(plan.clone(), Restart::Always));
            let started = tokio::select! {
                started = sidecar.runner.reached(Milestone::Started) => started,
                () = pod.stopping() => false,
            };
            sidecars.push(sidecar);
            if !started {
                return false;
            }
            continue;
        }
        let restart = match pod.plan.restart {
            Restart::Never => Restart::Never,
            Restart::Always | Restart::OnFailure => Restart::OnFailure,
        };
        let init = Running::start(pod, Runner::new(plan.clone(), restart));
        let runner = Rc::clone(&init.runner);
        let mut ended = std::pin::pin!(init.end());
        tokio::select! {
            () = &mut ended => {}
            () = pod.stopping() => {
                runner.stop(pod.order());
                ended.await;
                return false;
            }
        }
        if !runner.succeeded() {
            return false;
        }
    }
    true
}

/// Starts the containers one after the other, each when the hook of the one before is done, and waits for their end.
async fn run_containers(pod: &Rc<Pod>) {
    let mut running = Vec::new();
    for plan in &pod.plan.containers {
        if pod.is_stopping() {
            break;
        }
        let container = Running::start(pod, Runner::new(plan.clone(), pod.plan.restart));
        tokio::select! {
            _ = container.runner.reached(Milestone::Hooked) => {}
            () = pod.stopping() => {}
        }
        running.push(container);
    }
    let runners: Vec<Rc<Runner>> = running.iter().map(|container| Rc::clone(&container.runner)).collect();
    let mut ended = std::pin::pin!(join_all(running.into_iter().map(Running::end)));
    tokio::select! {
        _ = &mut ended => {}
        () = pod.stopping() => {
            for runner in &runners {
                runner.stop(pod.order());
            }
            ended.await;
        }
    }
}

impl Pod {
    fn is_stopping(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// Returns when the pod was told to end.
    async fn stopping(&self) {
        // The sender lives as long as the pod.
        let _ = self.stop.subscribe().wait_for(Option::is_some).await;
    }

    /// The order to end; a pod that ends by itself has its own grace.
    fn order(&self) -> Stop {
        self.stop.borrow().unwrap_or_else(|| Stop::after(self.grace))
    }
}
