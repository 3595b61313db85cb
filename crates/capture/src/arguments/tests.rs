//! Command lines that are read, read back, and refused.

use super::*;

const STANDARD: &[&str] = &[
    "-p",
    "15001",
    "-z",
    "15006",
    "-u",
    "1337",
    "-m",
    "REDIRECT",
    "-i",
    "*",
    "-x",
    "",
    "-b",
    "*",
    "-d",
    "15090,15021,15020",
    "--log_output_level=default:info",
];

#[test]
fn reads_what_the_injector_writes() {
    let invocation = parse(STANDARD).expect("the standard arguments");
    assert_eq!(invocation.options.proxy, ProxyMatch::Owner { uids: vec![1337], gids: vec![1337] });
    assert_eq!(invocation.options.inbound_ports, Ports::All);
    assert_eq!(invocation.options.inbound_ports_excluded, [15090, 15021, 15020]);
    assert_eq!(invocation.options.outbound_ranges, Ranges::All);
    assert_eq!(invocation.families, [Family::V4]);
    assert_eq!(invocation.backend, Backend::Any);
}

#[test]
fn what_is_rendered_is_read_back() {
    let lines: &[&[&str]] = &[
        STANDARD,
        &[],
        &["--proxy-dscp", "0x22", "-b", "80,443", "-i", "10.0.0.0/8,fd00::/8", "-x", "10.1.0.0/16"],
        &[
            "-u",
            "1337,0",
            "-g",
            "5",
            "-q",
            "9000",
            "-o",
            "22,5432",
            "-k",
            "tap0,tap1",
            "-c",
            "net1",
            "-e",
            "15009",
        ],
    ];
    for line in lines {
        let options = parse(line).expect("a known line").options;
        assert_eq!(parse(&render(&options)).expect("our own line").options, options, "{line:?}");
    }
}

#[test]
fn refuses_and_says_why() {
    let cases: &[(&[&str], &str)] = &[
        (&["--redirect-everything"], "unknown flag `--redirect-everything`"),
        (&["15001"], "unexpected argument `15001`: only flags are taken"),
        (&["-p"], "flag `-p` needs a value"),
        (&["-p", "70000"], "flag `-p`: `70000` is not a port"),
        (&["-b", "80,x"], "flag `-b`: `x` is not a list of ports"),
        (
            &["-i", "10.0.0.0/40"],
            "flag `-i`: `10.0.0.0/40` is not a list of address ranges like 10.96.0.0/16",
        ),
        (&["-m", "TPROXY"], "flag `-m`: `TPROXY` is not REDIRECT, the one mode there is"),
        (&["--proxy-dscp", "64"], "flag `--proxy-dscp`: `64` is not a DSCP value below 64"),
        (&["--dry-run=perhaps"], "flag `--dry-run`: `perhaps` is not true or false"),
    ];
    for (line, expected) in cases {
        assert_eq!(&parse(line).expect_err("a refusal").to_string(), expected);
    }
}
