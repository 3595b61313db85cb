//! Why a value does not fit its type.

use std::fmt;

use serde::de;

use super::Finding;
use crate::path::Path;
use crate::problem::Code;

/// A value that does not fit. The place is added by whoever knows it first.
#[derive(Debug, Clone)]
pub(crate) struct DecodeError {
    path: Option<Path>,
    code: Code,
    message: String,
    help: String,
}

impl DecodeError {
    /// A value of the wrong type, told without the name of its field.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { path: None, code, message: message.into(), help: String::new() }
    }

    /// What to write instead.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// Where it is, unless that is known already.
    pub(crate) fn or_at(mut self, path: impl FnOnce() -> Path) -> Self {
        self.path.get_or_insert_with(path);
        self
    }

    pub(crate) fn into_finding(self) -> Finding {
        let Self { path, code, message, help } = self;
        let path = path.unwrap_or_default();
        Finding { message: format!("{} {message}", subject(&path)), path, code, help }
    }
}

/// What a message speaks of: `weight`, or `hosts[1]`.
fn subject(path: &Path) -> String {
    use crate::path::Step;
    let steps = path.steps();
    let from = steps.iter().rposition(|step| matches!(step, Step::Key(_))).unwrap_or(0);
    match steps.get(from..) {
        Some([]) | None => "this".to_owned(),
        Some([Step::Key(key)]) => format!("`{key}`"),
        Some(last) => format!("`{}`", Path::from(last.to_vec())),
    }
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Code::InvalidValue, message.to_string())
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(Code::WrongType, format!("must be {expected}, but is {}", describe(unexpected)))
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(Code::InvalidValue, format!("must be {expected}, but is {}", describe(unexpected)))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Code::DuplicateKey, format!("sets `{field}` twice, in two spellings"))
            .with_help("remove one of the two")
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let error = Self::new(
            Code::UnknownChoice,
            format!("must be one of {}, but is `{variant}`", expected.join(", ")),
        );
        match super::nearest(variant, expected.iter().copied()) {
            Some(near) => error.with_help(format!("did you mean `{near}`?")),
            None => error,
        }
    }
}

fn describe(unexpected: de::Unexpected<'_>) -> String {
    match unexpected {
        de::Unexpected::Str(text) => format!("the text `{text}`"),
        de::Unexpected::Bool(value) => format!("`{value}`"),
        de::Unexpected::Signed(number) => number.to_string(),
        de::Unexpected::Unsigned(number) => number.to_string(),
        de::Unexpected::Float(number) => number.to_string(),
        de::Unexpected::Seq => "a list".to_owned(),
        de::Unexpected::Map => "a map".to_owned(),
        de::Unexpected::Unit => "empty".to_owned(),
        other => other.to_string(),
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}
