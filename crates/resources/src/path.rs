//! Paths to a field: `spec.http[1].match[0].headers["end-user"]`.

use std::fmt;

/// A step from a node to one below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// A field or a key of a map.
    Key(String),
    /// An element of a list.
    Index(usize),
}

/// The way from an object to one of its fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Path(Vec<Step>);

impl Path {
    /// The way to the object itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads what `Display` writes. Whatever is not of the form is taken as a key.
    pub fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = match next_step(rest) {
                Some((step, after)) => {
                    steps.push(step);
                    after
                }
                None => {
                    steps.push(Step::Key(rest.to_owned()));
                    ""
                }
            };
        }
        Self(steps)
    }

    /// The way to a field or key below.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.join(Step::Key(key.into()))
    }

    /// The way to an element below.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.join(Step::Index(index))
    }

    /// The way one step further.
    #[must_use]
    pub fn join(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The steps from the top.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether this path leads to `other` or to something above it.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl From<Vec<Step>> for Path {
    fn from(steps: Vec<Step>) -> Self {
        Self(steps)
    }
}

/// Reads one step and returns what follows it; none when the text is not of the form.
fn next_step(text: &str) -> Option<(Step, &str)> {
    if let Some(after) = text.strip_prefix("[\"") {
        let (key, after) = after.split_once("\"]")?;
        return Some((Step::Key(key.to_owned()), skip_dot(after)));
    }
    if let Some(after) = text.strip_prefix('[') {
        let (index, after) = after.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), skip_dot(after)));
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (key, after) = text.split_at(end);
    (!key.is_empty()).then(|| (Step::Key(key.to_owned()), skip_dot(after)))
}

fn skip_dot(text: &str) -> &str {
    text.strip_prefix('.').unwrap_or(text)
}

/// `spec.http[1].match[0].headers["end-user"]`: keys that are not plain words stand in brackets.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) if is_word(key) && position == 0 => f.write_str(key)?,
                Step::Key(key) if is_word(key) => write!(f, ".{key}")?,
                Step::Key(key) => write!(f, "[\"{key}\"]")?,
            }
        }
        Ok(())
    }
}

fn is_word(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
