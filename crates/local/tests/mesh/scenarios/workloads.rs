//! Pods come, go, and come back.

use std::collections::BTreeSet;

use rustix::process::{Pid, Signal, kill_process};

use super::mesh;
use super::network::TWO;
use crate::session::Session;

fn ready_names(mesh: &Session, deployment: &str) -> BTreeSet<String> {
    let pods = mesh.status().pods.into_iter();
    pods.filter(|pod| pod.deployment.as_deref() == Some(deployment) && pod.is_ready)
        .map(|pod| pod.name)
        .collect()
}

pub fn deployments_follow_what_is_wanted() {
    let mesh = mesh(TWO);
    let first = ready_names(&mesh, "alpha");
    assert_eq!(first.len(), 2);
    mesh.put(&TWO.replace("replicas: 2", "replicas: 4"));
    mesh.until("four pods are ready", |_| ready_names(&mesh, "alpha").len() == 4);
    assert!(first.is_subset(&ready_names(&mesh, "alpha")), "those that were there stay");

    mesh.put(&TWO.replace("args: [serve, $(HOSTNAME), \"9080\"]", "args: [serve, changed, \"9080\"]"));
    mesh.until("only changed pods are left", |status| {
        // While pods change, at least as many as wanted take traffic.
        let alphas = || status.pods.iter().filter(|pod| pod.deployment.as_deref() == Some("alpha"));
        assert!(alphas().filter(|pod| pod.is_ready).count() >= 2, "{status:#?}");
        alphas().count() == 2 && alphas().all(|pod| pod.is_ready && !first.contains(&pod.name))
    });
    assert!(mesh.ok("beta", &["curl", "-sS", "-m", "5", "http://alpha/"]).starts_with("changed "));

    let without: Vec<&str> = TWO.split("---").filter(|object| !object.contains("kind: Deployment")).collect();
    mesh.put(&without.join("---"));
    mesh.until("no pod of the Deployment is left", |status| status.pods.len() == 1);
    mesh.put(TWO);
    mesh.until("it comes again", |_| ready_names(&mesh, "alpha").len() == 2);
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process");
    kill_process(pid, Signal::KILL).expect("killed");
}

pub fn what_is_killed_comes_back() {
    let mesh = mesh(TWO);
    let before = mesh.pod("beta");
    let container = before.containers[0].pid.expect("a process");
    let command = std::fs::read_to_string(format!("/proc/{container}/cmdline")).expect("a command line");
    assert!(command.contains("serve"), "the host's number of the process: {command}");
    kill(container);
    mesh.until("the container comes back", |status| {
        let beta = status.pods.iter().find(|pod| pod.name == "beta").expect("beta");
        beta.is_ready && beta.containers[0].restarts == 1
    });
    assert_eq!(mesh.pod("beta").address, before.address);

    let pod_process = parent(mesh.pod("beta").containers[0].pid.expect("a process"));
    kill(pod_process);
    mesh.until("the pod comes back", |status| {
        let beta = status.pods.iter().find(|pod| pod.name == "beta").expect("beta");
        beta.is_ready && beta.containers[0].restarts == 2
    });
    assert!(mesh.ok("beta", &["curl", "-sS", "-m", "5", "http://alpha/"]).contains("alpha"));
}

fn parent(pid: u32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    line.trim().parse().expect("a number")
}

const ORDERED: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {token: hidden}
---
apiVersion: v1
kind: Pod
metadata: {name: ordered, labels: {app: ordered}}
spec:
  terminationGracePeriodSeconds: 5
  securityContext: {fsGroup: 2000}
  volumes:
  - {name: shared, emptyDir: {}}
  - {name: settings, configMap: {name: settings}}
  - {name: keys, secret: {secretName: keys, defaultMode: 0440}}
  - {name: about, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  initContainers:
  - name: first
    image: any
    command: [sh, -c, "echo first >> /shared/order"]
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: beside
    image: any
    restartPolicy: Always
    command: [sh, -c, "echo beside >> /shared/order; touch /shared/up; exec sleep infinity"]
    startupProbe: {exec: {command: [test, -e, /shared/up]}, periodSeconds: 1}
    volumeMounts: [{name: shared, mountPath: /shared}]
  - name: last
    image: any
    command: [sh, -c, "echo last >> /shared/order"]
    volumeMounts: [{name: shared, mountPath: /shared}]
  containers:
  - name: main
    image: any
    command: [sh, -c, 'echo main >> /shared/order; echo "$GREETING"; trap "echo terminated; exit 0" TERM; while :; do sleep 0.1; done']
    env:
    - {name: WHO, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: GREETING, value: "hello from $(WHO) at $(COLOR)"}
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
    lifecycle:
      postStart: {exec: {command: [sh, -c, "echo hooked >> /shared/order"]}}
      preStop: {exec: {command: [sh, -c, "echo stopping >> /proc/1/nowhere 2>/dev/null; sleep 0.2"]}}
    volumeMounts:
    - {name: shared, mountPath: /shared}
    - {name: settings, mountPath: /etc/app/settings}
    - {name: keys, mountPath: /opt/some/deep/keys}
    - {name: about, mountPath: /about/labels, subPath: labels}
    - {name: shared, mountPath: /srv/part, subPath: part}
"#;

pub fn containers_start_in_order_with_their_files() {
    let mesh = mesh(ORDERED);
    let order = mesh.ok("ordered", &["cat", "/shared/order"]);
    let order: Vec<&str> = order.lines().collect();
    assert_eq!(order[..3], ["first", "beside", "last"]);
    assert_eq!(BTreeSet::from_iter(order[3..].iter().copied()), BTreeSet::from(["hooked", "main"]));
    assert_eq!(
        mesh.log("ordered", "main"),
        "hello from ordered at $(COLOR)\n",
        "a variable knows those before it"
    );

    assert_eq!(mesh.ok("ordered", &["cat", "/etc/app/settings/color"]), "blue");
    assert_eq!(mesh.ok("ordered", &["cat", "/about/labels"]), "app=\"ordered\"");
    assert_eq!(mesh.ok("ordered", &["cat", "/opt/some/deep/keys/token"]), "hidden");
    assert_ne!(
        mesh.run("ordered", &["sh", "-c", "echo x > /etc/app/settings/color"]).1,
        0,
        "files are read-only"
    );
    mesh.ok("ordered", &["sh", "-c", "echo x > /srv/part/file && test -e /shared/part/file"]);
    assert!(!std::path::Path::new("/about").exists() && !std::path::Path::new("/etc/app").exists());
    let found = mesh.ok("ordered", &["sh", "-c", "cat /etc/hosts; cat /etc/resolv.conf; ls /etc/passwd"]);
    assert!(found.contains("ordered") && found.contains("nameserver 10.96.0.10"), "{found}");

    mesh.put(&ORDERED.replace("color: blue", "color: green"));
    mesh.until("the file follows its ConfigMap", |_| {
        mesh.ok("ordered", &["cat", "/etc/app/settings/color"]) == "green"
    });

    let log = mesh.home().join("logs/default/ordered/main.log");
    mesh.put("apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n");
    mesh.until("the pod is gone", |status| status.pods.is_empty());
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(log.ends_with("terminated\n"), "the container is asked to end: {log}");
}

pub fn what_cannot_run_says_why() {
    let mesh = mesh(TWO);
    let broken = r#"
---
apiVersion: v1
kind: Pod
metadata: {name: imageless}
spec: {containers: [{name: a, image: "nginx:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: unsettled}
spec: {containers: [{name: a, image: any, command: [sleep, infinity], envFrom: [{configMapRef: {name: later}}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: crashing}
spec: {containers: [{name: a, image: any, command: [sh, -c, "echo oops; exit 3"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: programless}
spec: {containers: [{name: a, image: any, command: [no-such-program]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: done}
spec: {restartPolicy: Never, containers: [{name: a, image: any, command: ["true"]}]}
"#;
    mesh.put(&format!("{TWO}{broken}"));
    let state = |name: &str, expected: &str| {
        mesh.until(&format!("{name} is {expected}"), |status| {
            let pod = status.pods.iter().find(|pod| pod.name == name);
            pod.and_then(|pod| pod.containers.first()).is_some_and(|container| container.state == expected)
        });
        mesh.pod(name).containers[0].message.clone()
    };
    let message = state("imageless", "ErrImagePull");
    assert!(
        message.contains("docker.io/library/nginx: {command:") && message.contains("images.yaml"),
        "{message}"
    );
    assert!(state("unsettled", "CreateContainerConfigError").contains("ConfigMap `later`"));
    assert!(state("crashing", "CrashLoopBackOff").contains("back-off 10s"));
    assert!(mesh.log("crashing", "a").starts_with("oops\noops\n"));
    let message = state("programless", "CrashLoopBackOff");
    assert!(message.contains("back-off"), "{message}");
    mesh.until("a finished pod has succeeded", |status| {
        status.pods.iter().any(|pod| pod.name == "done" && pod.phase == "Succeeded")
    });
    let later = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: later}\ndata: {A: b}\n";
    mesh.put(&format!("{TWO}{broken}{later}"));
    state("unsettled", "Running");
    assert_eq!(mesh.ok("unsettled", &["printenv", "A"]), "b\n");
}

pub fn commands_and_logs_reach_containers() {
    let mesh = mesh(TWO);
    assert_eq!(
        mesh.run("beta", &["sh", "-c", "echo out; echo err >&2; exit 7"]),
        ("out\nerr\n".to_owned(), 7)
    );
    assert_eq!(mesh.run("beta", &["sh", "-c", "kill -9 $$"]).1, 137);
    assert_eq!(mesh.ok("beta", &["hostname"]), "beta\n");
    assert_eq!(
        mesh.ok("deploy/alpha", &["sh", "-c", "echo $HOSTNAME"]).trim(),
        mesh.ok("deploy/alpha", &["hostname"]).trim()
    );
    assert_eq!(mesh.log("beta", "app").lines().next(), Some("beta listens"));
    let missing = local::Exec {
        workload: "beta".to_owned(),
        namespace: "default".to_owned(),
        container: Some("other".to_owned()),
        command: vec!["true".to_owned()],
    };
    let null = || std::os::fd::OwnedFd::from(std::fs::File::open("/dev/null").expect("/dev/null"));
    let error =
        local::exec(&mesh.home(), missing, [null(), null(), null()]).expect_err("a refusal").to_string();
    assert!(error.contains("no container `other`"), "{error}");
}
