//! The files that every container sees at their usual places.

use std::collections::BTreeMap;

use resources::pod::PodSpec;

use crate::network::DNS_ADDRESS;
use crate::pod::plan::PodPlan;

/// Each file's name in the pod's directory, and its place.
pub(super) const PLACES: [(&str, &str); 3] =
    [("resolv.conf", "/etc/resolv.conf"), ("hosts", "/etc/hosts"), ("nsswitch.conf", "/etc/nsswitch.conf")];

/// What the files of a pod say.
pub(super) fn contents(plan: &PodPlan, spec: &PodSpec) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("resolv.conf", resolv_conf(&plan.namespace, spec)),
        ("hosts", hosts(plan, spec)),
        ("nsswitch.conf", NSSWITCH.to_owned()),
    ])
}

/// `systemd-resolved` and `nscd` would answer past the cluster's DNS.
const NSSWITCH: &str =
    "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n";

fn resolv_conf(namespace: &str, spec: &PodSpec) -> String {
    let mut searches = vec![
        format!("{namespace}.svc.cluster.local"),
        "svc.cluster.local".to_owned(),
        "cluster.local".to_owned(),
    ];
    let mut options = vec!["ndots:5".to_owned()];
    if let Some(config) = &spec.dns_config {
        searches.extend(config.searches.iter().cloned());
        for option in &config.options {
            if option.name == "ndots" {
                options.clear();
            }
            options.push(match &option.value {
                Some(value) => format!("{}:{value}", option.name),
                None => option.name.clone(),
            });
        }
    }
    format!("nameserver {DNS_ADDRESS}\nsearch {}\noptions {}\n", searches.join(" "), options.join(" "))
}

fn hosts(plan: &PodPlan, spec: &PodSpec) -> String {
    let mut text = String::from("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let name = if spec.subdomain.is_empty() {
        plan.hostname.clone()
    } else {
        format!("{0}.{1}.{2}.svc.cluster.local\t{0}", plan.hostname, spec.subdomain, plan.namespace)
    };
    text.push_str(&format!("{}\t{name}\n", plan.address));
    for alias in &spec.host_aliases {
        text.push_str(&format!("{}\t{}\n", alias.ip, alias.hostnames.join("\t")));
    }
    text
}
