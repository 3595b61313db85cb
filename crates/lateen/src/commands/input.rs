//! `-f FILE|DIR|@SAMPLE|-`: texts with names.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::protocol::SourceText;
use crate::samples;

/// Reads everything that the `-f` values name, in their order.
pub fn read(values: &[String]) -> Result<Vec<SourceText>> {
    let mut sources = Vec::new();
    for value in values {
        if value == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("read standard input")?;
            sources.push(SourceText { file: "<stdin>".to_owned(), text });
        } else if let Some(name) = value.strip_prefix('@') {
            let sample = samples::find(name)?;
            sources.push(SourceText { file: format!("@{}", sample.path), text: sample.text.to_owned() });
        } else {
            sources.extend(read_path(Path::new(value))?);
        }
    }
    Ok(sources)
}

fn read_path(path: &Path) -> Result<Vec<SourceText>> {
    if !path.is_dir() {
        return Ok(vec![read_file(path)?]);
    }
    let files = yaml_files(path)?;
    if files.is_empty() {
        bail!("`{}` holds no .yaml, .yml or .json file", path.display());
    }
    files.iter().map(|file| read_file(file)).collect()
}

fn read_file(path: &Path) -> Result<SourceText> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read `{}`", path.display()))?;
    Ok(SourceText { file: path.display().to_string(), text })
}

/// The folder's own files, as kubectl reads a folder: sorted, not deeper.
fn yaml_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("list `{}`", folder.display()))? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_file() && matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
