//! Giving up root.

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Gid, Uid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::plan::{Identity, UserSpace};
use super::tie;
use crate::channel::Channel;
use crate::failure::{Failure, Step};
use crate::world::{enter_user_namespace, map_ids};

/// Becomes the user of `identity`, for good.
pub(super) fn assume(identity: &Identity, link: &Channel) -> Result<(), Failure> {
    let kept = kept_capabilities(&identity.capabilities);
    match identity.space {
        UserSpace::World if kept.is_empty() && identity.uid != 0 => {
            set_keep_capabilities(true).step("keep capabilities for a moment")?;
            become_user(identity)?;
            shield(identity)?;
            limit_capabilities(kept)?;
        }
        UserSpace::World => {
            limit_capabilities(kept)?;
            become_user(identity)?;
        }
        UserSpace::Own => {
            enter_user_namespace(identity.uid, 0, identity.gid, 0)?;
            limit_capabilities(CapabilitySet::empty())?;
        }
    }
    set_no_new_privs(true).step("give up new privileges")?;
    drop_effective(if identity.uid == 0 { kept } else { CapabilitySet::empty() })?;
    tie(link)
}

fn become_user(identity: &Identity) -> Result<(), Failure> {
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    // With one user mapped, the kernel forbids setting groups, and there is nothing to give up.
    match set_thread_groups(&groups) {
        Ok(()) => {}
        Err(rustix::io::Errno::PERM) if identity.uid == 0 => {}
        Err(error) => return Err(Failure::new("set the container's groups", error)),
    }
    set_thread_res_gid(gid, gid, gid).step(format!("become group {}", identity.gid))?;
    set_thread_res_uid(uid, uid, uid).step(format!("become user {}", identity.uid))
}

/// Moves into a user namespace of the container's own, in which its user and group are what they were.
///
/// All pods share one process namespace, and many of them one user: processes of the same user may trace each other
/// unless a user namespace lies between them.
fn shield(identity: &Identity) -> Result<(), Failure> {
    // What was left of root's rights is needed where ordinary users may not make user namespaces.
    let all = CapabilitySet::SYS_ADMIN | CapabilitySet::SETPCAP;
    drop_effective(all)?;
    if unshare(CloneFlags::CLONE_NEWUSER).is_err() {
        // User namespaces are off for everybody; pods of one user can see each other's processes.
        return Ok(());
    }
    // A change of user closes a process's own /proc to it.
    set_dumpable_behavior(DumpableBehavior::Dumpable).step("open the container's own /proc")?;
    map_ids(identity.uid, identity.uid, identity.gid, identity.gid)
}

/// Takes all but `kept` out of what any later program could gain.
fn limit_capabilities(kept: CapabilitySet) -> Result<(), Failure> {
    for capability in CapabilitySet::all().iter().filter(|capability| !kept.contains(*capability)) {
        match remove_capability_from_bounding_set(capability) {
            // An older kernel does not know every capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(Failure::new("limit the container's capabilities", error)),
        }
    }
    Ok(())
}

/// Gives up all but `kept` now; the program that follows gets no more than that.
fn drop_effective(kept: CapabilitySet) -> Result<(), Failure> {
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).step("give up capabilities")
}

fn kept_capabilities(names: &[String]) -> CapabilitySet {
    names
        .iter()
        .filter_map(|name| CapabilitySet::from_name(name.strip_prefix("CAP_").unwrap_or(name)))
        .fold(CapabilitySet::empty(), |all, one| all | one)
}

#[cfg(test)]
mod tests;
