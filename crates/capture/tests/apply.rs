//! The kernel takes the rules: every case is applied, twice, in a network namespace of its own.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use capture::arguments::parse;
use capture::{Family, iptables, nftables, rules};

/// Runs a shell script in fresh user and network namespaces, with `text` as its input.
fn in_namespace(script: &str, text: &str) -> Result<String, String> {
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "sh", "-ec"])
        // iptables' lock file lies in /run, which an ordinary user cannot write.
        .arg(format!("mount -t tmpfs none /run; ip link set lo up; {script}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("unshare: {error}"))?;
    child.stdin.take().expect("piped").write_all(text.as_bytes()).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{script}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn cases() -> Vec<(String, capture::arguments::Invocation)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(root).expect("testdata") {
        let folder = entry.expect("an entry").path();
        let line = std::fs::read_to_string(folder.join("arguments")).expect("a command line");
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('\'')).collect();
        cases.push((folder.display().to_string(), parse(&words).expect("a known command line")));
    }
    cases
}

#[test]
fn nft_takes_every_case_and_takes_it_again() {
    for (name, invocation) in cases() {
        for family in &invocation.families {
            let text = nftables::render(&rules::build(&invocation.options, *family));
            let script = "cat > /run/rules; nft -c -f /run/rules; nft -f /run/rules; nft list ruleset > /run/once; \
                          nft -f /run/rules; nft list ruleset > /run/twice; cmp /run/once /run/twice";
            in_namespace(script, &text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        }
    }
}

#[test]
fn iptables_takes_every_case_and_lets_it_go() {
    for (name, invocation) in cases() {
        // An owner match needs the id to be mapped; the namespace of this test maps root alone.
        let mut options = invocation.options.clone();
        if let capture::ProxyMatch::Owner { uids, gids } = &mut options.proxy {
            *uids = vec![0];
            *gids = vec![0];
        }
        for family in &invocation.families {
            let program = match family {
                Family::V4 => "iptables",
                Family::V6 => "ip6tables",
            };
            let set = rules::build(&options, *family);
            let text = format!("{}%\n{}", iptables::render(&set), iptables::render_removal(&set));
            let script = format!(
                "cat > /run/both; sed '/^%/,$d' /run/both > /run/rules; sed '1,/^%/d' /run/both > /run/removal; \
                 {program}-restore --noflush < /run/rules; {program}-save -t nat; \
                 {program}-restore --noflush < /run/removal; ! {program}-save -t nat | grep ISTIO"
            );
            let saved =
                in_namespace(&script, &text).unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
            let appended = saved.lines().filter(|line| line.starts_with("-A ")).count();
            assert_eq!(appended, set.rules.len(), "{name}\n{saved}");
        }
    }
}
