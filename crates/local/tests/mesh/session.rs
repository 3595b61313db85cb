//! A running mesh, as the tests and a person at a terminal use it.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use local::{Doors, Exec, PodSummary, Progress, UpOptions, WorldStatus};

/// How long anything may take that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Before there is an address.
const NOWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));

/// A mesh of its own home; it is ended when it is dropped.
pub struct Session {
    folder: tempfile::TempDir,
    /// Where it is reached.
    pub doors: Doors,
}

impl Session {
    /// A mesh of these objects, every pod ready.
    pub fn up(objects: &str) -> Session {
        let folder = tempfile::Builder::new().prefix("mesh-").tempdir().expect("a folder");
        // Ended when it does not come up, too.
        let mut session = Session { folder, doors: Doors { gateway: NOWHERE, others: Vec::new() } };
        session.up_again(objects);
        session
    }

    /// The mesh's directory.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Starts it again, after it has ended.
    pub fn up_again(&mut self, objects: &str) {
        self.doors = start(self.folder.path(), objects).expect("a mesh");
    }

    /// Pods and doors.
    pub fn status(&self) -> WorldStatus {
        wait(local::world_status(&self.home())).expect("a status")
    }

    /// The pod that a name means.
    pub fn pod(&self, deployment: &str) -> PodSummary {
        let found = self.status().pods.into_iter().find(|pod| is_meant(pod, deployment));
        found.unwrap_or_else(|| panic!("no pod of {deployment}"))
    }

    /// Puts other objects in place of all that were there.
    pub fn put(&self, objects: &str) {
        let body = Bytes::from(objects.to_owned());
        let (status, body) =
            wait(local::request(&self.home(), Method::PUT, "/objects", body)).expect("an answer");
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    }

    /// The objects as the cluster shows them.
    pub fn cluster(&self) -> Vec<serde_json::Value> {
        let (_, body) =
            wait(local::request(&self.home(), Method::GET, "/cluster", Bytes::new())).expect("an answer");
        serde_json::from_slice(&body).expect("JSON")
    }

    /// Runs a command in a pod; what it wrote, and its exit code.
    pub fn run(&self, workload: &str, command: &[&str]) -> (String, i32) {
        self.run_in(workload, None, command)
    }

    /// The same in a container.
    pub fn run_in(&self, workload: &str, container: Option<&str>, command: &[&str]) -> (String, i32) {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        let errors = writer.try_clone().expect("a copy");
        let streams = [OwnedFd::from(null), OwnedFd::from(writer), OwnedFd::from(errors)];
        let exec = Exec {
            workload: workload.to_owned(),
            namespace: "default".to_owned(),
            container: container.map(str::to_owned),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
        };
        let output = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).expect("text");
            text
        });
        let code = local::exec(&self.home(), exec, streams).expect("an exit code");
        (output.join().expect("output"), code)
    }

    /// Runs a command that must succeed.
    pub fn ok(&self, workload: &str, command: &[&str]) -> String {
        let (output, code) = self.run(workload, command);
        assert_eq!(code, 0, "{command:?} in {workload}: {output}");
        output
    }

    /// Waits until something is so.
    pub fn until(&self, what: &str, mut is_so: impl FnMut(&WorldStatus) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status();
            if is_so(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "never: {what}: {status:#?}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The log of a container so far.
    pub fn log(&self, workload: &str, container: &str) -> String {
        let query = local::Logs {
            workload: workload.to_owned(),
            namespace: "default".to_owned(),
            container: Some(container.to_owned()),
            follow: local::Follow::No,
            tail: None,
        };
        let mut text = Vec::new();
        wait(local::logs(&self.home(), &query, &mut text)).expect("a log");
        String::from_utf8(text).expect("text")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let ended = local::down(&self.home());
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.home().join("logs/mesh.log"));
            eprintln!("the mesh's log:\n{}", log.unwrap_or_default());
        } else {
            ended.expect("an end");
        }
    }
}

fn is_meant(pod: &PodSummary, name: &str) -> bool {
    pod.phase != "Terminating" && (pod.name == name || pod.deployment.as_deref() == Some(name))
}

fn start(folder: &Path, objects: &str) -> Result<Doors, local::UpError> {
    let file = folder.join("objects.yaml");
    std::fs::write(&file, objects).expect("a file");
    let options = UpOptions {
        home: folder.join("home"),
        gateway: "127.0.0.1:0".parse().expect("an address"),
        extra_binaries: Vec::new(),
        programs: serde_json::json!([file]),
    };
    let deadline = Instant::now() + PATIENCE;
    let mut last = None;
    let doors = local::up_detached(&options, &mut |news| {
        last = Some(news.clone());
        Instant::now() < deadline
    })?;
    Ok(doors.unwrap_or_else(|| panic!("the mesh is not ready: {last:?}")))
}

/// Waits for something asynchronous.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

/// Runs a mesh in the foreground, for a person: `mesh up HOME FILE...`.
pub fn up_by_hand(home: &str, files: &[String]) -> ExitCode {
    let options = UpOptions {
        home: PathBuf::from(home),
        gateway: "127.0.0.1:0".parse().expect("an address"),
        extra_binaries: Vec::new(),
        programs: serde_json::json!(files),
    };
    match local::up(&options, &mut |news: &Progress| eprintln!("{news:?}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command in a pod, for a person: `mesh exec HOME WORKLOAD COMMAND...`.
pub fn exec_by_hand(home: &str, workload: &str, command: &[String]) -> ExitCode {
    let own = |stream: std::io::Result<OwnedFd>| stream.expect("a stream");
    let streams = [
        own(std::io::stdin().as_fd().try_clone_to_owned()),
        own(std::io::stdout().as_fd().try_clone_to_owned()),
        own(std::io::stderr().as_fd().try_clone_to_owned()),
    ];
    let exec = Exec {
        workload: workload.to_owned(),
        namespace: "default".to_owned(),
        container: None,
        command: command.to_vec(),
    };
    match local::exec(Path::new(home), exec, streams) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(255)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
