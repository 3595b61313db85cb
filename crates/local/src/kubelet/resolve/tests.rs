//! What becomes of a pod's spec.

use std::net::Ipv4Addr;
use std::sync::Arc;

use resources::{Object, ObjectKey};

use super::*;
use crate::container::plan::{Identity, UserSpace};
use crate::pod::plan::Action;

const USER: Caller = Caller::User { uid: 1000, gid: 1000 };
const ROOT: Caller = Caller::Root { uid: 65534, gid: 65534 };

fn attempt(spec: &str, caller: Caller) -> Result<Resolved, Unresolved> {
    let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: web-1, uid: u1}}\nspec: {spec}\n");
    let parsed = resources::parse("pod.yaml", &text, "shop");
    assert!(!parsed.has_errors(), "{:?}", parsed.problems);
    let pod: &Arc<Object> = &parsed.objects[0];
    let file = Path::new("/home/u/.lateen/images.yaml");
    let images = Images::load(file).expect("bundled images");
    let objects: BTreeMap<ObjectKey, Arc<Object>> = BTreeMap::new();
    resolve(&Surroundings {
        context: Context {
            meta: &pod.meta,
            pod: pod.as_pod().expect("a pod"),
            address: Ipv4Addr::new(10, 44, 0, 9),
            cores: 2,
            memory: 1 << 30,
            objects: &objects,
        },
        images: &images,
        images_file: file,
        caller,
        home: Path::new("/home/u/.lateen"),
        service_links: &[("DB_SERVICE_HOST".to_owned(), "10.96.1.1".to_owned())],
    })
}

fn resolved(spec: &str) -> Resolved {
    attempt(spec, USER).expect("a plan")
}

#[test]
fn commands_come_from_the_container_or_its_image() {
    let cases = [
        (
            "{name: a, image: x, command: [run, \"$(HOSTNAME)\"], args: [\"$$(X)\"]}",
            vec!["run", "web-1", "$(X)"],
        ),
        ("{name: a, image: lateen/lateen}", vec!["lateen"]),
        ("{name: a, image: \"lateen/lateen:1\", args: [proxy, sidecar]}", vec!["lateen", "proxy", "sidecar"]),
        ("{name: a, image: sleep}", vec!["sleep", "infinity"]),
    ];
    for (container, expected) in cases {
        let plan = resolved(&format!("{{containers: [{container}]}}")).plan;
        assert_eq!(plan.containers[0].process.command, expected, "{container}");
    }
    let refusal = attempt("{containers: [{name: a, image: \"nginx:1\"}]}", USER).expect_err("a refusal");
    assert_eq!(refusal.container.as_deref(), Some("a"));
    assert_eq!(refusal.reason.reason, "ErrImagePull");
}

#[test]
fn users_are_who_they_should_be() {
    let of = |container: &str, caller| {
        let identity = attempt(container, caller).expect("a plan").plan.init_containers.first().cloned();
        let plan = attempt(container, caller).expect("a plan").plan;
        identity.unwrap_or_else(|| plan.containers[0].clone()).process.identity
    };
    let simple = "{containers: [{name: a, image: i, command: [x]}]}";
    let chosen = "{securityContext: {runAsUser: 5, supplementalGroups: [7], fsGroup: 8}, containers: [{name: a, image: i, command: [x], securityContext: {runAsUser: 1337, runAsGroup: 1337}}]}";
    let capture = "{initContainers: [{name: istio-init, image: i, command: [x], securityContext: {runAsUser: 0, runAsGroup: 0, capabilities: {add: [NET_ADMIN]}}}], containers: [{name: a, image: i, command: [x]}]}";
    let ids = |identity: &Identity| (identity.uid, identity.gid, identity.space);
    assert_eq!(ids(&of(simple, ROOT)), (65534, 65534, UserSpace::World));
    assert_eq!(ids(&of(simple, USER)), (1000, 1000, UserSpace::Own));
    assert_eq!(ids(&of(chosen, ROOT)), (1337, 1337, UserSpace::World));
    assert_eq!(of(chosen, ROOT).groups, [7, 8]);
    assert_eq!(ids(&of(chosen, USER)), (1000, 1000, UserSpace::Own));
    for caller in [ROOT, USER] {
        assert_eq!(ids(&of(capture, caller)), (0, 0, UserSpace::World));
        assert_eq!(of(capture, caller).capabilities, ["NET_ADMIN"]);
    }
    let contradiction = "{containers: [{name: a, image: i, command: [x], securityContext: {runAsUser: 0, runAsNonRoot: true}}]}";
    assert!(attempt(contradiction, ROOT).expect_err("a refusal").reason.message.contains("runAsNonRoot"));
}

#[test]
fn mounts_lead_from_the_pods_directory_to_their_places() {
    let plan = resolved(
        "{volumes: [{name: tmp, emptyDir: {}}, {name: about, downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}], \
         containers: [{name: a, image: i, command: [x], volumeMounts: [{name: tmp, mountPath: /tmp}, {name: about, mountPath: /about/name, subPath: name}]}]}",
    )
    .plan;
    let mounts: Vec<String> = plan.containers[0]
        .process
        .mounts
        .iter()
        .map(|mount| {
            format!(
                "{} {} {:?} {}",
                mount.source.display(),
                mount.target.display(),
                mount.kind,
                mount.read_only
            )
        })
        .collect();
    assert_eq!(
        mounts[3..],
        [
            "/run/lateen/pods/u1/volumes/tmp /tmp Directory false",
            "/run/lateen/pods/u1/volumes/about/name /about/name File true",
        ]
    );
    for mount in [
        "{name: none, mountPath: /x}",
        "{name: tmp, mountPath: /}",
        "{name: tmp, mountPath: /x, subPath: ../y}",
    ] {
        let spec = format!(
            "{{volumes: [{{name: tmp, emptyDir: {{}}}}], containers: [{{name: a, image: i, command: [x], volumeMounts: [{mount}]}}]}}"
        );
        let parsed = resources::parse(
            "p",
            &format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {spec}"),
            "d",
        );
        // What validation refuses already never comes here.
        if !parsed.has_errors() {
            assert!(attempt(&spec, USER).is_err(), "{mount}");
        }
    }
}

#[test]
fn probes_and_hooks_know_their_ports() {
    let plan = resolved(
        "{containers: [{name: a, image: i, command: [x], ports: [{name: web, containerPort: 8080}], \
          readinessProbe: {httpGet: {path: ready, port: web}, periodSeconds: 3}, \
          livenessProbe: {tcpSocket: {port: 9}}, startupProbe: {exec: {command: [check]}, failureThreshold: 9}, \
          lifecycle: {preStop: {sleep: {seconds: 2}}, postStart: {httpGet: {path: /x, port: 1}}}}]}",
    )
    .plan;
    let container = &plan.containers[0];
    let readiness = container.readiness.as_ref().expect("a probe");
    let expected = Action::Http {
        host: "10.44.0.9".to_owned(),
        port: 8080,
        path: "/ready".to_owned(),
        headers: Vec::new(),
    };
    assert_eq!((&readiness.action, readiness.period, readiness.failures), (&expected, 3, 3));
    assert!(matches!(container.liveness.as_ref().expect("a probe").action, Action::Tcp { port: 9, .. }));
    assert_eq!(container.startup.as_ref().expect("a probe").failures, 9);
    assert_eq!(container.pre_stop, Some(Action::Sleep(2)));
    assert!(matches!(container.post_start, Some(Action::Http { port: 1, .. })));
}

#[test]
fn the_pods_files_name_its_domain_and_itself() {
    let resolved = resolved(
        "{hostAliases: [{ip: 192.0.2.1, hostnames: [old, older]}], dnsConfig: {searches: [corp.example], options: [{name: ndots, value: \"2\"}]}, containers: [{name: a, image: i, command: [x]}]}",
    );
    assert_eq!(
        resolved.files["resolv.conf"],
        "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local cluster.local corp.example\noptions ndots:2\n"
    );
    assert!(resolved.files["hosts"].contains("10.44.0.9\tweb-1\n192.0.2.1\told\tolder\n"));
    let environment = &resolved.plan.containers[0].process.environment;
    assert!(environment.contains(&("DB_SERVICE_HOST".to_owned(), "10.96.1.1".to_owned())));
}
