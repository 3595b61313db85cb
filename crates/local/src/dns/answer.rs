//! Answers to questions, without a socket.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::{Edns, Message, MessageType, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, PTR, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::table::{Entry, Lookup, Table};
use crate::network::{POD_RANGE, SERVICE_RANGE};

/// Seconds that an answer about the cluster holds.
const CLUSTER_TTL: u32 = 5;

/// Seconds that an answer about the outside holds.
const OUTSIDE_TTL: u32 = 30;

/// Longest answer over UDP that we send, whatever the client would take.
const LARGEST_DATAGRAM: u16 = 1232;

/// Aliases followed before giving up.
const MAX_ALIASES: usize = 8;

/// What to do about a question.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Send this.
    Reply(Message),
    /// Ask the host for the addresses of this name, and [`finish`] the answer with them.
    Outside {
        /// The answer so far.
        answer: Message,
        /// The name to ask for.
        name: Name,
    },
}

/// Answers what the table answers.
pub(crate) fn plan(table: &Table, request: &Message) -> Plan {
    let mut answer = skeleton(request);
    let [question] = request.queries.as_slice() else {
        return refuse(answer, ResponseCode::FormErr);
    };
    if request.metadata.op_code != OpCode::Query || question.query_class != DNSClass::IN {
        return refuse(answer, ResponseCode::NotImp);
    }
    if question.query_type == RecordType::PTR {
        return reverse(table, answer, &question.name);
    }
    let mut name = question.name.clone();
    for _ in 0..MAX_ALIASES {
        match table.lookup(&name.to_ascii()) {
            Lookup::Found(Entry::Alias(target)) => {
                let Ok(target) = Name::from_ascii(target) else { break };
                let alias = RData::CNAME(CNAME(absolute(target.clone())));
                answer.add_answer(Record::from_rdata(name, CLUSTER_TTL, alias));
                if question.query_type == RecordType::CNAME {
                    return Plan::Reply(answer);
                }
                name = absolute(target);
            }
            Lookup::Found(entry) => {
                add(&mut answer, &name, question.query_type, entry, request.metadata.id);
                return Plan::Reply(answer);
            }
            Lookup::Empty => return Plan::Reply(answer),
            Lookup::Missing => return refuse(answer, ResponseCode::NXDomain),
            // Pods have IPv4 addresses only: an IPv6 address from outside would be of no use to them.
            Lookup::Outside if question.query_type != RecordType::A => return Plan::Reply(answer),
            Lookup::Outside => {
                answer.metadata.authoritative = false;
                return Plan::Outside { answer, name };
            }
        }
    }
    refuse(answer, ResponseCode::ServFail)
}

/// Completes an answer with what the host found.
pub(crate) fn finish(mut answer: Message, name: &Name, found: Result<Vec<IpAddr>, String>) -> Message {
    match found {
        Ok(addresses) => {
            for address in addresses {
                if let IpAddr::V4(address) = address {
                    answer.add_answer(Record::from_rdata(name.clone(), OUTSIDE_TTL, RData::A(A(address))));
                }
            }
        }
        Err(_) => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    answer
}

/// The bytes of an answer over UDP: cut, and marked so, when they are more than the client takes.
pub(crate) fn datagram(request: &Message, answer: &Message) -> Option<Vec<u8>> {
    let limit = request.edns.as_ref().map_or(512, |edns| edns.max_payload().clamp(512, LARGEST_DATAGRAM));
    let bytes = answer.to_vec().ok()?;
    if bytes.len() <= usize::from(limit) {
        return Some(bytes);
    }
    answer.truncate().to_vec().ok()
}

/// The answer to bytes that are no question, where there is anything to answer.
pub(crate) fn malformed(request: &[u8]) -> Option<Vec<u8>> {
    let id = u16::from_be_bytes([*request.first()?, *request.get(1)?]);
    Message::error_msg(id, OpCode::Query, ResponseCode::FormErr).to_vec().ok()
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

fn refuse(mut answer: Message, code: ResponseCode) -> Plan {
    answer.metadata.response_code = code;
    Plan::Reply(answer)
}

fn absolute(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

fn add(answer: &mut Message, name: &Name, query_type: RecordType, entry: &Entry, turn: u16) {
    match (entry, query_type) {
        (Entry::Addresses(addresses), RecordType::A | RecordType::ANY) => {
            // The order goes round, so that clients that take the first address spread.
            let start = usize::from(turn).checked_rem(addresses.len()).unwrap_or(0);
            for address in addresses[start..].iter().chain(&addresses[..start]) {
                answer.add_answer(Record::from_rdata(name.clone(), CLUSTER_TTL, RData::A(A(*address))));
            }
        }
        (Entry::Ports(ports), RecordType::SRV | RecordType::ANY) => {
            for (port, host) in ports {
                if let Ok(host) = Name::from_ascii(host) {
                    let data = RData::SRV(SRV::new(0, 100, *port, absolute(host)));
                    answer.add_answer(Record::from_rdata(name.clone(), CLUSTER_TTL, data));
                }
            }
        }
        _ => {}
    }
}

fn reverse(table: &Table, mut answer: Message, question: &Name) -> Plan {
    let address = match question.parse_arpa_name().map(|range| range.addr()) {
        Ok(IpAddr::V4(address)) => address,
        _ => return refuse(answer, ResponseCode::NXDomain),
    };
    let name = table.name_of(address).and_then(|name| Name::from_ascii(name).ok());
    match name {
        Some(name) => {
            let data = RData::PTR(PTR(absolute(name)));
            answer.add_answer(Record::from_rdata(question.clone(), CLUSTER_TTL, data));
            Plan::Reply(answer)
        }
        None => {
            answer.metadata.authoritative = is_of_cluster(address);
            refuse(answer, ResponseCode::NXDomain)
        }
    }
}

fn is_of_cluster(address: Ipv4Addr) -> bool {
    SERVICE_RANGE.contains(&address) || POD_RANGE.contains(&address)
}

#[cfg(test)]
mod tests;
