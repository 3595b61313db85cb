//! Processes, as `/proc` shows them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its numbers, from the namespace that `/proc` shows inward.
    pub(crate) numbers: Vec<u32>,
    /// Its parent's number.
    pub(crate) parent: u32,
}

/// Every process that `/proc` shows.
pub(crate) fn all() -> BTreeMap<u32, Process> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            Some((number, parse(&status)?))
        })
        .collect()
}

/// The process of this number and all that descend from it.
pub(crate) fn descendants(of: u32) -> Vec<Process> {
    let mut processes = all();
    let mut family = BTreeSet::from([of]);
    let mut grew = true;
    while grew {
        let before = family.len();
        let children = processes.iter().filter(|(_, process)| family.contains(&process.parent));
        let children: Vec<u32> = children.map(|(number, _)| *number).collect();
        family.extend(children);
        grew = family.len() > before;
    }
    family.into_iter().filter_map(|number| processes.remove(&number)).collect()
}

/// All processes in the network namespace of this inode, as this process numbers them.
pub(crate) fn in_network_namespace(inode: u64) -> Vec<u32> {
    use std::os::unix::fs::MetadataExt;
    // Where no fresh /proc could be mounted, it shows the numbers of an outer namespace first.
    let level = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| parse(&status))
        .map_or(0, |own| own.numbers.len().saturating_sub(1));
    let inside = |number: &u32| {
        let path = Path::new("/proc").join(number.to_string()).join("ns/net");
        std::fs::metadata(path).is_ok_and(|metadata| metadata.ino() == inode)
    };
    all()
        .into_iter()
        .filter(|(number, _)| inside(number))
        .filter_map(|(_, process)| process.numbers.get(level).copied())
        .collect()
}

fn parse(status: &str) -> Option<Process> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let numbers = field("NSpid:")?.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let parent = field("PPid:")?.trim().parse().ok()?;
    Some(Process { numbers, parent })
}

#[cfg(test)]
mod tests;
