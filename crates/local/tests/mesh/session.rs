//! A running mesh, as the tests and a person at a terminal use it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use local::{Exec, Progress, UpOptions};

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
    use std::os::fd::AsFd;
    let own = |stream: std::io::Result<std::os::fd::OwnedFd>| stream.expect("a stream");
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
