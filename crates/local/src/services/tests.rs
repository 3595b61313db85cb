//! Addresses stay, endpoints follow readiness, names follow both.

use super::*;
use crate::dns::table::Lookup;

const TEXT: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: web}, {name: admin, port: 81, targetPort: 9999}]}
---
apiVersion: v1
kind: Service
metadata: {name: fixed}
spec: {clusterIP: 10.96.7.7, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: tcp, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {type: ExternalName, externalName: www.example.com}
"#;

fn services() -> Vec<Arc<Object>> {
    let parsed = resources::parse("services.yaml", TEXT, "default");
    assert!(!parsed.has_errors(), "{:?}", parsed.problems);
    parsed.objects
}

fn member(name: &str, app: &str, last: u8, is_ready: bool) -> Member {
    Member {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
        address: Ipv4Addr::new(10, 44, 0, last),
        is_ready,
        hostname: String::new(),
        subdomain: String::new(),
        ports: BTreeMap::from([("web".to_owned(), 9080)]),
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(resources::Kind::Service, "default", name)
}

#[test]
fn a_service_keeps_its_address_and_gets_it_again() {
    let mut addresses = Addresses::default();
    let first = addresses.assign(&services());
    assert_eq!(first[&key("fixed")], Addressing::Cluster(Ipv4Addr::new(10, 96, 7, 7)));
    assert_eq!(first[&key("db")], Addressing::Headless);
    assert_eq!(first[&key("outside")], Addressing::External("www.example.com".to_owned()));
    let Addressing::Cluster(reviews) = first[&key("reviews")] else { panic!("no address") };
    assert!(SERVICE_RANGE.contains(&reviews) && reviews.octets()[2] > 0);
    assert_eq!(addresses.assign(&services()), first);
    assert!(addresses.assign(&[]).is_empty());
    assert_eq!(Addresses::default().assign(&services()), first);
}

#[test]
fn addresses_never_collide() {
    let mut addresses = Addresses::default();
    let text: String = (0..2000)
        .map(|number| format!("---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{number}}}\nspec: {{ports: [{{port: 1}}]}}\n"))
        .collect();
    let services = resources::parse("many.yaml", &text, "default").objects;
    let given: BTreeSet<String> =
        addresses.assign(&services).values().map(|how| format!("{how:?}")).collect();
    assert_eq!(given.len(), 2000);
}

#[test]
fn endpoints_and_names_follow_the_pods() {
    let services = services();
    let addressing = Addresses::default().assign(&services);
    let mut named = member("db-0", "db", 5, true);
    (named.hostname, named.subdomain) = ("zero".to_owned(), "db".to_owned());
    let members = [
        member("r1", "reviews", 1, true),
        member("r2", "reviews", 2, false),
        member("r3", "reviews", 3, true),
        named,
    ];
    let (rules, table) = describe(&services, &addressing, &members);
    let http = rules
        .destinations
        .iter()
        .find(|destination| destination.port == 80 && !destination.endpoints.is_empty());
    let endpoints = &http.expect("a destination").endpoints;
    assert_eq!(endpoints, &[(Ipv4Addr::new(10, 44, 0, 1), 9080), (Ipv4Addr::new(10, 44, 0, 3), 9080)]);
    assert!(
        rules
            .destinations
            .iter()
            .any(|destination| destination.endpoints.first().is_some_and(|(_, port)| *port == 9999))
    );
    assert_eq!(rules.pods.len(), 4);
    let found = |name: &str| match table.lookup(name) {
        Lookup::Found(entry) => format!("{entry:?}"),
        other => format!("{other:?}"),
    };
    assert_eq!(found("db.default.svc.cluster.local"), "Addresses([10.44.0.5])");
    assert_eq!(found("zero.db.default.svc.cluster.local"), "Addresses([10.44.0.5])");
    assert_eq!(found("outside.default.svc"), "Alias(\"www.example.com\")");
    assert_eq!(found("istiod.istio-system.svc"), "Addresses([10.96.0.11])");
    assert_eq!(found("10-44-0-1.default.pod.cluster.local"), "Addresses([10.44.0.1])");
    assert!(found("_tcp._tcp.db.default.svc.cluster.local").contains("5432"));
}

#[test]
fn containers_are_told_of_the_services() {
    let services = services();
    let addressing = Addresses::default().assign(&services);
    let variables: BTreeMap<String, String> = links("default", &services, &addressing).into_iter().collect();
    assert_eq!(variables["FIXED_SERVICE_HOST"], "10.96.7.7");
    assert_eq!(variables["REVIEWS_SERVICE_PORT_ADMIN"], "81");
    assert_eq!(variables["FIXED_PORT"], "tcp://10.96.7.7:80");
    assert!(links("other", &services, &addressing).is_empty());
}
