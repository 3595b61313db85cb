//! What `lateen up` says to the programs in the supervisor.

use anyhow::{Context as _, Result, ensure};
use config_store::directory::Directory;
use serde::{Deserialize, Serialize};

use crate::protocol::SourceText;

/// What carries the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataPlane {
    /// Our proxy.
    Lateen,
    /// Stock Envoy.
    Envoy,
}

/// Passed from the command line to the supervisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// What carries the traffic.
    pub data_plane: DataPlane,
    /// Objects to put in before anything starts.
    pub sources: Vec<SourceText>,
    /// Put in only when the folder is empty.
    pub defaults: Vec<SourceText>,
}

/// Puts in what the command line says; it has validated it.
pub(super) fn first_objects(settings: &Settings, directory: &Directory) -> Result<()> {
    put(&settings.sources, directory)?;
    if directory.state().objects.is_empty() {
        put(&settings.defaults, directory)?;
    }
    Ok(())
}

fn put(sources: &[SourceText], directory: &Directory) -> Result<()> {
    for source in sources {
        let parsed = resources::parse(&source.file, &source.text, "default");
        ensure!(!parsed.has_errors(), "`{}` is refused", source.file);
        directory.put(&parsed.objects).context("write the mesh's first objects")?;
    }
    Ok(())
}
