//! Kills a process that keeps replacing the mesh's root, at random moments, and
//! looks at what is left: `authority_kills COUNT`.
//!
//! After each kill the authority must open, hold a root that was announced or
//! the one after it, and still believe what was announced.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use control_plane::ca::{Ca, CaOptions};
use identity::SpiffeId;
use identity::key::{Algorithm, PrivateKey};
use identity::request;

/// Longest time that the process is left alone once it is at work.
const LONGEST: Duration = Duration::from_millis(30);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [child, folder] if child == "rotate" => rotate(Path::new(folder)),
        [count] => kill(count.parse().expect("a number")),
        _ => panic!("authority_kills COUNT"),
    }
}

fn open(folder: &Path) -> Ca {
    Ca::open(CaOptions::new(folder.to_owned()), SystemTime::now()).expect("the authority opens")
}

/// Replaces the root again and again, announcing each.
fn rotate(folder: &Path) {
    let ca = open(folder);
    // Roots of earlier runs go, so that the file stays small.
    ca.maintain(SystemTime::now());
    let identity: SpiffeId = "spiffe://cluster.local/ns/default/sa/default".parse().expect("an identity");
    let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
    let csr = request::make(&key, None).expect("a request");
    let lifetime = Some(Duration::from_secs(1));
    ca.issue(&csr, &identity, lifetime, SystemTime::now()).expect("a certificate");
    let mut output = std::io::stdout();
    loop {
        let root: String = ca.bundle().roots()[0].iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(output, "{root}").and_then(|()| output.flush()).expect("the parent reads");
        ca.rotate(SystemTime::now()).expect("a new root");
    }
}

fn kill(count: u32) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca");
    let mut rotations = 0;
    for number in 0..count {
        let announced = run_and_kill(&path);
        rotations += announced.len();
        let ca = open(&path);
        let believed: Vec<String> = ca
            .bundle()
            .roots()
            .iter()
            .map(|root| root.iter().map(|byte| format!("{byte:02x}")).collect())
            .collect();
        let last = announced.last().expect("one was announced");
        assert!(believed.contains(last), "kill {number}: the last root that was used is not believed");
        let files = std::fs::read_dir(&path).expect("a folder").count();
        assert!(files <= 2, "kill {number}: {files} files are left");
    }
    println!("{count} kills during {rotations} replacements: nothing lost, nothing damaged");
}

fn run_and_kill(folder: &Path) -> Vec<String> {
    let program = std::env::current_exe().expect("a path");
    let mut child = Command::new(program)
        .arg("rotate")
        .arg(folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts again");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    lines.read_line(&mut first).expect("it is at work");
    let mut random = [0; 2];
    aws_lc_rs::rand::fill(&mut random).expect("random numbers");
    std::thread::sleep(LONGEST.mul_f64(f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX)));
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    // A line that was cut off announces nothing.
    let mut announced = vec![first.trim_end().to_owned()];
    let mut line = String::new();
    while lines.read_line(&mut line).is_ok_and(|length| length > 0) {
        if let Some(root) = line.strip_suffix('\n') {
            announced.push(root.to_owned());
        }
        line.clear();
    }
    announced
}
