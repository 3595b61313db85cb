//! Gives back memory that is no longer needed.
//!
//! Starting touches much of the program once: arguments, decoding of every
//! message type, building of tables.  Those pages stay mapped, and so count as
//! resident and as in use, for as long as the process lives, in each sidecar
//! of a machine.  They are clean pages of files: dropped, those that are
//! needed again come back from the page cache one by one.

use std::fs;
use std::io;
use std::path::Path;

/// Drops the program's own clean pages from this process; says how many bytes
/// were resident.
///
/// # Errors
/// The kernel does not tell what is mapped.
pub fn drop_clean_pages() -> io::Result<u64> {
    // Libraries may be unloaded meanwhile, the program cannot.
    let program = fs::read_link("/proc/self/exe")?;
    let text = fs::read_to_string("/proc/self/smaps")?;
    let mut dropped = 0;
    for mapping in clean(&text, &program) {
        if advise::drop_pages(mapping.start, mapping.length).is_ok() {
            dropped += mapping.resident;
        }
    }
    Ok(dropped)
}

/// A part of a file that is mapped, read-only, and as it is on disk.
#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    start: usize,
    length: usize,
    resident: u64,
}

/// The program's mappings in the text of `smaps` (proc_pid_smaps(5)) that can
/// be dropped.
fn clean(smaps: &str, program: &Path) -> Vec<Mapping> {
    let mut found = Vec::new();
    let mut current: Option<Mapping> = None;
    for line in smaps.lines() {
        if let Some(header) = header(line, program) {
            found.extend(current.take());
            current = header;
        } else if let Some(mapping) = &mut current {
            match line.split_once(':').map(|(name, value)| (name, kib(value))) {
                Some(("Rss", Some(size))) => mapping.resident = size * 1024,
                // A page of its own was written once: relocated, or by a debugger.
                Some(("Anonymous", Some(1..))) => current = None,
                _ => {}
            }
        }
    }
    found.extend(current);
    found
}

/// The first line of a mapping; inside is `None` unless it is the program's and
/// cannot be written.
fn header(line: &str, program: &Path) -> Option<Option<Mapping>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    let permissions = fields.next()?;
    let is_program = fields.nth(3).is_some_and(|path| Path::new(path) == program);
    let is_fixed = permissions.starts_with('r') && !permissions.contains('w') && permissions.ends_with('p');
    let mapping = Mapping { start, length: end.checked_sub(start)?, resident: 0 };
    Some((is_program && is_fixed).then_some(mapping))
}

fn kib(value: &str) -> Option<u64> {
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Has the allocator return what is free to the kernel.
///
/// A large response is decoded, compiled and forgotten: what it took lies free
/// between what stays, and glibc gives back only what is free at the end.
pub fn return_free() {
    advise::trim();
}

mod advise {
    //! The calls that the compiler cannot check.

    #![expect(unsafe_code, reason = "madvise takes an address, malloc_trim is C")]

    use std::io;

    /// Drops the pages of a private, read-only mapping of a file that has none
    /// of its own.
    pub(super) fn drop_pages(start: usize, length: usize) -> io::Result<()> {
        let address = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: every page of the mapping equals the file's, and nobody can
        // write to it, so a read sees the same bytes before and after; the
        // program's own mappings last as long as the process.
        unsafe { rustix::mm::madvise(address, length, rustix::mm::Advice::LinuxDontNeed) }?;
        Ok(())
    }

    /// glibc's `malloc_trim(3)`; other C libraries keep less and have none.
    pub(super) fn trim() {
        #[cfg(target_env = "gnu")]
        // SAFETY: it takes a size to keep, may be called at any time from any
        // thread, and touches free memory only.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

#[cfg(test)]
mod tests;
