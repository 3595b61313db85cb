//! Questions and their answers.

use hickory_proto::op::Query;

use super::*;

fn table() -> Table {
    let mut table = Table::default();
    let address = |last| Ipv4Addr::new(10, 96, 0, last);
    table.insert("reviews.default.svc", Entry::Addresses(vec![address(20)]));
    table.insert_reverse(address(20), "reviews.default.svc");
    table.insert("db.default.svc", Entry::Addresses(vec![address(1), address(2), address(3)]));
    table.insert("none.default.svc", Entry::Addresses(Vec::new()));
    table.insert("outside.default.svc", Entry::Alias("www.example.com".to_owned()));
    table.insert("same.default.svc", Entry::Alias("reviews.default.svc.cluster.local".to_owned()));
    table.insert("round.default.svc", Entry::Alias("round.default.svc.cluster.local".to_owned()));
    let host = "reviews.default.svc.cluster.local".to_owned();
    table.insert("_http._tcp.reviews.default.svc", Entry::Ports(vec![(9080, host)]));
    let many = (0..200).map(|last| Ipv4Addr::new(10, 44, 1, last)).collect();
    table.insert("many.default.svc", Entry::Addresses(many));
    table
}

fn request(name: &str, query_type: RecordType) -> Message {
    let mut message = Message::new(6, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), query_type));
    message
}

/// What comes of a question, in one line.
fn outcome(name: &str, query_type: RecordType) -> String {
    match plan(&table(), &request(name, query_type)) {
        Plan::Reply(answer) => {
            let data: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
            format!("{:?} {}", answer.metadata.response_code, data.join(" "))
        }
        Plan::Outside { answer, name } => format!("outside {name} after {}", answer.answers.len()),
    }
}

#[test]
fn names_lead_where_they_should() {
    let cases = [
        ("reviews.default.svc.cluster.local.", RecordType::A, "NoError 10.96.0.20"),
        ("Reviews.Default.svc.cluster.local.", RecordType::A, "NoError 10.96.0.20"),
        ("reviews.default.svc.", RecordType::A, "NoError 10.96.0.20"),
        ("reviews.default.svc.cluster.local.", RecordType::AAAA, "NoError "),
        ("none.default.svc.cluster.local.", RecordType::A, "NoError "),
        ("default.svc.cluster.local.", RecordType::A, "NoError "),
        ("nobody.default.svc.cluster.local.", RecordType::A, "NXDomain "),
        ("reviews.default.svc.cluster.local.svc.cluster.local.", RecordType::A, "NXDomain "),
        ("reviews.", RecordType::A, "NXDomain "),
        ("db.default.svc.cluster.local.", RecordType::A, "NoError 10.96.0.1 10.96.0.2 10.96.0.3"),
        (
            "same.default.svc.cluster.local.",
            RecordType::A,
            "NoError reviews.default.svc.cluster.local. 10.96.0.20",
        ),
        ("outside.default.svc.cluster.local.", RecordType::CNAME, "NoError www.example.com."),
        ("outside.default.svc.cluster.local.", RecordType::A, "outside www.example.com. after 1"),
        ("round.default.svc.cluster.local.", RecordType::MX, "ServFail"),
        ("www.example.com.", RecordType::A, "outside www.example.com. after 0"),
        ("www.example.com.", RecordType::AAAA, "NoError "),
        ("20.0.96.10.in-addr.arpa.", RecordType::PTR, "NoError reviews.default.svc.cluster.local."),
        ("21.0.96.10.in-addr.arpa.", RecordType::PTR, "NXDomain "),
        (
            "_http._tcp.reviews.default.svc.cluster.local.",
            RecordType::SRV,
            "NoError 0 100 9080 reviews.default.svc.cluster.local.",
        ),
    ];
    for (name, query_type, expected) in cases {
        let actual = outcome(name, query_type);
        assert!(actual.starts_with(expected), "{name} {query_type}: {actual}");
    }
}

#[test]
fn the_order_of_addresses_goes_round() {
    let mut question = request("db.default.svc.cluster.local.", RecordType::A);
    question.metadata.id = 7;
    let Plan::Reply(answer) = plan(&table(), &question) else { panic!("no reply") };
    assert_eq!(answer.answers[0].data.to_string(), "10.96.0.2");
}

#[test]
fn what_the_host_finds_completes_the_answer() {
    let question = request("www.example.com.", RecordType::A);
    let Plan::Outside { answer, name } = plan(&table(), &question) else { panic!("not outside") };
    let addresses =
        vec!["192.0.2.1".parse().expect("an address"), "2001:db8::1".parse().expect("an address")];
    let found = finish(answer.clone(), &name, Ok(addresses));
    assert_eq!(found.answers.len(), 1);
    let missing = finish(answer, &name, Err("no such host".to_owned()));
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn long_answers_are_cut_for_datagrams() {
    let mut question = request("many.default.svc.cluster.local.", RecordType::A);
    for (payload, limit) in [(None, 512), (Some(4096), usize::from(LARGEST_DATAGRAM))] {
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            question.set_edns(edns);
        }
        let Plan::Reply(answer) = plan(&table(), &question) else { panic!("no reply") };
        let bytes = datagram(&question, &answer).expect("bytes");
        assert!(bytes.len() <= limit);
        assert!(Message::from_vec(&bytes).expect("a message").metadata.truncation);
    }
}

#[test]
fn nonsense_is_answered_as_such() {
    let mut twice = request("a.example.", RecordType::A);
    twice.add_query(Query::query(Name::from_ascii("b.example.").expect("a name"), RecordType::A));
    let Plan::Reply(answer) = plan(&table(), &twice) else { panic!("no reply") };
    assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
    assert!(malformed(&[1]).is_none());
    let bytes = malformed(&[1, 2, 3]).expect("an answer");
    assert_eq!(Message::from_vec(&bytes).expect("a message").metadata.id, 0x0102);
}
