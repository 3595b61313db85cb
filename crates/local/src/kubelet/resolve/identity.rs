//! As whom a container runs.

use resources::pod::{Container, SecurityContext};

use super::Surroundings;
use crate::caller::Caller;
use crate::container::plan::{Identity, UserSpace};
use crate::kubelet::context::Reason;

/// The container that writes the capture rules; the only one with rights over the pod's network.
const CAPTURE_CONTAINER: &str = "istio-init";

/// The user, groups and capabilities of a container.
pub(super) fn identity(
    surroundings: &Surroundings<'_>,
    container: &Container,
    is_init: bool,
) -> Result<Identity, Reason> {
    let pod = surroundings.context.pod.spec.security_context.clone().unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let is_capture = is_init && container.name == CAPTURE_CONTAINER;
    let (default_uid, default_gid) = match surroundings.caller {
        Caller::Root { uid, gid } => (uid, gid),
        Caller::User { .. } if is_capture => {
            return Ok(Identity {
                uid: 0,
                gid: 0,
                groups: Vec::new(),
                capabilities: added(&own),
                space: UserSpace::World,
            });
        }
        Caller::User { uid, gid } => {
            return Ok(Identity {
                uid,
                gid,
                groups: Vec::new(),
                capabilities: Vec::new(),
                space: UserSpace::Own,
            });
        }
    };
    let uid = own.run_as_user.or(pod.run_as_user).unwrap_or(default_uid);
    let gid = own.run_as_group.or(pod.run_as_group).unwrap_or(default_gid);
    if uid == 0 && own.run_as_non_root.or(pod.run_as_non_root).unwrap_or(false) {
        return Err(Reason::config("runAsNonRoot forbids what runAsUser asks for: user 0"));
    }
    let mut groups = pod.supplemental_groups.clone();
    groups.extend(pod.fs_group);
    Ok(Identity { uid, gid, groups, capabilities: added(&own), space: UserSpace::World })
}

fn added(security: &SecurityContext) -> Vec<String> {
    security.capabilities.as_ref().map(|capabilities| capabilities.add.clone()).unwrap_or_default()
}
