//! Access logs of a worker.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use prost_types::value::Kind;
use routing::access_log::{AccessLog, LogFacts, LogFilter, LogFormat, Sink};
use telemetry::access_log::{DEFAULT_FORMAT, Format, FormatError, JsonFormat, Record};
use telemetry::log_writer::{LogBuffer, LogWriter, Target};

/// Lines wait so long at most.
const FLUSH: Duration = Duration::from_millis(200);

/// The buffers of a worker.
#[derive(Debug)]
pub struct Logs {
    writer: LogWriter,
    buffers: Rc<Buffers>,
}

#[derive(Debug, Default)]
struct Buffers {
    list: RefCell<Vec<(Target, Rc<RefCell<LogBuffer>>)>>,
    flush_is_due: Cell<bool>,
}

/// One access log.
#[derive(Debug)]
pub struct Log {
    line: Line,
    filter: Option<LogFilter>,
    buffer: Rc<RefCell<LogBuffer>>,
    buffers: Rc<Buffers>,
}

#[derive(Debug)]
enum Line {
    Text(Format),
    Json(JsonFormat),
}

impl Logs {
    /// No buffer yet.
    pub fn new(writer: LogWriter) -> Logs {
        Logs { writer, buffers: Rc::default() }
    }

    /// The logs of a connection manager or TCP proxy. One whose format
    /// cannot be read writes Envoy's default line.
    pub fn compile(&self, configs: &[AccessLog]) -> Box<[Log]> {
        configs.iter().map(|config| self.one(config)).collect()
    }

    fn one(&self, config: &AccessLog) -> Log {
        let line = Line::compile(&config.format).unwrap_or_else(|error| {
            tracing::warn!("access log format: {error}");
            Line::Text(Format::compile(DEFAULT_FORMAT).expect("a test compiles it"))
        });
        let target = match &config.sink {
            Sink::Stdout => Target::Stdout,
            Sink::Stderr => Target::Stderr,
            Sink::File(path) => Target::File(path.to_string().into()),
        };
        Log {
            line,
            filter: config.filter.clone(),
            buffer: self.buffer(target),
            buffers: self.buffers.clone(),
        }
    }

    fn buffer(&self, target: Target) -> Rc<RefCell<LogBuffer>> {
        let mut list = self.buffers.list.borrow_mut();
        if let Some((_, buffer)) = list.iter().find(|(known, _)| *known == target) {
            return buffer.clone();
        }
        let buffer = Rc::new(RefCell::new(self.writer.buffer(&target)));
        list.push((target, buffer.clone()));
        buffer
    }

    /// Hands all lines over.
    pub fn flush(&self) {
        self.buffers.flush();
    }
}

impl Buffers {
    fn flush(&self) {
        self.flush_is_due.set(false);
        for (_, buffer) in self.list.borrow().iter() {
            buffer.borrow_mut().flush();
        }
    }
}

impl Log {
    /// Writes the line for a record, when the filter lets it pass.
    pub fn write<R: Record>(&self, record: &R, facts: &LogFacts<'_>) {
        if self.filter.as_ref().is_some_and(|filter| !filter.passes(facts)) {
            return;
        }
        let begins = self.buffer.borrow_mut().append(|out| match &self.line {
            Line::Text(format) => format.write(record, out),
            Line::Json(format) => format.write(record, out),
        });
        if begins && !self.buffers.flush_is_due.replace(true) {
            let buffers = self.buffers.clone();
            tokio::task::spawn_local(async move {
                tokio::time::sleep(FLUSH).await;
                buffers.flush();
            });
        }
    }
}

impl Line {
    fn compile(format: &LogFormat) -> Result<Line, FormatError> {
        Ok(match format {
            LogFormat::Default => Line::Text(Format::compile(DEFAULT_FORMAT)?),
            LogFormat::Text(text) => Line::Text(Format::compile(text)?),
            LogFormat::Json(fields) => {
                let object = fields.fields.iter().map(|(key, value)| (key.clone(), json(value, 0))).collect();
                Line::Json(JsonFormat::compile(&serde_json::Value::Object(object))?)
            }
        })
    }
}

fn json(value: &prost_types::Value, depth: usize) -> serde_json::Value {
    if depth > 32 {
        return serde_json::Value::Null;
    }
    match &value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => (*value).into(),
        Some(Kind::NumberValue(value)) => (*value).into(),
        Some(Kind::StringValue(value)) => value.clone().into(),
        Some(Kind::ListValue(list)) => list.values.iter().map(|value| json(value, depth + 1)).collect(),
        Some(Kind::StructValue(inner)) => serde_json::Value::Object(
            inner.fields.iter().map(|(key, value)| (key.clone(), json(value, depth + 1))).collect(),
        ),
    }
}
