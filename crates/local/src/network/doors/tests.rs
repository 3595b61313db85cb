//! Which doors Gateways ask for.

use super::*;

const TEXT: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: istio-ingressgateway, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, ports: [{name: http, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 8443}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 8080, name: web, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 31400, name: tcp, protocol: TCP}, hosts: ["*"]}
  - {port: {number: 443, name: tls, protocol: TLS}, hosts: ["*"], tls: {mode: PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: own}
spec:
  selector: {istio: mine}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}
"#;

fn member(label: &str, last: u8, is_ready: bool) -> Member {
    Member {
        namespace: "istio-system".to_owned(),
        name: format!("gateway-{last}"),
        labels: BTreeMap::from([("istio".to_owned(), label.to_owned())]),
        address: Ipv4Addr::new(10, 44, 0, last),
        is_ready,
        hostname: String::new(),
        subdomain: String::new(),
        ports: BTreeMap::new(),
    }
}

fn objects() -> Objects {
    let parsed = resources::parse("gateways.yaml", TEXT, "default");
    assert!(!parsed.has_errors(), "{:?}", parsed.problems);
    parsed.objects.into_iter().map(|object| (object.key.clone(), object)).collect()
}

#[test]
fn doors_open_for_ports_that_the_main_door_does_not_lead_to() {
    let (first, second, mine) =
        (member("ingressgateway", 1, true), member("ingressgateway", 2, false), member("mine", 3, true));
    let found = targets(&objects(), &[first, second, mine]);
    let (first, mine) = (Ipv4Addr::new(10, 44, 0, 1), Ipv4Addr::new(10, 44, 0, 3));
    assert_eq!(found.main, [(first, 8080)]);
    let expected = [(443, vec![(first, 8443)]), (8080, vec![(mine, 8080)]), (31400, vec![(first, 31400)])];
    assert_eq!(found.others.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn doors_are_known_before_there_are_pods() {
    let found = targets(&objects(), &[]);
    let ports: Vec<u16> = found.others.keys().copied().collect();
    assert_eq!(ports, [443, 8080, 31400]);
    assert!(found.others.values().all(Vec::is_empty) && found.main.is_empty());
}
