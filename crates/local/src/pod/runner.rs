//! One container, from its first start to its last end.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::action;
use super::back_off::BackOff;
use super::plan::{Action, ContainerPlan, Ended, Grace, Manner, ProbePlan, Restart, State};
use super::process::{self, Started};
use super::{Pod, Stop};

/// How far a container has come in its life; it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Milestone {
    /// It has not started.
    Begun,
    /// It has started once, and its hook is done.
    Hooked,
    /// Its startup probe has passed once.
    Started,
}

/// A container.
pub(super) struct Runner {
    plan: ContainerPlan,
    restart: Restart,
    milestone: watch::Sender<Milestone>,
    stop: watch::Sender<Option<Stop>>,
    succeeded: Cell<bool>,
}

/// Why a run of a container is to end.
enum Order {
    /// The pod ends.
    Stop(Stop),
    /// A probe or a hook says that it must start again.
    Restart(String, Grace),
}

/// Between two requests to end, where there are several.
const BETWEEN_REQUESTS: Duration = Duration::from_millis(100);

impl Runner {
    /// A container that has not started.
    pub(super) fn new(plan: ContainerPlan, restart: Restart) -> Runner {
        Runner {
            plan,
            restart,
            milestone: watch::Sender::new(Milestone::Begun),
            stop: watch::Sender::new(None),
            succeeded: Cell::new(false),
        }
    }

    /// Has it end.
    pub(super) fn stop(&self, order: Stop) {
        self.stop.send_replace(Some(order));
    }

    /// Whether its last run ended well.
    pub(super) fn succeeded(&self) -> bool {
        self.succeeded.get()
    }

    /// Waits until it has come this far; false when it ends before.
    pub(super) async fn reached(&self, milestone: Milestone) -> bool {
        let mut watched = self.milestone.subscribe();
        watched.wait_for(|reached| *reached >= milestone).await.is_ok()
    }

    fn pass(&self, milestone: Milestone) {
        self.milestone.send_if_modified(|reached| {
            let further = milestone > *reached;
            if further {
                *reached = milestone;
            }
            further
        });
    }

    /// Runs it until it has ended for good.
    pub(super) async fn run(self: Rc<Self>, pod: Rc<Pod>) {
        let mut back_off = BackOff::default();
        loop {
            let began = Instant::now();
            let ended = self.run_once(&pod).await;
            self.succeeded.set(ended.code == 0);
            pod.board.update(&self.plan.name, |report| {
                report.state = State::Terminated(ended.clone());
                report.ready = report.is_init && !self.plan.is_sidecar && ended.code == 0;
                report.started = false;
            });
            let again = match self.restart {
                Restart::Always => true,
                Restart::OnFailure => ended.code != 0,
                Restart::Never => false,
            };
            if !again || self.stop.borrow().is_some() {
                // Whoever waits for it to start waits no longer.
                self.pass(Milestone::Hooked);
                return;
            }
            let wait = back_off.after(began.elapsed());
            let message = (!wait.is_zero()).then(|| {
                format!(
                    "back-off {}s restarting container {} of pod {}",
                    wait.as_secs(),
                    self.plan.name,
                    pod.plan.name
                )
            });
            pod.board.restarting(&self.plan.name, &ended, message);
            self.pass(Milestone::Hooked);
            let mut stop = self.stop.subscribe();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.wait_for(Option::is_some) => return,
            }
        }
    }

    async fn run_once(&self, pod: &Rc<Pod>) -> Ended {
        let name = &self.plan.name;
        let since = now();
        let mut process = match process::start(pod, name, &self.plan.process).await {
            Ok(process) => process,
            Err(failure) => {
                tracing::warn!("container {name} of pod {}: {failure}", pod.plan.name);
                return Ended {
                    code: 128,
                    signal: None,
                    reason: "StartError".to_owned(),
                    message: failure.to_string(),
                    started: since,
                    finished: now(),
                };
            }
        };
        pod.board.update(name, |report| {
            report.state = State::Running { since, pid: process.pid() };
            report.started = false;
            report.ready = false;
        });
        let mut stop = self.stop.subscribe();
        let order = tokio::select! {
            status = process.wait() => return ended(status, since, String::new()),
            order = self.attend(pod) => order,
            stop = async { stop.wait_for(Option::is_some).await.ok().and_then(|stop| *stop) } => {
                // The sender lives as long as this.
                Order::Stop(stop.unwrap_or_else(|| Stop::after(pod.grace)))
            }
        };
        pod.board.update(name, |report| report.ready = false);
        let (stop, message) = match order {
            Order::Stop(stop) => (stop, String::new()),
            Order::Restart(message, grace) => (Stop::after(grace), message),
        };
        ended(self.end(pod, &mut process, stop).await, since, message)
    }

    /// Hook, SIGTERM, and SIGKILL when patience has ended.
    async fn end(
        &self,
        pod: &Rc<Pod>,
        process: &mut Started,
        stop: Stop,
    ) -> std::io::Result<std::process::ExitStatus> {
        if let Some(hook) = &self.plan.pre_stop {
            tokio::select! {
                outcome = action::run(&self.plan, hook) => {
                    if let Err(reason) = outcome {
                        tracing::warn!("preStop of container {} of pod {}: {reason}", self.plan.name, pod.plan.name);
                    }
                }
                status = process.wait() => return status,
                () = tokio::time::sleep_until(stop.deadline) => {}
            }
        }
        loop {
            process.terminate();
            let patience = match stop.manner {
                Manner::Once => stop.deadline,
                Manner::Insistently => stop.deadline.min(Instant::now() + BETWEEN_REQUESTS),
            };
            if let Ok(status) = tokio::time::timeout_at(patience, process.wait()).await {
                return status;
            }
            if Instant::now() >= stop.deadline {
                process.kill();
                return process.wait().await;
            }
        }
    }

    /// Hook and probes of a running container, until one of them says that it must start again.
    async fn attend(&self, pod: &Rc<Pod>) -> Order {
        if let Some(hook) = &self.plan.post_start
            && let Err(reason) = action::run(&self.plan, hook).await
        {
            return self.order(pod, format!("postStart failed: {reason}"), None);
        }
        self.pass(Milestone::Hooked);
        if let Some(startup) = &self.plan.startup
            && let Err(reason) = self.until_success(startup).await
        {
            return self.order(pod, format!("startup probe failed: {reason}"), startup.grace);
        }
        self.pass(Milestone::Started);
        pod.board.update(&self.plan.name, |report| {
            report.started = true;
            report.ready = self.plan.readiness.is_none();
        });
        tokio::select! {
            order = self.watch_life(pod) => order,
            () = self.watch_readiness(pod) => std::future::pending().await,
        }
    }

    fn order(&self, pod: &Pod, message: String, grace: Option<u64>) -> Order {
        Order::Restart(message, grace.map_or(pod.grace, Grace::of))
    }

    /// Probes until it succeeds often enough, or fails too often.
    async fn until_success(&self, probe: &ProbePlan) -> Result<(), String> {
        let mut probing = Probing::begin(probe).await;
        loop {
            match probing.next(&self.plan, probe).await {
                Verdict::Healthy => return Ok(()),
                Verdict::Unhealthy(reason) => return Err(reason),
                Verdict::Undecided => {}
            }
        }
    }

    async fn watch_life(&self, pod: &Rc<Pod>) -> Order {
        let Some(probe) = &self.plan.liveness else { return std::future::pending().await };
        let mut probing = Probing::begin(probe).await;
        loop {
            if let Verdict::Unhealthy(reason) = probing.next(&self.plan, probe).await {
                return self.order(pod, format!("liveness probe failed: {reason}"), probe.grace);
            }
        }
    }

    async fn watch_readiness(&self, pod: &Rc<Pod>) {
        let Some(probe) = &self.plan.readiness else { return std::future::pending().await };
        let mut probing = Probing::begin(probe).await;
        let mut ready = false;
        loop {
            let now_ready = match probing.next(&self.plan, probe).await {
                Verdict::Healthy => true,
                Verdict::Unhealthy(_) => false,
                Verdict::Undecided => ready,
            };
            if now_ready != ready {
                ready = now_ready;
                pod.board.update(&self.plan.name, |report| report.ready = ready);
            }
        }
    }
}

/// What a series of probes says.
enum Verdict {
    Healthy,
    Unhealthy(String),
    Undecided,
}

/// Between two tries of a container that has not passed yet.
const EAGER_PERIOD: Duration = Duration::from_millis(100);

/// A series of probes.
///
/// Until the first success, cheap probes are tried between their times too, so that a container is ready as soon as
/// it is and not a period later. Failures of those extra tries do not count.
struct Probing {
    due: Instant,
    is_eager: bool,
    successes: u32,
    failures: u32,
}

impl Probing {
    /// The first probe comes after the initial delay.
    async fn begin(probe: &ProbePlan) -> Probing {
        tokio::time::sleep(Duration::from_secs(probe.initial_delay.into())).await;
        let is_eager = matches!(probe.action, Action::Http { .. } | Action::Tcp { .. });
        Probing { due: Instant::now(), is_eager, successes: 0, failures: 0 }
    }

    async fn next(&mut self, plan: &ContainerPlan, probe: &ProbePlan) -> Verdict {
        let early = Instant::now() + EAGER_PERIOD;
        let counts = !(self.is_eager && early < self.due);
        tokio::time::sleep_until(if counts { self.due } else { early }).await;
        if counts {
            self.due = Instant::now() + Duration::from_secs(probe.period.into());
        }
        let limit = Duration::from_secs(probe.timeout.into());
        let outcome = tokio::time::timeout(limit, action::run(plan, &probe.action)).await;
        match outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs()))) {
            Ok(()) => {
                self.is_eager = false;
                (self.successes, self.failures) = (self.successes + 1, 0);
                if self.successes >= probe.successes { Verdict::Healthy } else { Verdict::Undecided }
            }
            Err(_) if !counts => Verdict::Undecided,
            Err(reason) => {
                (self.successes, self.failures) = (0, self.failures + 1);
                if self.failures >= probe.failures { Verdict::Unhealthy(reason) } else { Verdict::Undecided }
            }
        }
    }
}

fn ended(status: std::io::Result<std::process::ExitStatus>, started: i64, message: String) -> Ended {
    use std::os::unix::process::ExitStatusExt;
    let (code, signal) = match &status {
        Ok(status) => (process::exit_code(*status), status.signal()),
        Err(_) => (-1, None),
    };
    let reason = if code == 0 { "Completed" } else { "Error" };
    let message = match status {
        Ok(_) => message,
        Err(error) => error.to_string(),
    };
    Ended { code, signal, reason: reason.to_owned(), message, started, finished: now() }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
