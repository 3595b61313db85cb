//! From a pod's spec to a plan in which nothing refers to anything.

mod actions;
mod files;
mod identity;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use resources::pod::{Container, Handler, Probe, RestartPolicy, VolumeMount};

use super::context::{Context, Reason};
use super::environment::{expand, variables};
use super::images::{Image, Images};
use super::volumes::{Content, content};
use crate::caller::Caller;
use crate::container::plan::{Kind, Mount, Process};
use crate::place;
use crate::pod::plan::{ContainerPlan, PodPlan, Restart};
use actions::Ports;

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
    let files = files::contents(&plan, spec);
    Ok(Resolved { plan, volumes, files })
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
        identity: identity::identity(surroundings, container, is_init)?,
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
    let mut mounts: Vec<Mount> = files::PLACES
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

#[cfg(test)]
mod tests;
