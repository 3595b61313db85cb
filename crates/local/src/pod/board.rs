//! How the containers of a pod are, for everybody to read, and news of it for the supervisor.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::Notify;

use super::Pod;
use super::plan::{ContainerReport, Ended, FromPod, PodPlan, State};

/// The reports of all containers, init containers first.
pub(super) struct Board {
    reports: RefCell<Vec<ContainerReport>>,
    changed: Notify,
}

impl Board {
    /// Every container waits.
    pub(super) fn new(plan: &PodPlan) -> Board {
        let waiting = |is_init: bool| {
            let reason = if is_init || plan.init_containers.is_empty() {
                "ContainerCreating"
            } else {
                "PodInitializing"
            };
            move |container: &super::plan::ContainerPlan| ContainerReport {
                name: container.name.clone(),
                is_init,
                state: State::Waiting { reason: reason.to_owned(), message: String::new() },
                last_state: None,
                started: false,
                ready: false,
                restarts: plan.earlier_restarts.get(&container.name).copied().unwrap_or(0),
            }
        };
        let init = plan.init_containers.iter().map(waiting(true));
        let reports = init.chain(plan.containers.iter().map(waiting(false))).collect();
        Board { reports: RefCell::new(reports), changed: Notify::new() }
    }

    /// A copy of all reports.
    pub(super) fn reports(&self) -> Vec<ContainerReport> {
        self.reports.borrow().clone()
    }

    /// Changes the report of one container.
    pub(super) fn update(&self, name: &str, change: impl FnOnce(&mut ContainerReport)) {
        if let Some(report) = self.reports.borrow_mut().iter_mut().find(|report| report.name == name) {
            change(report);
        }
        self.changed.notify_one();
    }

    /// A container starts again: what it did last is kept.
    pub(super) fn restarting(&self, name: &str, ended: &Ended, wait: Option<String>) {
        self.update(name, |report| {
            report.restarts += 1;
            report.last_state = Some(ended.clone());
            if let Some(message) = wait {
                report.state = State::Waiting { reason: "CrashLoopBackOff".to_owned(), message };
            }
        });
    }
}

/// Tells the supervisor of every change, for ever.
pub(super) async fn publish(pod: Rc<Pod>) {
    loop {
        if pod.channel.send(&FromPod::Status(pod.board.reports()), &[]).await.is_err() {
            return;
        }
        pod.board.changed.notified().await;
    }
}
