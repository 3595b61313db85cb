//! What others answered, as long as it holds.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// How many answers are kept.
const CAPACITY: usize = 1000;

/// The longest that an answer is kept, whatever it says.
const LONGEST: Duration = Duration::from_secs(60);

/// What decides an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    name: Name,
    record_type: RecordType,
    class: DNSClass,
    /// Whether signatures are asked for, and whether they are to be checked.
    wants: (bool, bool),
}

impl Key {
    fn of(request: &Message) -> Option<Key> {
        let [question] = request.queries.as_slice() else { return None };
        let signatures = request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        Some(Key {
            name: question.name.to_lowercase(),
            record_type: question.query_type,
            class: question.query_class,
            wants: (signatures, request.metadata.checking_disabled),
        })
    }
}

#[derive(Debug)]
struct Kept {
    answer: Message,
    since: Instant,
    until: Instant,
}

/// Answers by question.
#[derive(Debug, Default)]
pub struct Cache {
    kept: HashMap<Key, Kept>,
}

impl Cache {
    /// The answer to a question, with what is left of its time.
    pub fn find(&self, request: &Message, now: Instant) -> Option<Message> {
        let kept = self.kept.get(&Key::of(request)?).filter(|kept| now < kept.until)?;
        let age = u32::try_from(now.duration_since(kept.since).as_secs()).unwrap_or(u32::MAX);
        let mut answer = kept.answer.clone();
        answer.metadata.id = request.metadata.id;
        answer.queries.clone_from(&request.queries);
        let Message { answers, authorities, additionals, .. } = &mut answer;
        for record in answers.iter_mut().chain(authorities).chain(additionals) {
            record.ttl = record.ttl.saturating_sub(age);
        }
        Some(answer)
    }

    /// Keeps an answer, when it says that it may be kept.
    pub fn keep(&mut self, request: &Message, answer: &Message, now: Instant) {
        let (Some(key), Some(time)) = (Key::of(request), time(answer)) else { return };
        if self.kept.len() >= CAPACITY {
            self.kept.retain(|_, kept| now < kept.until);
        }
        if self.kept.len() >= CAPACITY {
            // Full of what holds: one of them makes room.
            let victim = self.kept.keys().next().cloned();
            victim.map(|victim| self.kept.remove(&victim));
        }
        self.kept.insert(key, Kept { answer: answer.clone(), since: now, until: now + time });
    }
}

/// How long an answer holds; `None` when it must not be kept.
fn time(answer: &Message) -> Option<Duration> {
    let least = |records: &[Record]| records.iter().map(|record| record.ttl).min();
    let code = answer.metadata.response_code;
    if answer.metadata.truncation || !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
        return None;
    }
    // What is not there holds as long as the zone says.
    let negative = || {
        answer.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(zone) => Some(record.ttl.min(zone.minimum)),
            _ => None,
        })
    };
    let is_positive = code == ResponseCode::NoError && !answer.answers.is_empty();
    let seconds = if is_positive { least(&answer.answers)? } else { negative()? };
    (seconds > 0).then(|| Duration::from_secs(seconds.into()).min(LONGEST))
}
