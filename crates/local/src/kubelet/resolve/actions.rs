//! What probes and hooks do, with names of ports resolved.

use resources::field::IntOrString;
use resources::pod::{Container, Handler, HttpGetAction, Probe};

use crate::kubelet::context::Reason;
use crate::pod::plan::{Action, ProbePlan};

/// Probes and hooks of a container, with the names of its ports.
pub(super) struct Ports<'a> {
    pub(super) container: &'a Container,
    pub(super) address: String,
}

impl Ports<'_> {
    fn number(&self, port: &IntOrString) -> Result<u16, Reason> {
        match port {
            IntOrString::Int(number) => Ok(*number),
            IntOrString::String(name) => self
                .container
                .ports
                .iter()
                .find(|port| port.name == *name)
                .map(|port| port.container_port)
                .or_else(|| name.parse().ok())
                .ok_or_else(|| Reason::config(format!("port `{name}` is not among the container's ports"))),
        }
    }

    fn host(&self, host: &str) -> String {
        if host.is_empty() { self.address.clone() } else { host.to_owned() }
    }

    fn http(&self, get: &HttpGetAction) -> Result<Action, Reason> {
        let (host, port) = (self.host(&get.host), self.number(&get.port)?);
        if get.scheme.eq_ignore_ascii_case("HTTPS") {
            // A probe does not check the certificate: that the port answers is nearly all it would say.
            return Ok(Action::Tcp { host, port });
        }
        let path = if get.path.starts_with('/') { get.path.clone() } else { format!("/{}", get.path) };
        let headers =
            get.http_headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
        Ok(Action::Http { host, port, path, headers })
    }

    /// A probe.
    pub(super) fn probe(&self, probe: &Probe) -> Result<ProbePlan, Reason> {
        let action = if let Some(get) = &probe.http_get {
            self.http(get)?
        } else if let Some(connect) = &probe.tcp_socket {
            Action::Tcp { host: self.host(&connect.host), port: self.number(&connect.port)? }
        } else if let Some(exec) = &probe.exec {
            Action::Exec(exec.command.clone())
        } else if let Some(grpc) = &probe.grpc {
            // Without a gRPC client here, that the port answers.
            Action::Tcp { host: self.address.clone(), port: grpc.port }
        } else {
            return Err(Reason::config("a probe says nothing to do"));
        };
        Ok(ProbePlan {
            action,
            initial_delay: probe.initial_delay_seconds,
            period: probe.period_seconds(),
            timeout: probe.timeout_seconds(),
            successes: probe.success_threshold(),
            failures: probe.failure_threshold(),
            grace: probe.termination_grace_period_seconds,
        })
    }

    /// A hook; none when it asks for nothing that is done here.
    pub(super) fn hook(&self, hook: &Handler) -> Result<Option<Action>, Reason> {
        if let Some(exec) = &hook.exec {
            return Ok(Some(Action::Exec(exec.command.clone())));
        }
        if let Some(get) = &hook.http_get {
            return self.http(get).map(Some);
        }
        Ok(hook.sleep.as_ref().map(|sleep| Action::Sleep(sleep.seconds)))
    }
}
