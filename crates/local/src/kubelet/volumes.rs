//! Volumes: what files they hold, and how these are written.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use resources::pod::{
    ConfigMapVolume, Container, DownwardApiVolume, KeyToPath, ProjectedVolume, SecretVolume, Volume,
    VolumeSource,
};

use super::context::{Context, Reason};

/// What a volume holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing; containers write into it.
    Empty,
    /// These files, which containers only read.
    Files(BTreeMap<PathBuf, VolumeFile>),
}

/// A file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeFile {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Its mode.
    pub(crate) mode: u32,
}

const DEFAULT_MODE: u32 = 0o644;

/// What a volume of the pod holds now.
pub(crate) fn content(context: &Context<'_>, volume: &Volume) -> Result<Content, Reason> {
    let mut files = Files { volume: &volume.name, files: BTreeMap::new() };
    match &volume.source {
        VolumeSource::Unset | VolumeSource::EmptyDir(_) => return Ok(Content::Empty),
        VolumeSource::ConfigMap(source) => files.config_map(context, source, source.default_mode)?,
        VolumeSource::Secret(source) => files.secret(context, source, source.default_mode)?,
        VolumeSource::DownwardApi(source) => files.downward(context, source, source.default_mode)?,
        VolumeSource::Projected(source) => files.projected(context, source)?,
        VolumeSource::Other(kind) => {
            return Err(Reason::config(format!(
                "volume `{}` is of kind {kind}, which a mesh on one machine does not have: use emptyDir, configMap, \
                 secret, projected or downwardAPI",
                volume.name
            )));
        }
    }
    Ok(Content::Files(files.files))
}

struct Files<'a> {
    volume: &'a str,
    files: BTreeMap<PathBuf, VolumeFile>,
}

impl Files<'_> {
    fn add(&mut self, path: &str, bytes: Vec<u8>, mode: Option<u32>) -> Result<(), Reason> {
        let path = PathBuf::from(path);
        let inside =
            path.components().all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
        if !inside || path.as_os_str().is_empty() {
            let message = format!("volume `{}`: file `{}` is not inside of it", self.volume, path.display());
            return Err(Reason::config(message));
        }
        self.files.insert(path, VolumeFile { bytes, mode: mode.unwrap_or(DEFAULT_MODE) });
        Ok(())
    }

    fn keys(
        &mut self,
        values: &BTreeMap<String, Vec<u8>>,
        items: &[KeyToPath],
        mode: Option<u32>,
        source: &str,
        optional: bool,
    ) -> Result<(), Reason> {
        if items.is_empty() {
            return values.iter().try_for_each(|(key, bytes)| self.add(key, bytes.clone(), mode));
        }
        for item in items {
            match values.get(&item.key) {
                Some(bytes) => self.add(&item.path, bytes.clone(), item.mode.or(mode))?,
                None if optional => {}
                None => return Err(Reason::config(format!("{source} has no key `{}`", item.key))),
            }
        }
        Ok(())
    }

    fn config_map(
        &mut self,
        context: &Context<'_>,
        source: &ConfigMapVolume,
        mode: Option<u32>,
    ) -> Result<(), Reason> {
        let optional = source.optional.unwrap_or(false);
        let Some(config_map) = context.config_map(&source.name, optional)? else { return Ok(()) };
        let mut values = config_map.binary_data.clone();
        values.extend(config_map.data.iter().map(|(key, text)| (key.clone(), text.clone().into_bytes())));
        self.keys(&values, &source.items, mode, &format!("ConfigMap `{}`", source.name), optional)
    }

    fn secret(
        &mut self,
        context: &Context<'_>,
        source: &SecretVolume,
        mode: Option<u32>,
    ) -> Result<(), Reason> {
        let optional = source.optional.unwrap_or(false);
        let name = if source.secret_name.is_empty() { &source.name } else { &source.secret_name };
        let Some(secret) = context.secret(name, optional)? else { return Ok(()) };
        let mut values = secret.data.clone();
        values.extend(secret.string_data.iter().map(|(key, text)| (key.clone(), text.clone().into_bytes())));
        self.keys(&values, &source.items, mode, &format!("Secret `{name}`"), optional)
    }

    fn downward(
        &mut self,
        context: &Context<'_>,
        source: &DownwardApiVolume,
        mode: Option<u32>,
    ) -> Result<(), Reason> {
        for item in &source.items {
            let text = match (&item.field_ref, &item.resource_field_ref) {
                (Some(reference), _) => context.field(&reference.field_path)?,
                (None, Some(reference)) => context.resource(reference, &Container::default())?,
                (None, None) => continue,
            };
            self.add(&item.path, text.into_bytes(), item.mode.or(mode))?;
        }
        Ok(())
    }

    fn projected(&mut self, context: &Context<'_>, source: &ProjectedVolume) -> Result<(), Reason> {
        let mode = source.default_mode;
        for part in &source.sources {
            if let Some(config_map) = &part.config_map {
                self.config_map(context, config_map, mode)?;
            }
            if let Some(secret) = &part.secret {
                self.secret(context, secret, mode)?;
            }
            if let Some(downward) = &part.downward_api {
                self.downward(context, downward, mode)?;
            }
            if part.service_account_token.is_some() {
                return Err(Reason::config(format!(
                    "volume `{}` asks for a token of the service account, which nobody issues on one machine",
                    self.volume
                )));
            }
        }
        Ok(())
    }
}

/// The link under which a volume's files are changed all at once.
const CURRENT: &str = "..data";

/// Writes a volume; files that are there change all at once, as in Kubernetes.
///
/// `group` is the pod's `fsGroup`, to which everything in its volumes belongs.
pub(crate) fn write(directory: &Path, content: &Content, group: Option<u32>) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    match content {
        Content::Empty => {
            give_to(directory, group);
            // Any user may write, as into an emptyDir anywhere.
            fs::set_permissions(directory, PermissionsExt::from_mode(0o777))
        }
        Content::Files(files) => write_files(directory, files, group),
    }
}

fn give_to(path: &Path, group: Option<u32>) {
    if let Some(group) = group {
        // In a user namespace there is one group, and it is everybody's.
        let _ = std::os::unix::fs::chown(path, None, Some(group));
    }
}

fn write_files(
    directory: &Path,
    files: &BTreeMap<PathBuf, VolumeFile>,
    group: Option<u32>,
) -> io::Result<()> {
    let current = directory.join(CURRENT);
    let before = fs::read_link(&current).ok();
    let number: u64 = before
        .as_ref()
        .and_then(|name| name.to_str()?.strip_prefix("..")?.parse().ok())
        .map_or(0, |number: u64| number + 1);
    let name = format!("..{number}");
    let next = directory.join(&name);
    fs::create_dir(&next)?;
    for (path, file) in files {
        let target = next.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&target, &file.bytes)?;
        // A file of the pod's group is one that the group may read.
        let mode = if group.is_some() { file.mode | 0o440 } else { file.mode };
        fs::set_permissions(&target, PermissionsExt::from_mode(mode))?;
        give_to(&target, group);
    }
    let link = directory.join("..link");
    symlink(&name, &link)?;
    fs::rename(&link, &current)?;
    link_entries(directory, files)?;
    match before {
        Some(before) => fs::remove_dir_all(directory.join(before)),
        None => Ok(()),
    }
}

/// Each first name of the files leads through the link that changes.
fn link_entries(directory: &Path, files: &BTreeMap<PathBuf, VolumeFile>) -> io::Result<()> {
    let first =
        |path: &PathBuf| path.components().next().map(|component| PathBuf::from(component.as_os_str()));
    let wanted: std::collections::BTreeSet<PathBuf> = files.keys().filter_map(first).collect();
    for entry in fs::read_dir(directory)? {
        let name = PathBuf::from(entry?.file_name());
        if !name.to_string_lossy().starts_with("..") && !wanted.contains(&name) {
            fs::remove_file(directory.join(name))?;
        }
    }
    for name in wanted {
        let link = directory.join(&name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(CURRENT).join(&name), link)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
