//! Feeds the case files, and mutations of them, to the fuzz functions.

use std::time::{Duration, Instant};

/// A small generator with a fixed seed: the same inputs in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound.max(1)
    }
}

const TOKENS: &[&str] = &[
    "- ",
    ": ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "|",
    ">",
    "\"",
    "'",
    "#",
    "---\n",
    "...\n",
    "~",
    "yes",
    "-1",
    "1e999",
    "0x",
    "1.5s",
    "\t",
    "\u{feff}",
    "\u{0}",
    "%",
    "@",
    "é",
    "*.example.com",
    "{{",
    "null",
    "99999999999999999999",
    "apiVersion: v1\n",
    "kind: List\n",
    "items:\n",
    ",",
    "?",
    "\r\n",
    "unix://",
    "/",
    "a/b/c",
];

fn seeds() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut seeds = Vec::new();
    let mut names: Vec<_> =
        std::fs::read_dir(folder).expect("the cases").map(|entry| entry.expect("a case").path()).collect();
    names.sort();
    for path in names {
        let kind = match path.file_stem().and_then(|name| name.to_str()).expect("a name") {
            "virtual_service" => "VirtualService",
            "destination_rule" => "DestinationRule",
            "gateway" => "Gateway",
            "service_entry" => "ServiceEntry",
            "sidecar" => "Sidecar",
            "peer_authentication" => "PeerAuthentication",
            _ => "",
        };
        for case in std::fs::read_to_string(&path).expect("a case").split("\n%%\n") {
            let text = case.split("\n=>").next().unwrap_or_default();
            seeds.push(if kind.is_empty() {
                text.to_owned()
            } else {
                let spec = text.replace('\n', "\n  ");
                let group = if kind == "PeerAuthentication" { "security" } else { "networking" };
                format!(
                    "apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec:\n  {spec}\n"
                )
            });
        }
    }
    seeds
}

fn mutate(text: &str, seeds: &[String], random: &mut Random) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => {
                let token = TOKENS[random.below(TOKENS.len())];
                bytes.splice(at..at, token.bytes());
            }
            1 => {
                let end = (at + random.below(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            2 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
            3 => {
                let end = (at + random.below(60)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let other = seeds[random.below(seeds.len())].as_bytes();
                let from = random.below(other.len());
                bytes.splice(at..at, other[from..].iter().take(80).copied());
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

#[test]
fn any_text_is_read_in_bounded_time() {
    let seeds = seeds();
    let mut random = Random(20_250_101);
    let mut slowest = Duration::ZERO;
    for seed in &seeds {
        super::yaml(seed.as_bytes());
    }
    for round in 0..20_000 {
        let input = mutate(&seeds[round % seeds.len()], &seeds, &mut random);
        let start = Instant::now();
        super::yaml(&input);
        slowest = slowest.max(start.elapsed());
    }
    // Milliseconds when the machine is idle; far more means that some step is not linear.
    assert!(slowest < Duration::from_secs(5), "an input took {slowest:?}");
}

#[test]
fn large_and_hostile_texts_are_read_in_bounded_time() {
    let repeated = |line: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n{}", line.repeat(20_000))
    };
    let hosts: String = (0..20_000).map(|number| format!("  - \"*.a{number}.b\"\n")).collect();
    let keys: String = (0..50_000).map(|number| format!("  k{number}: x\n")).collect();
    let routes = "  - match: [{uri: {prefix: /a}}]\n    route: [{destination: {host: a}}]\n".repeat(5_000);
    let inputs = [
        repeated("  a: b\n"),
        repeated("  - "),
        repeated("  \"a\n"),
        repeated("{"),
        repeated("  a: *b\n"),
        repeated("? "),
        repeated("  a: {b: [c, d: e}\n"),
        repeated("---\n"),
        repeated("  a: |\n"),
        repeated("x"),
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  hosts:\n{hosts}"
        ),
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n{keys}"),
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\nspec:\n  hosts: [a]\n  http:\n{routes}"
        ),
    ];
    for input in inputs {
        let start = Instant::now();
        super::yaml(input.as_bytes());
        let took = start.elapsed();
        assert!(
            took < Duration::from_secs(10),
            "{took:?} for {}",
            input.chars().take(200).collect::<String>()
        );
    }
}
