//! What is wrong with a text that is not YAML, in words for a person.
//!
//! The parser says which rule of the grammar broke; the lines around say which mistake it probably was.

use granit_parser::{ErrorKind, ScanError};

use super::layout::{Layout, Level, has_key, head, is_element};
use super::reader::Fault;
use crate::problem::Code;
use crate::source::Position;

/// Explains an error of the parser.
pub(super) fn explain(error: &ScanError, text: &str) -> Fault {
    let layout = Layout::new(text);
    let marker = error.marker();
    let mut place = Place { layout: &layout, line: marker.line().max(1), column: marker.col() + 1 };
    if layout.line(place.line).trim().is_empty() {
        // The error shows at the end of the text; what is wrong stands above.
        place.line = layout.last_with_content(place.line);
        place.column = layout.level(place.line).indent + 1;
    }
    use ErrorKind as Kind;
    if let Some(column) = layout.line(place.line).find("{{") {
        return place.at(place.line, column + 1).say(
            "this is a template, not yet YAML",
            "render it first, for example with `helm template`; as text, `{{` must stand in quotes",
        );
    }
    match error.kind() {
        Kind::TabInBlockIndentation
        | Kind::TabInIndentation
        | Kind::TabNotAllowed
        | Kind::TabAtBlockScalarStart
        | Kind::TabInPlainScalar => place.tab(),
        Kind::MappingValueNotAllowed | Kind::MappingKeyNotAllowed => place.colon_not_allowed(),
        Kind::ExpectedBlockMappingKey
        | Kind::ExpectedBlockSequenceEntry
        | Kind::BlockSequenceEntryNotAllowed
        | Kind::InvalidIndentation
        | Kind::ExpectedDocumentStart
        | Kind::InvalidFlowScalarIndent => place.misplaced_line(),
        Kind::SimpleKeyExpected | Kind::InvalidSimpleKey => place.no_colon(),
        Kind::UnclosedQuotedScalar
        | Kind::InvalidQuotedScalarIndent
        | Kind::DocumentIndicatorInQuotedScalar => place.unclosed_quote(),
        Kind::InvalidTrailingDoubleQuotedScalar | Kind::InvalidTrailingSingleQuotedScalar => {
            place.text_after_quote()
        }
        Kind::UnknownQuotedScalarEscape
        | Kind::InvalidQuotedScalarHexEscape
        | Kind::InvalidUnicodeEscape
        | Kind::InvalidLowSurrogateHexEscape
        | Kind::InvalidLowSurrogate
        | Kind::MissingLowSurrogate
        | Kind::UnpairedLowSurrogate => place.escape(),
        Kind::UnclosedFlowCollection { open } => place.unclosed_bracket(*open),
        Kind::UnexpectedEofFlowSequence
        | Kind::UnexpectedEofFlowMapping
        | Kind::UnexpectedEofImplicitFlowMapping
        | Kind::ExpectedFlowSequenceSeparator
        | Kind::ExpectedFlowMappingSeparator
        | Kind::InvalidColonPlacement => place.inside_brackets(error),
        Kind::MisplacedFlowCollectionEnd => place.stray_bracket(),
        Kind::MismatchedFlowCollectionEnd { open, close } => place
            .say(format!("`{open}` is closed with `{close}`"), format!("close it with `{}`", closing(*open))),
        Kind::UnexpectedCharacter { character } => place.special_character(*character),
        Kind::MissingAnchorOrAliasName => place.special_character(place.character().unwrap_or('*')),
        Kind::InvalidBlockScalarIndent | Kind::InvalidBlockScalarHeader => place.say(
            "the text after `|` or `>` is not indented as its first line is",
            "indent every line of it by at least as many spaces as the first",
        ),
        Kind::RecursionLimitExceeded => super::builder::too_deep(super::builder::to_position(*marker)),
        _ => place.say(format!("this is not valid YAML: {}", error.info()), ""),
    }
}

/// A place in a text, with both numbers from 1.
struct Place<'a> {
    layout: &'a Layout<'a>,
    line: usize,
    column: usize,
}

impl Place<'_> {
    fn say(&self, message: impl Into<String>, help: impl Into<String>) -> Fault {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let position = Position { line: number(self.line), column: number(self.column) };
        Fault { code: Code::Syntax, position, message: message.into(), help: help.into() }
    }

    fn at(&self, line: usize, column: usize) -> Self {
        Self { layout: self.layout, line, column }
    }

    fn character(&self) -> Option<char> {
        self.layout.line(self.line).chars().nth(self.column - 1)
    }

    /// What stands from here to the end of the word.
    fn word(&self) -> String {
        let rest = self.layout.line(self.line).chars().skip(self.column - 1);
        rest.take_while(|c| !matches!(c, ' ' | ',' | ']' | '}' | '\t' | '#')).take(60).collect()
    }

    fn tab(&self) -> Fault {
        let line = self.layout.line(self.line);
        let column = line.find('\t').map_or(self.column, |at| line[..at].chars().count() + 1);
        self.at(self.line, column)
            .say("this line is indented with a tab", "indent with spaces; YAML allows no tabs there")
    }

    /// A colon where none may stand: a second one in the line, or the line is read as more of the text above.
    fn colon_not_allowed(&self) -> Fault {
        let level = self.layout.level(self.line);
        let before: String = self.layout.line(self.line).chars().take(self.column - 1).collect();
        if let Some((key, _)) = before.split_once(": ") {
            let (key, value) = (key.trim().trim_start_matches("- "), level.content);
            let value = value.split_once(": ").map_or(value, |(_, value)| value);
            return self.say(
                "a second `:` in the same line",
                format!("if it is text, write `{key}: \"{value}\"`; if it is a map, begin a new line for it"),
            );
        }
        let Some(start) = self.layout.start_of_text(self.line) else { return self.misplaced_line() };
        let text = start.content.trim_start_matches("- ");
        let at_line = self.at(self.line, level.indent + 1);
        if let Some((key, value)) = text.split_once(':') {
            let column = self.layout.line(start.line).find(':').map_or(1, |at| at + 1);
            return self.at(start.line, column).say(
                format!("there is no space after the colon in `{}`", head(text)),
                format!("write `{key}: {}`", value.trim()),
            );
        }
        if start.content == text && start.indent == level.indent {
            return self
                .at(start.line, start.indent + 1)
                .say(format!("`{}` is not followed by `:`", head(text)), format!("write `{}:`", head(text)));
        }
        at_line.say(
            format!(
                "`{}` is indented by {}, so it is read as more of the text `{}` in line {}",
                head(level.content),
                spaces(level.indent),
                head(text),
                start.line
            ),
            self.where_it_fits(level),
        )
    }

    /// Where a line could stand instead.
    fn where_it_fits(&self, level: Level<'_>) -> String {
        let open = self.layout.open_levels(self.line);
        let like = if is_element(level.content) {
            open.iter().find(|open| is_element(open.content) && open.indent != level.indent)
        } else {
            open.iter().find(|open| is_key(open.content) && open.indent < level.indent)
        };
        match like {
            Some(like) => {
                format!(
                    "indent it by {}, like `{}` in line {}",
                    spaces(like.indent),
                    head(like.content),
                    like.line
                )
            }
            None => "check its indentation".to_owned(),
        }
    }

    /// A line that begins where no block is.
    fn misplaced_line(&self) -> Fault {
        let level = self.layout.level(self.line);
        let open = self.layout.open_levels(self.line);
        let here = self.at(self.line, level.indent + 1);
        if self.character() == Some('-') && self.column > level.indent + 1 && is_key(level.content) {
            let message = format!("a list cannot begin behind `{}` in the same line", head(level.content));
            return self.say(message, "put each element, with its `- `, on a line of its own below");
        }
        let (said, element) = (head(level.content), is_element(level.content));
        let beside = open.iter().filter(|open| open.indent == level.indent).collect::<Vec<_>>();
        if let Some(same) = beside.first()
            && beside.iter().all(|same| is_element(same.content) != element)
        {
            let (wanted, help) = if element {
                (
                    "a key",
                    format!(
                        "put it under the key of its list, above line {}, or give the list a key",
                        same.line
                    ),
                )
            } else {
                ("a list element", "begin it with `- `, or check its indentation".to_owned())
            };
            let message =
                format!("`{said}` stands where {wanted} is expected, beside `{}`", head(same.content));
            return here.say(message, help);
        }
        if !has_key(level.content) && !element {
            return here.no_colon();
        }
        let fitting =
            open.iter().filter(|open| if element { is_element(open.content) } else { is_key(open.content) });
        let above: Vec<String> = fitting
            .take(3)
            .map(|open| format!("`{}` in line {} has {}", head(open.content), open.line, open.indent))
            .collect();
        here.say(
            format!("`{said}` is indented by {}, which fits nothing above it", spaces(level.indent)),
            if above.is_empty() { "check its indentation".to_owned() } else { above.join(", ") },
        )
    }

    /// A line that should be a key and is not.
    fn no_colon(&self) -> Fault {
        let level = self.layout.level(self.line);
        let here = self.at(self.line, level.indent + 1);
        if let Some(rest) = level.content.strip_prefix('-')
            && !rest.starts_with([' ', '-'])
        {
            return here.say(
                format!("there is no space after the dash in `{}`", head(level.content)),
                format!("write `- {rest}`"),
            );
        }
        if let Some((key, value)) = level.content.split_once(':')
            && !value.is_empty()
            && !value.starts_with(' ')
        {
            return here.say(
                format!("there is no space after the colon in `{}`", head(level.content)),
                format!("write `{key}: {value}`"),
            );
        }
        here.say(
            format!("`{}` is not followed by `:`", head(level.content)),
            "a line is `key: value`, `key:` or `- element`",
        )
    }

    fn unclosed_quote(&self) -> Fault {
        let (line, column) = self.layout.open_quote(self.line).unwrap_or((self.line, self.column));
        let here = self.at(line, column);
        if line == self.line {
            return here.say("this quote is not closed", "close it in the same line");
        }
        here.say(
            format!(
                "this quote is not closed before line {}, which is not indented as a part of the text",
                self.line
            ),
            "close it in the same line, or indent the lines of the text deeper than its key",
        )
    }

    fn text_after_quote(&self) -> Fault {
        self.say(
            format!("there is `{}` after the closing quote", self.word()),
            "put the whole text between the quotes, or remove them",
        )
    }

    fn escape(&self) -> Fault {
        self.say(
            "a backslash in double quotes begins an escape, and this one is not known",
            "write `\\\\` for a backslash, or use single quotes, where it is an ordinary character",
        )
    }

    fn unclosed_bracket(&self, open: char) -> Fault {
        self.say(format!("this `{open}` is not closed"), format!("add `{}`", closing(open)))
    }

    fn inside_brackets(&self, error: &ScanError) -> Fault {
        match self.layout.open_bracket(self.line, self.column - 1) {
            Some((open, line, column)) if line < self.line => self.at(line, column).unclosed_bracket(open),
            Some((open, ..)) => self.say(
                format!("between `{open}` and `{}`, elements are separated by commas", closing(open)),
                "add the comma, or put text with special characters in quotes",
            ),
            None => self.say(format!("this is not valid YAML: {}", error.info()), ""),
        }
    }

    fn stray_bracket(&self) -> Fault {
        let close = self.character().unwrap_or(']');
        self.say(format!("this `{close}` closes nothing"), "remove it, or put the text in quotes")
    }

    fn special_character(&self, character: char) -> Fault {
        let word = self.word();
        let word = if word.starts_with(character) { word } else { character.to_string() };
        self.say(
            format!("text that begins with `{character}` must stand in quotes"),
            format!("write `\"{word}\"`"),
        )
    }
}

fn is_key(content: &str) -> bool {
    has_key(content) && !is_element(content)
}

fn closing(open: char) -> char {
    if open == '[' { ']' } else { '}' }
}

fn spaces(count: usize) -> String {
    if count == 1 { "1 space".to_owned() } else { format!("{count} spaces") }
}
