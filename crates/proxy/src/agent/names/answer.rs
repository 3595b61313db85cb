//! Answers to questions, without a socket.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::table::{Addresses, Table};

/// Seconds that an answer about the mesh holds.
const TTL: u32 = 30;

/// Longest answer over UDP that we make up, whatever the client would take.
const LARGEST_DATAGRAM: u16 = 1232;

/// What to do about a question.
#[derive(Debug)]
pub enum Plan {
    /// Send this.
    Reply(Message),
    /// Ask somebody else.
    PassOn,
}

/// Answers what the mesh knows. `turn` says which address comes first.
pub fn plan(table: &Table, request: &Message, turn: usize) -> Plan {
    let [question] = request.queries.as_slice() else {
        return Plan::Reply(error(request, ResponseCode::FormErr));
    };
    if request.metadata.op_code != OpCode::Query {
        return Plan::Reply(error(request, ResponseCode::NotImp));
    }
    let wanted = question.query_type;
    if question.query_class != DNSClass::IN || !matches!(wanted, RecordType::A | RecordType::AAAA) {
        return Plan::PassOn;
    }
    let name = question.name.to_ascii().to_ascii_lowercase();
    let Some(known) = table.lookup(name.trim_end_matches('.')) else { return Plan::PassOn };
    let mut answer = skeleton(request);
    let mut owner = question.name.clone();
    if let Some(mut alias) = known.alias.and_then(|alias| Name::from_ascii(alias).ok()) {
        alias.set_fqdn(true);
        answer.add_answer(Record::from_rdata(owner, TTL, RData::CNAME(CNAME(alias.clone()))));
        owner = alias;
    }
    for data in records(known.addresses, wanted, turn) {
        answer.add_answer(Record::from_rdata(owner.clone(), TTL, data));
    }
    Plan::Reply(answer)
}

fn records(addresses: &Addresses, wanted: RecordType, turn: usize) -> Vec<RData> {
    let v4 = |address: &Ipv4Addr| RData::A(A(*address));
    let v6 = |address: &Ipv6Addr| RData::AAAA(AAAA(*address));
    let mut records: Vec<RData> = match wanted {
        RecordType::A => addresses.v4.iter().map(v4).collect(),
        _ => addresses.v6.iter().map(v6).collect(),
    };
    let first = turn.checked_rem(records.len()).unwrap_or(0);
    records.rotate_left(first);
    records
}

/// An answer that says only what went wrong.
pub fn error(request: &Message, code: ResponseCode) -> Message {
    let mut answer = skeleton(request);
    answer.metadata.authoritative = false;
    answer.metadata.response_code = code;
    answer
}

/// The answer to bytes that are no question, where there is anything to
/// answer.
pub fn malformed(request: &[u8]) -> Option<Vec<u8>> {
    let id = u16::from_be_bytes([*request.first()?, *request.get(1)?]);
    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()
}

/// The bytes of an answer over UDP: cut, and marked so, when they are more
/// than the client takes.
pub fn datagram(request: &Message, answer: &Message) -> Option<Vec<u8>> {
    let bytes = answer.to_vec().ok()?;
    if bytes.len() <= usize::from(limit(request)) {
        return Some(bytes);
    }
    answer.truncate().to_vec().ok()
}

fn limit(request: &Message) -> u16 {
    request.edns.as_ref().map_or(512, |edns| edns.max_payload().clamp(512, LARGEST_DATAGRAM))
}

fn skeleton(request: &Message) -> Message {
    let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
    answer.metadata = Metadata::response_from_request(&request.metadata);
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.authoritative = true;
    answer.metadata.recursion_available = true;
    answer.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(LARGEST_DATAGRAM).set_version(0);
        answer.set_edns(edns);
    }
    answer
}
