//! A mistake, the file that it is in, and how both are shown.

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode, SourceSpan,
};
use std::{fmt, ops::Range};
use textwrap::{WordSeparator, WordSplitter};

/// Something in the file that cannot stay as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// What stands beside the place.
    label: String,
    /// Where, in bytes.
    span: SourceSpan,
}

impl Mistake {
    pub(crate) fn new(message: impl Into<String>, label: impl Into<String>, span: Range<usize>) -> Self {
        Mistake { message: message.into(), help: None, label: label.into(), span: span.into() }
    }

    /// Where it begins, in bytes.
    pub(crate) fn start(&self) -> usize {
        self.span.offset()
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What the TOML parser or serde refused.
    pub(crate) fn refused(error: &toml::de::Error) -> Self {
        // The first line says it; what follows lists the tokens that the parser would have taken.
        let mut lines = error.message().lines();
        let message = lines.next().unwrap_or("this cannot be read").to_owned();
        let more = lines.collect::<Vec<_>>().join("; ");
        let help = if more.is_empty() { remedy(&message).to_owned() } else { more };
        Mistake::new(message, "here", error.span().unwrap_or_default()).help(help)
    }
}

/// What to do about what the TOML parser says. It has no codes, and a sentence that is not known here gets the last one.
fn remedy(message: &str) -> &'static str {
    let known = [
        ("duplicate key", "write each key, and each table, once"),
        ("must be quoted", "put text in double quotes, like `name = \"coder\"`"),
        ("invalid basic string", "close the quotes in the line where they were opened"),
        ("unclosed", "close the brackets"),
        ("key with no value", "write `key = value`"),
    ];
    let found = known.iter().find(|(part, _)| message.contains(part));
    found.map_or("this is not TOML; https://toml.io shows how it is written", |(_, help)| help)
}

/// All mistakes that were found in one file.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{name} has {}", counted(mistakes.len()))]
pub struct Mistakes {
    name: String,
    text: String,
    mistakes: Vec<Mistake>,
}

fn counted(n: usize) -> String {
    if n == 1 { "a mistake".into() } else { format!("{n} mistakes") }
}

impl Mistakes {
    pub(crate) fn new(name: &str, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|m| m.span.offset());
        Mistakes { name: name.to_owned(), text: text.to_owned(), mistakes }
    }

    /// These, and others of the same file.
    pub fn and(self, other: Mistakes) -> Self {
        let all = self.mistakes.into_iter().chain(other.mistakes).collect();
        Mistakes::new(&self.name, &self.text, all)
    }

    /// The mistakes, from the top of the file.
    pub fn all(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The file, as it was named.
    pub fn file(&self) -> &str {
        &self.name
    }

    /// Line and column of a mistake, both from 1; columns are characters.
    pub fn position(&self, mistake: &Mistake) -> (usize, usize) {
        let before = self.text.get(..mistake.span.offset()).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// Each mistake at its place in the file, for a terminal of `width` columns.
    pub fn render(&self, width: usize, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        // Names and addresses stay whole.
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(width)
            .with_links(false)
            .with_word_separator(WordSeparator::AsciiSpace)
            .with_word_splitter(WordSplitter::NoHyphenation);
        let source = NamedSource::new(&self.name, self.text.clone());
        let mut out = String::new();
        for mistake in &self.mistakes {
            // Writing to a string does not fail.
            let _ = handler.render_report(&mut out, &Shown { mistake, source: &source });
            out.push('\n');
        }
        out
    }
}

/// A mistake with its file.
#[derive(Debug)]
struct Shown<'a> {
    mistake: &'a Mistake,
    source: &'a NamedSource<String>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.mistake.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.mistake.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = LabeledSpan::new_with_span(Some(self.mistake.label.clone()), self.mistake.span);
        Some(Box::new(std::iter::once(label)))
    }
}
