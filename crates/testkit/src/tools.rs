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

/// The conformance suite of HTTP/2.
pub const H2SPEC_VERSION: &str = "2.2.1";

/// Where h2spec is, or will be once built.
pub fn h2spec_path() -> PathBuf {
    folder().join(format!("h2spec-{H2SPEC_VERSION}")).join("h2spec")
}

/// h2spec's binary, or what to type to get it.
pub fn h2spec() -> anyhow::Result<PathBuf> {
    let path = h2spec_path();
    anyhow::ensure!(path.is_file(), "`{}` is not there: run `cargo xtask tools h2spec`", path.display());
    Ok(path)
}

/// gRPC for Go, whose interop programs are used.
pub const GRPC_VERSION: &str = "1.76.0";

/// Where gRPC's interop program `name` (`client`, `server`) is, or will be.
pub fn grpc_interop_path(name: &str) -> PathBuf {
    folder().join(format!("grpc-interop-{GRPC_VERSION}")).join(name)
}

/// gRPC's interop program `name`, or what to type to get it.
pub fn grpc_interop(name: &str) -> anyhow::Result<PathBuf> {
    let path = grpc_interop_path(name);
    anyhow::ensure!(
        path.is_file(),
        "`{}` is not there: run `cargo xtask tools grpc-interop`",
        path.display()
    );
    Ok(path)
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
