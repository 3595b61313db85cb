//! From a pod's spec to a plan in which nothing refers to anything.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use resources::field::IntOrString;
use resources::pod::{
    Container, Handler, HttpGetAction, PodSpec, Probe, RestartPolicy, SecurityContext, VolumeMount,
};

use super::context::{Context, Reason};
use super::environment::{expand, variables};
use super::images::{Image, Images};
use super::volumes::{Content, content};
use crate::caller::Caller;
use crate::container::plan::{Identity, Kind, Mount, Process, UserSpace};
use crate::network::DNS_ADDRESS;
use crate::place;
use crate::pod::plan::{Action, ContainerPlan, PodPlan, ProbePlan, Restart};

/// What a plan depends on beside the pod itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// The pod, and what it may refer to.
    pub(crate) context: Context<'a>,
    /// What images stand for.
    pub(crate) images: &'a Images,
    /// Where the user would add one.
    pub(crate) images_file: &'a Path,
    /// Who runs the mesh.
    pub(crate) caller: Caller,
    /// The mesh's directory, which containers must not look into.
    pub(crate) home: &'a Path,
    /// Variables about Services.
    pub(crate) service_links: &'a [(String, String)],
}

/// A pod that can be started.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resolved {
    /// What the pod process is told.
    pub(crate) plan: PodPlan,
    /// Volumes to write before.
    pub(crate) volumes: BTreeMap<String, Content>,
    /// Files to write before, in the pod's directory.
    pub(crate) files: BTreeMap<&'static str, String>,
}

/// Why a pod cannot be started, and which container says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unresolved {
    /// The container; all of them when it is the pod.
    pub(crate) container: Option<String>,
    /// Why.
    pub(crate) reason: Reason,
}

/// The files that every container sees at their usual places.
const FILES: [(&str, &str); 3] =
    [("resolv.conf", "/etc/resolv.conf"), ("hosts", "/etc/hosts"), ("nsswitch.conf", "/etc/nsswitch.conf")];

/// Settles everything about a pod.
pub(crate) fn resolve(surroundings: &Surroundings<'_>) -> Result<Resolved, Unresolved> {
    let context = &surroundings.context;
    let spec = &context.pod.spec;
    let of_pod = |reason| Unresolved { container: None, reason };
    if spec.host_network {
        return Err(of_pod(Reason::config(
            "hostNetwork is not possible: the pod would leave the mesh's world",
        )));
    }
    let volumes = spec
        .volumes
        .iter()
        .map(|volume| Ok((volume.name.clone(), content(context, volume)?)))
        .collect::<Result<BTreeMap<_, _>, _>>()
        .map_err(of_pod)?;
    let container = |container: &Container, is_init: bool| {
        resolve_container(surroundings, &volumes, container, is_init)
            .map_err(|reason| Unresolved { container: Some(container.name.clone()), reason })
    };
    let init = spec.init_containers.iter().map(|one| container(one, true)).collect::<Result<_, _>>()?;
    let main = spec.containers.iter().map(|one| container(one, false)).collect::<Result<_, _>>()?;
    let hostname = if spec.hostname.is_empty() { &context.meta.name } else { &spec.hostname };
    let plan = PodPlan {
        namespace: context.meta.namespace.clone(),
        name: context.meta.name.clone(),
        hostname: hostname.chars().take(63).collect(),
        address: context.address,
        logs: crate::home::Home::opened(surroundings.home.to_owned())
            .logs()
            .join(&context.meta.namespace)
            .join(&context.meta.name),
        init_containers: init,
        containers: main,
        restart: match spec.restart_policy {
            RestartPolicy::Always => Restart::Always,
            RestartPolicy::OnFailure => Restart::OnFailure,
            RestartPolicy::Never => Restart::Never,
        },
        earlier_restarts: BTreeMap::new(),
    };
    let files = BTreeMap::from([
        ("resolv.conf", resolv_conf(&context.meta.namespace, spec)),
        ("hosts", hosts(&plan, spec)),
        ("nsswitch.conf", NSSWITCH.to_owned()),
    ]);
    Ok(Resolved { plan, volumes, files })
}

/// `systemd-resolved` and `nscd` would answer past the cluster's DNS.
const NSSWITCH: &str =
    "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n";

fn resolv_conf(namespace: &str, spec: &PodSpec) -> String {
    let mut searches = vec![
        format!("{namespace}.svc.cluster.local"),
        "svc.cluster.local".to_owned(),
        "cluster.local".to_owned(),
    ];
    let mut options = vec!["ndots:5".to_owned()];
    if let Some(config) = &spec.dns_config {
        searches.extend(config.searches.iter().cloned());
        for option in &config.options {
            if option.name == "ndots" {
                options.clear();
            }
            options.push(match &option.value {
                Some(value) => format!("{}:{value}", option.name),
                None => option.name.clone(),
            });
        }
    }
    format!("nameserver {DNS_ADDRESS}\nsearch {}\noptions {}\n", searches.join(" "), options.join(" "))
}

fn hosts(plan: &PodPlan, spec: &PodSpec) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let name = if spec.subdomain.is_empty() {
        plan.hostname.clone()
    } else {
        format!("{0}.{1}.{2}.svc.cluster.local\t{0}", plan.hostname, spec.subdomain, plan.namespace)
    };
    text.push_str(&format!("{}\t{name}\n", plan.address));
    for alias in &spec.host_aliases {
        text.push_str(&format!("{}\t{}\n", alias.ip, alias.hostnames.join("\t")));
    }
    text
}

fn resolve_container(
    surroundings: &Surroundings<'_>,
    volumes: &BTreeMap<String, Content>,
    container: &Container,
    is_init: bool,
) -> Result<ContainerPlan, Reason> {
    let process = process(surroundings, volumes, container, is_init)?;
    let ports = Ports { container, address: surroundings.context.address.to_string() };
    let probe = |probe: &Option<Probe>| probe.as_ref().map(|probe| ports.probe(probe)).transpose();
    let hooks = container.lifecycle.clone().unwrap_or_default();
    let hook =
        |hook: &Option<Handler>| hook.as_ref().and_then(|hook| ports.hook(hook).transpose()).transpose();
    Ok(ContainerPlan {
        name: container.name.clone(),
        process,
        is_sidecar: is_init && container.restart_policy == Some(RestartPolicy::Always),
        liveness: probe(&container.liveness_probe)?,
        readiness: probe(&container.readiness_probe)?,
        startup: probe(&container.startup_probe)?,
        post_start: hook(&hooks.post_start)?,
        pre_stop: hook(&hooks.pre_stop)?,
    })
}

fn process(
    surroundings: &Surroundings<'_>,
    volumes: &BTreeMap<String, Content>,
    container: &Container,
    is_init: bool,
) -> Result<Process, Reason> {
    let context = &surroundings.context;
    let image = image(surroundings, container)?;
    let mut first = vec![
        ("PATH".to_owned(), place::SEARCH_PATH.to_owned()),
        ("HOME".to_owned(), "/".to_owned()),
        ("HOSTNAME".to_owned(), context.meta.name.clone()),
    ];
    if context.pod.spec.enable_service_links.unwrap_or(true) {
        first.extend(surroundings.service_links.iter().cloned());
    }
    first.extend(image.env.clone());
    let environment = variables(context, container, &first)?;
    let known: BTreeMap<String, String> = environment.iter().cloned().collect();
    let mut command: Vec<String> = match container.command.as_slice() {
        [] => image.command.clone(),
        command => command.iter().map(|word| expand(word, &known)).collect(),
    };
    match container.args.as_slice() {
        [] if container.command.is_empty() => command.extend(image.args.iter().cloned()),
        args => command.extend(args.iter().map(|word| expand(word, &known))),
    }
    let directory = match container.working_dir.as_str() {
        "" => image.working_dir.clone().unwrap_or_else(|| PathBuf::from("/")),
        directory => PathBuf::from(directory),
    };
    Ok(Process {
        command,
        environment,
        directory,
        mounts: mounts(surroundings, volumes, container, &known)?,
        hidden: vec![surroundings.home.to_owned()],
        identity: identity(surroundings, container, is_init)?,
    })
}

fn image(surroundings: &Surroundings<'_>, container: &Container) -> Result<Image, Reason> {
    match surroundings.images.find(&container.image, surroundings.images_file) {
        Ok(image) => Ok(image.clone()),
        // A command says all that is needed.
        Err(_) if !container.command.is_empty() => Ok(Image::default()),
        Err(error) => Err(Reason::image(error.to_string())),
    }
}

fn mounts(
    surroundings: &Surroundings<'_>,
    volumes: &BTreeMap<String, Content>,
    container: &Container,
    known: &BTreeMap<String, String>,
) -> Result<Vec<Mount>, Reason> {
    let directory = place::pod(&surroundings.context.meta.uid);
    let mut mounts: Vec<Mount> = FILES
        .iter()
        .map(|(name, target)| Mount {
            source: directory.join(name),
            target: PathBuf::from(target),
            kind: Kind::File,
            read_only: false,
            optional: *name == "nsswitch.conf",
        })
        .collect();
    for mount in &container.volume_mounts {
        let content = volumes
            .get(&mount.name)
            .ok_or_else(|| Reason::config(format!("volume `{}` is mounted and not defined", mount.name)))?;
        mounts.push(volume_mount(&directory, content, mount, known)?);
    }
    Ok(mounts)
}

fn volume_mount(
    directory: &Path,
    content: &Content,
    mount: &VolumeMount,
    known: &BTreeMap<String, String>,
) -> Result<Mount, Reason> {
    let part = match (mount.sub_path.as_str(), mount.sub_path_expr.as_str()) {
        (path, "") => path.to_owned(),
        (_, expression) => expand(expression, known),
    };
    let part = PathBuf::from(part);
    if part.is_absolute() || part.components().any(|component| component.as_os_str() == "..") {
        let message = format!("volume `{}`: subPath `{}` leaves the volume", mount.name, part.display());
        return Err(Reason::config(message));
    }
    let (kind, read_only) = match content {
        Content::Empty => (Kind::Directory, mount.read_only),
        Content::Files(files) if files.contains_key(&part) => (Kind::File, true),
        Content::Files(_) => (Kind::Directory, true),
    };
    if !mount.mount_path.starts_with('/') || mount.mount_path == "/" {
        let message = format!("volume `{}`: mountPath `{}` is no place for it", mount.name, mount.mount_path);
        return Err(Reason::config(message));
    }
    let volume = directory.join("volumes").join(&mount.name);
    let source = if part.as_os_str().is_empty() { volume } else { volume.join(part) };
    Ok(Mount { source, target: PathBuf::from(&mount.mount_path), kind, read_only, optional: false })
}

/// The container that writes the capture rules; the only one with rights over the pod's network.
const CAPTURE_CONTAINER: &str = "istio-init";

fn identity(
    surroundings: &Surroundings<'_>,
    container: &Container,
    is_init: bool,
) -> Result<Identity, Reason> {
    let pod = surroundings.context.pod.spec.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let is_capture = is_init && container.name == CAPTURE_CONTAINER;
    let (default_uid, default_gid) = match surroundings.caller {
        Caller::Root { uid, gid } => (uid, gid),
        Caller::User { .. } if is_capture => {
            return Ok(Identity {
                uid: 0,
                gid: 0,
                groups: Vec::new(),
                capabilities: added(&own),
                space: UserSpace::World,
            });
        }
        Caller::User { uid, gid } => {
            return Ok(Identity {
                uid,
                gid,
                groups: Vec::new(),
                capabilities: Vec::new(),
                space: UserSpace::Own,
            });
        }
    };
    let uid = own.run_as_user.or(pod.run_as_user).unwrap_or(default_uid);
    let gid = own.run_as_group.or(pod.run_as_group).unwrap_or(default_gid);
    if uid == 0 && own.run_as_non_root.or(pod.run_as_non_root).unwrap_or(false) {
        return Err(Reason::config("runAsNonRoot forbids what runAsUser asks for: user 0"));
    }
    let mut groups = pod.supplemental_groups.clone();
    groups.extend(pod.fs_group);
    Ok(Identity { uid, gid, groups, capabilities: added(&own), space: UserSpace::World })
}

fn added(security: &SecurityContext) -> Vec<String> {
    security.capabilities.as_ref().map(|capabilities| capabilities.add.clone()).unwrap_or_default()
}

/// Probes and hooks of a container, with the names of its ports.
struct Ports<'a> {
    container: &'a Container,
    address: String,
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

    fn probe(&self, probe: &Probe) -> Result<ProbePlan, Reason> {
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

    fn hook(&self, hook: &Handler) -> Result<Option<Action>, Reason> {
        if let Some(exec) = &hook.exec {
            return Ok(Some(Action::Exec(exec.command.clone())));
        }
        if let Some(get) = &hook.http_get {
            return self.http(get).map(Some);
        }
        Ok(hook.sleep.as_ref().map(|sleep| Action::Sleep(sleep.seconds)))
    }
}

#[cfg(test)]
mod tests;
