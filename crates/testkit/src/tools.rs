//! Where `cargo xtask tools` puts the real peers.

use std::path::PathBuf;

/// The stock Envoy that the mesh is checked against.
pub const ENVOY_VERSION: &str = "1.40.0";

/// The folder of all tools: `$LATEEN_TOOLS`, else `~/.cache/lateen/tools`.
pub fn folder() -> PathBuf {
    match variable("LATEEN_TOOLS") {
        Some(folder) => PathBuf::from(folder),
        None => {
            PathBuf::from(variable("HOME").unwrap_or_else(|| "/root".to_owned())).join(".cache/lateen/tools")
        }
    }
}

/// Where Envoy is, or will be once installed: `$ENVOY`, else the tools folder.
pub fn envoy_path() -> PathBuf {
    match variable("ENVOY") {
        Some(path) => PathBuf::from(path),
        None => folder().join(format!("envoy-{ENVOY_VERSION}")).join("envoy"),
    }
}

/// Envoy's binary, or what to type to get it.
pub fn envoy() -> anyhow::Result<PathBuf> {
    let path = envoy_path();
    anyhow::ensure!(path.is_file(), "`{}` is not there: run `cargo xtask tools envoy`", path.display());
    Ok(path)
}

#[expect(clippy::disallowed_methods, reason = "the one place where tests read the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
