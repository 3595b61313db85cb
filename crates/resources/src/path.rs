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

/// The way to a place while it is walked: a step and, by reference, the steps before it. It costs nothing until
/// somebody asks for the [`Path`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trail<'a> {
    pub(crate) above: Option<&'a Trail<'a>>,
    pub(crate) step: StepRef<'a>,
    /// The fields that the type at this place has, where that matters.
    pub(crate) fields: &'static [&'static str],
}

/// A step that borrows its key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StepRef<'a> {
    Top,
    Key(&'a str),
    Index(usize),
}

impl<'a> Trail<'a> {
    /// The top of an object.
    pub(crate) fn top() -> Self {
        Self { above: None, step: StepRef::Top, fields: &[] }
    }

    /// The way to a field or key below.
    pub(crate) fn key(&'a self, key: &'a str) -> Self {
        Self { above: Some(self), step: StepRef::Key(key), fields: &[] }
    }

    /// The way to an element below.
    pub(crate) fn index(&'a self, index: usize) -> Self {
        Self { above: Some(self), step: StepRef::Index(index), fields: &[] }
    }

    pub(crate) fn path(&self) -> Path {
        let mut steps = Vec::new();
        let mut at = Some(self);
        while let Some(trail) = at {
            match trail.step {
                StepRef::Top => {}
                StepRef::Key(key) => steps.push(Step::Key(key.to_owned())),
                StepRef::Index(index) => steps.push(Step::Index(index)),
            }
            at = trail.above;
        }
        steps.reverse();
        steps.into()
    }

    /// The nearest place further up whose type has a field of this name.
    pub(crate) fn owner_above(&self, field: &str) -> Option<Path> {
        let mut at = self.above;
        while let Some(trail) = at {
            if trail.fields.contains(&field) {
                return Some(trail.path());
            }
            at = trail.above;
        }
        None
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
