//! The text is taken by the kernel, and does what it says.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

fn example() -> Rules {
    let service = Ipv4Addr::new(10, 96, 0, 20);
    Rules {
        destinations: vec![
            Destination {
                address: service,
                port: 9080,
                protocol: Protocol::Tcp,
                endpoints: vec![
                    (Ipv4Addr::new(10, 44, 0, 1), 9080),
                    (Ipv4Addr::new(10, 44, 0, 2), 9081),
                    (Ipv4Addr::new(10, 44, 0, 3), 9080),
                ],
            },
            Destination {
                address: service,
                port: 53,
                protocol: Protocol::Udp,
                endpoints: vec![(Ipv4Addr::new(10, 44, 0, 1), 5353)],
            },
            Destination { address: service, port: 1, protocol: Protocol::Tcp, endpoints: Vec::new() },
        ],
        pods: vec![Ipv4Addr::new(10, 44, 0, 1), Ipv4Addr::new(10, 44, 0, 2)],
    }
}

fn in_namespace(script: &str, text: &str) -> String {
    let mut child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "sh", "-ec"])
        .arg(format!("mount -t tmpfs none /run; cat > /run/rules; {script}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("unshare");
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("output");
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn nft_takes_the_rules_and_takes_them_again() {
    for rules in [example(), Rules::default()] {
        let script = "nft -f /run/rules; nft list ruleset > /run/once; nft -f /run/rules; nft list ruleset";
        let listed = in_namespace(script, &nftables(&rules));
        assert!(listed.contains("redirect to :15999"), "{listed}");
        assert_eq!(listed.contains("numgen random mod 3"), !rules.pods.is_empty(), "{listed}");
    }
}

#[test]
fn iptables_takes_the_rules_and_takes_them_again() {
    for rules in [example(), Rules::default()] {
        let script = "iptables-restore < /run/rules; iptables-restore < /run/rules; iptables-save";
        let saved = in_namespace(script, &iptables(&rules));
        let appended = |text: &str| text.lines().filter(|line| line.starts_with("-A")).count();
        assert_eq!(appended(&saved), appended(&iptables(&rules)), "{saved}");
    }
}

#[test]
fn every_endpoint_gets_the_same_share_by_iptables() {
    let text = iptables(&example());
    let chances: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("dport 9080"))
        .map(|line| line.split("-j DNAT").next().unwrap_or(""))
        .collect();
    assert_eq!(chances.len(), 3);
    assert!(chances[0].contains("0.3333333333") && chances[1].contains("0.5000000000"));
    assert!(!chances[2].contains("statistic"));
}
