//! What an image stands for on a machine that pulls none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// What is known without the user's own file.
const BUNDLED: &str = include_str!("images.yaml");

/// Where Istio publishes the images of `docker.io/istio` too.
const ISTIO_REGISTRIES: [&str; 3] =
    ["registry.istio.io/release/", "registry.istio.io/testing/", "gcr.io/istio-release/"];

/// What runs in place of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Image {
    /// Program and first arguments; a container's `command` replaces it, its `args` follow it.
    pub command: Vec<String>,
    /// Further arguments; a container's `args` replace them.
    pub args: Vec<String>,
    /// Environment; a container's own comes later.
    pub env: BTreeMap<String, String>,
    /// Where it starts.
    pub working_dir: Option<PathBuf>,
}

/// Images by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    entries: BTreeMap<String, Image>,
}

/// Why a file of images cannot be used, or an image stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// The file is not what it should be.
    #[error("`{}`: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Nothing is known of an image.
    #[error(
        "image `{image}` is not pulled here, and nothing says what runs instead: give the container a `command`, or \
         add `{key}: {{command: [PROGRAM, ARGUMENT]}}` to `{}`", file.display()
    )]
    Unknown {
        /// The image.
        image: String,
        /// The key that would be found.
        key: String,
        /// The file that it would be found in.
        file: PathBuf,
    },
}

impl Images {
    /// The bundled images, under those of the user's file.
    pub fn load(file: &std::path::Path) -> Result<Images, ImageError> {
        let failed = |reason: String| ImageError::File { path: file.to_owned(), reason };
        let mut entries = parse(BUNDLED).map_err(failed)?;
        match std::fs::read_to_string(file) {
            Ok(text) => entries.extend(parse(&text).map_err(failed)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error.to_string())),
        }
        Ok(Images { entries })
    }

    /// The bundled images alone.
    pub fn bundled() -> Images {
        Images { entries: parse(BUNDLED).unwrap_or_default() }
    }

    /// What runs in place of `image`; `file` is where the user would add it.
    pub fn find(&self, image: &str, file: &std::path::Path) -> Result<&Image, ImageError> {
        let key = repository(image);
        let same = || ISTIO_REGISTRIES.iter().find_map(|registry| key.strip_prefix(registry));
        let found =
            self.entries.get(&key).or_else(|| self.entries.get(&format!("docker.io/istio/{}", same()?)));
        found.ok_or_else(|| ImageError::Unknown { image: image.to_owned(), key, file: file.to_owned() })
    }
}

fn parse(text: &str) -> Result<BTreeMap<String, Image>, String> {
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let entries: BTreeMap<String, Image> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    Ok(entries.into_iter().map(|(name, image)| (repository(&name), image)).collect())
}

/// The full name of an image without tag and digest: `curl` is `docker.io/library/curl`.
fn repository(image: &str) -> String {
    let name = image.split('@').next().unwrap_or(image);
    // A colon after the last slash begins the tag; one before it belongs to the registry's port.
    let name = match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    };
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

#[cfg(test)]
mod tests;
