//! The lines of a text as a person sees them: how far each is indented, and which blocks are open above it.

/// The lines of a text.
pub(crate) struct Layout<'a> {
    lines: Vec<&'a str>,
}

/// A line that begins something: where, and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level<'a> {
    /// Number of the line, from 1.
    pub(crate) line: usize,
    /// Spaces before it.
    pub(crate) indent: usize,
    /// What stands there.
    pub(crate) content: &'a str,
}

impl<'a> Layout<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { lines: split_lines(text) }
    }

    /// The last line up to this one that has content.
    pub(crate) fn last_with_content(&self, number: usize) -> usize {
        (1..=number.min(self.lines.len()))
            .rev()
            .find(|line| !self.line(*line).trim().is_empty())
            .unwrap_or(number)
    }

    /// A line, from 1; empty beyond the end.
    pub(crate) fn line(&self, number: usize) -> &'a str {
        number.checked_sub(1).and_then(|index| self.lines.get(index)).copied().unwrap_or_default()
    }

    /// A line as a level; its content is without spaces around it.
    pub(crate) fn level(&self, number: usize) -> Level<'a> {
        let line = self.line(number);
        let content = line.trim();
        Level { line: number, indent: line.len() - line.trim_start().len(), content }
    }

    /// Lines with content above a line, from the nearest upward, within the document.
    pub(crate) fn above(&self, number: usize) -> impl Iterator<Item = Level<'a>> + '_ {
        (1..number)
            .rev()
            .take(10_000)
            .map(|line| self.level(line))
            .take_while(|level| !(level.indent == 0 && level.content.starts_with("---")))
            .filter(|level| !level.content.is_empty() && !level.content.starts_with('#'))
    }

    /// The blocks that are open above a line, from the innermost outward: places where a further line may begin.
    pub(crate) fn open_levels(&self, number: usize) -> Vec<Level<'a>> {
        let mut open: Vec<Level<'a>> = Vec::new();
        for level in self.above(number) {
            for start in starts(level).into_iter().rev() {
                // A list may stand at the indentation of its key.
                let is_key_of = |inner: &Level<'_>| {
                    start.indent == inner.indent && is_element(inner.content) && !is_element(start.content)
                };
                if open.last().is_none_or(|inner| start.indent < inner.indent || is_key_of(inner)) {
                    open.push(start);
                }
            }
            if level.indent == 0 || open.len() > 100 {
                break;
            }
        }
        open
    }

    /// The line in which an unquoted text began that goes on in this line.
    pub(crate) fn start_of_text(&self, number: usize) -> Option<Level<'a>> {
        self.above(number).take_while(|level| !has_key(level.content)).last()
    }

    /// The innermost bracket that is not closed before a place, quotes and comments left out.
    pub(crate) fn open_bracket(&self, line: usize, column: usize) -> Option<(char, usize, usize)> {
        let first = self.above(line).last().map_or(line, |level| level.line);
        let mut open = Vec::new();
        for number in first..=line {
            let text = self.line(number);
            let end = if number == line { column } else { usize::MAX };
            scan_brackets(text, end, number, &mut open);
        }
        open.pop()
    }

    /// The nearest line above, or this one, in which a quote opens that is not closed there.
    pub(crate) fn open_quote(&self, number: usize) -> Option<(usize, usize)> {
        (1..=number).rev().take(1_000).find_map(|line| {
            let text = self.line(line);
            ['"', '\''].into_iter().find_map(|quote| {
                let places: Vec<usize> = text.match_indices(quote).map(|(at, _)| at).collect();
                let opens = places.iter().any(|at| begins_value(&text[..*at]));
                (places.len() % 2 == 1 && opens)
                    .then(|| (line, text[..places[places.len() - 1]].chars().count() + 1))
            })
        })
    }
}

/// Lines end as YAML has it: with LF, CR LF or CR.
fn split_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\r']) {
        lines.push(&rest[..at]);
        let end = if rest[at..].starts_with("\r\n") { at + 2 } else { at + 1 };
        rest = &rest[end..];
    }
    lines.push(rest);
    lines
}

/// Whether what comes next is a value: after the indentation, a dash, a colon, a bracket or a comma.
fn begins_value(before: &str) -> bool {
    before.trim_end().chars().next_back().is_none_or(|c| matches!(c, '-' | ':' | '[' | '{' | ','))
}

/// Places in a line where a block begins: the line itself, and behind each dash what stands there.
fn starts(level: Level<'_>) -> Vec<Level<'_>> {
    let mut starts = vec![level];
    let mut rest = level;
    while let Some(after) = rest.content.strip_prefix("- ") {
        let content = after.trim_start();
        let indent = rest.indent + rest.content.len() - content.len();
        rest = Level { indent, content, ..rest };
        if has_key(content) || content.starts_with("- ") {
            starts.push(rest);
        }
    }
    starts
}

/// Whether a line begins an element of a list.
pub(crate) fn is_element(content: &str) -> bool {
    content == "-" || content.starts_with("- ")
}

/// Whether a line has a key: a colon at its end or before a space.
pub(crate) fn has_key(content: &str) -> bool {
    let content = content.split(" #").next().unwrap_or(content).trim_end();
    content.ends_with(':') || content.contains(": ")
}

/// What a message quotes of a line: its key, or its beginning.
pub(crate) fn head(content: &str) -> String {
    let end = content.find(": ").map_or(content.len(), |at| at + 1);
    let head = &content[..end];
    if head.chars().count() <= 30 {
        return head.to_owned();
    }
    format!("{}…", head.chars().take(30).collect::<String>())
}

fn scan_brackets(text: &str, end: usize, line: usize, open: &mut Vec<(char, usize, usize)>) {
    let mut quote = None;
    let mut before = ' ';
    for (column, character) in text.chars().enumerate().take(end) {
        match (quote, character) {
            (Some(closing), _) if closing == character && before != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '#') if before == ' ' => return,
            (None, '"' | '\'') if matches!(before, ' ' | '[' | '{' | ',' | ':') => quote = Some(character),
            (None, '[' | '{') if !open.is_empty() || matches!(before, ' ' | ':' | '-') => {
                open.push((character, line, column + 1));
            }
            (None, ']' | '}') => {
                open.pop();
            }
            _ => {}
        }
        before = character;
    }
}
