//! Generates Envoy's v3 messages from the protos inside the locked
//! `envoy-types` package, and the descriptor set that JSON needs.

#![expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// The package whose `proto/` folder is the source of every message.
const PROTO_PACKAGE: &str = "envoy-types";

/// Well-known types that stay what Rust already has for them.
const EXTERN_TYPES: [(&str, &str); 15] = [
    (".google.protobuf.BoolValue", "bool"),
    (".google.protobuf.BytesValue", "::prost::alloc::vec::Vec<u8>"),
    (".google.protobuf.DoubleValue", "f64"),
    (".google.protobuf.Duration", "::prost_types::Duration"),
    (".google.protobuf.Empty", "()"),
    (".google.protobuf.FloatValue", "f32"),
    (".google.protobuf.Int32Value", "i32"),
    (".google.protobuf.Int64Value", "i64"),
    (".google.protobuf.ListValue", "::prost_types::ListValue"),
    (".google.protobuf.StringValue", "::prost::alloc::string::String"),
    (".google.protobuf.Struct", "::prost_types::Struct"),
    (".google.protobuf.Timestamp", "::prost_types::Timestamp"),
    (".google.protobuf.UInt32Value", "u32"),
    (".google.protobuf.UInt64Value", "u64"),
    (".google.protobuf.Value", "::prost_types::Value"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../../Cargo.lock");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut includes = include_folders(&proto_folder()?)?;
    includes.insert(0, mended_protos(&includes, &out)?);
    let descriptors = FileDescriptorSet { file: compile_each_file(&includes)? };
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    let mut config = prost_build::Config::new();
    config
        .out_dir(&out)
        .compile_well_known_types()
        .btree_map(["."])
        .bytes([".google.protobuf.Any"])
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .disable_comments(["."])
        .include_file("envoy.rs");
    for (message, rust) in EXTERN_TYPES {
        config.extern_path(message, rust);
    }
    config.compile_fds(descriptors)?;
    Ok(())
}

/// Where cargo unpacked the proto package that the lock file names.
fn proto_folder() -> Result<PathBuf, Box<dyn Error>> {
    let output = Command::new(std::env::var("CARGO")?)
        .args(["metadata", "--format-version=1", "--locked"])
        .output()?;
    if !output.status.success() {
        return Err(
            format!("`cargo metadata --locked` failed: {}", String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|package| package["name"] == PROTO_PACKAGE)
        .and_then(|package| package["manifest_path"].as_str())
        .ok_or_else(|| format!("`{PROTO_PACKAGE}` is not in the dependency graph: run `cargo fetch`"))?;
    Ok(Path::new(manifest).with_file_name("proto"))
}

/// Each sub-folder of the package's `proto/`, or its own `proto/`, is an
/// import root.
fn include_folders(root: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        let nested = path.join("proto");
        if nested.is_dir() {
            folders.push(nested);
        } else if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// The one file whose relative name protox resolves otherwise than protoc,
/// with that name made absolute, in an import root of its own.
fn mended_protos(includes: &[PathBuf], out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    const FILE: &str = "envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster.proto";
    let root = out.join("mended");
    for include in includes {
        let source = include.join(FILE);
        if source.is_file() {
            let text = std::fs::read_to_string(source)?.replace(
                " common.dynamic_forward_proxy.",
                " .envoy.extensions.common.dynamic_forward_proxy.",
            );
            let target = root.join(FILE);
            std::fs::create_dir_all(target.parent().ok_or("no folder")?)?;
            std::fs::write(target, text)?;
        }
    }
    Ok(root)
}

/// Compiles one root file at a time: in one pool protox resolves relative
/// names against every loaded package, protoc only against imports.
fn compile_each_file(includes: &[PathBuf]) -> Result<Vec<FileDescriptorProto>, Box<dyn Error>> {
    let mut names = Vec::new();
    for include in includes {
        collect_protos(include, include, &mut names)?;
    }
    names.sort();
    let mut files: BTreeMap<String, FileDescriptorProto> = BTreeMap::new();
    for name in &names {
        match protox::compile([name], includes) {
            Ok(set) => {
                for mut file in set.file {
                    file.source_code_info = None;
                    files.entry(file.name().to_owned()).or_insert(file);
                }
            }
            Err(error) => println!("cargo:warning={}: left out: {error}", name.display()),
        }
    }
    Ok(files.into_values().collect())
}

fn collect_protos(root: &Path, folder: &Path, names: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_protos(root, &path, names)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            names.push(path.strip_prefix(root)?.to_owned());
        }
    }
    Ok(())
}
