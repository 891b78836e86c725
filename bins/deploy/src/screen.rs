//! The only place that prints. Answers go to standard output, everything else to standard error.

use crate::cli::Global;
use causeway_config::Mistakes;
use console::Term;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// What the ends of our lines are like.
pub(crate) struct Screen {
    json: bool,
    out: Paper,
    err: Paper,
    /// Somebody can be asked.
    interactive: bool,
    /// Lines may be drawn anew.
    live: bool,
}

/// One stream.
#[derive(Clone, Copy)]
struct Paper {
    colour: bool,
    /// Columns, where lines must be broken by us to stay readable.
    width: Option<usize>,
}

/// How a text is painted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Green,
    Yellow,
    Red,
    Cyan,
    Dim,
    Bold,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Paint::Green => "32",
            Paint::Yellow => "33",
            Paint::Red => "31",
            Paint::Cyan => "36",
            Paint::Dim => "2",
            Paint::Bold => "1",
        }
    }

    /// By the sign at the start of a line of a plan.
    pub(crate) fn of(line: &str) -> Option<Paint> {
        match line.chars().next()? {
            '+' => Some(Paint::Green),
            '~' => Some(Paint::Yellow),
            '-' | '±' | '∓' | '!' => Some(Paint::Red),
            '<' | '?' | '»' => Some(Paint::Cyan),
            '.' => Some(Paint::Dim),
            _ => None,
        }
    }
}

impl Screen {
    pub(crate) fn new(global: &Global) -> Self {
        let variable = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let plain = global.no_color || variable("NO_COLOR") || dumb;
        let paper = |terminal: bool, width: Option<(u16, u16)>| Paper {
            colour: terminal && !plain,
            width: terminal.then(|| width.map_or(80, |(_, columns)| usize::from(columns))),
        };
        let size = |terminal: Term| terminal.size_checked();
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Screen {
            json: global.json,
            out: paper(out, size(Term::stdout())),
            err: paper(err, size(Term::stderr())),
            interactive: io::stdin().is_terminal() && err && !global.json,
            // Log lines would tear a drawing apart.
            live: err && !dumb && global.verbose == 0,
        }
    }

    pub(crate) fn json(&self) -> bool {
        self.json
    }

    pub(crate) fn interactive(&self) -> bool {
        self.interactive
    }

    pub(crate) fn live(&self) -> bool {
        self.live
    }

    /// The columns of standard error, if it is a terminal.
    pub(crate) fn width(&self) -> Option<usize> {
        self.err.width
    }

    /// `text` in a colour, if standard error has colours.
    pub(crate) fn painted(&self, paint: Paint, text: &str) -> String {
        self.err.painted(Some(paint), text)
    }

    /// Prints for people; nothing with `--json`.
    pub(crate) fn say(&self, text: &str) {
        if !self.json {
            self.raw(&self.out.lines(text));
        }
    }

    /// As [`Screen::say`], for a line that people copy: it is never broken.
    pub(crate) fn whole(&self, line: &str) {
        if !self.json {
            self.raw(&format!("{line}\n"));
        }
    }

    /// A heading among what [`Screen::say`] prints.
    pub(crate) fn title(&self, text: &str) -> String {
        self.out.painted(Some(Paint::Bold), text)
    }

    /// A quieter word among what [`Screen::say`] prints.
    pub(crate) fn quiet(&self, text: &str) -> String {
        self.out.painted(Some(Paint::Dim), text)
    }

    /// A word among what [`Screen::say`] prints that is good or bad news.
    pub(crate) fn news(&self, good: bool, text: &str) -> String {
        self.out.painted(Some(if good { Paint::Green } else { Paint::Yellow }), text)
    }

    /// Prints as it is, whether people or programs read it.
    pub(crate) fn raw(&self, text: &str) {
        let mut out = io::stdout().lock();
        // The reader has gone, as with `| head`: what it did not want to read is not an error.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Prints the one document of a `--json` run.
    pub(crate) fn document<T: Serialize>(&self, document: &T) {
        if let Ok(text) = serde_json::to_string_pretty(document) {
            self.raw(&format!("{text}\n"));
        }
    }

    /// Says on the side what is going on.
    pub(crate) fn note(&self, text: &str) {
        for part in folded(text, self.err.width) {
            self.side(&self.err.painted(Some(Paint::Dim), &part));
        }
    }

    /// Several lines on the side, painted by their first sign.
    pub(crate) fn note_lines(&self, text: &str) {
        self.side(self.err.lines(text).trim_end_matches('\n'));
    }

    pub(crate) fn error(&self, text: &str) {
        self.labelled(Paint::Red, "error:", text);
    }

    pub(crate) fn hint(&self, text: &str) {
        self.labelled(Paint::Cyan, "hint:", text);
    }

    fn labelled(&self, paint: Paint, label: &str, text: &str) {
        for line in format!("{label} {text}").lines() {
            for part in folded(line, self.err.width) {
                let part = match part.strip_prefix(label) {
                    Some(rest) => format!("{}{rest}", self.err.painted(Some(paint), label)),
                    None => part,
                };
                self.side(&part);
            }
        }
    }

    /// Mistakes in a file, each at its place.
    pub(crate) fn mistakes(&self, mistakes: &Mistakes) {
        let width = self.err.width.unwrap_or(100).clamp(60, 100);
        self.side(&mistakes.render(width, self.err.colour));
        self.error(&mistakes.to_string());
    }

    /// Asks until there is an answer; only `yes` means yes.
    pub(crate) fn confirm(&self, question: &str) -> bool {
        let mut err = io::stderr().lock();
        let text = self.err.painted(Some(Paint::Bold), question);
        if write!(err, "{text} Only `yes` goes on: ").and_then(|()| err.flush()).is_err() {
            return false;
        }
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).is_ok() && answer.trim() == "yes"
    }

    /// Asks for a line; none where nobody can be asked.
    pub(crate) fn ask(&self, question: &str) -> Option<String> {
        if !self.interactive {
            return None;
        }
        let mut err = io::stderr().lock();
        write!(err, "{} ", self.err.painted(Some(Paint::Bold), question)).and_then(|()| err.flush()).ok()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok()?;
        Some(answer.trim().to_owned()).filter(|answer| !answer.is_empty())
    }

    fn side(&self, text: &str) {
        aside(text);
    }
}

/// Says a plain line on the side, from where there is no screen.
pub(crate) fn aside(text: &str) {
    // Nobody is left to tell when even this cannot be printed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

impl Paper {
    fn painted(self, paint: Option<Paint>, text: &str) -> String {
        match paint {
            Some(paint) if self.colour => format!("\u{1b}[{}m{text}\u{1b}[0m", paint.code()),
            _ => text.to_owned(),
        }
    }

    /// Lines that start with a sign get their addresses in one column, in the sign's colour; all are folded.
    fn lines(self, text: &str) -> String {
        let column =
            text.lines().filter_map(|l| address(l)).map(|a| a.chars().count()).max().unwrap_or_default();
        let mut out = String::new();
        // No text at all is an empty line.
        for line in text.lines().chain(text.is_empty().then_some("")) {
            match address(line) {
                Some(head) => {
                    let rest = line.split_at(head.len()).1;
                    let padded = format!("{head:<width$}", width = column.min(COLUMN));
                    let mut parts = folded(&format!("{padded}{rest}"), self.width).into_iter();
                    let first = parts.next().unwrap_or_default();
                    let (head, rest) = first.split_at(head.len());
                    out.push_str(&self.painted(Paint::of(line), head));
                    out.push_str(rest);
                    out.push('\n');
                    parts.for_each(|part| out.push_str(&format!("{part}\n")));
                }
                None => folded(line, self.width).iter().for_each(|part| out.push_str(&format!("{part}\n"))),
            }
        }
        out
    }
}

/// The widest that a column of addresses becomes; longer ones stick out.
const COLUMN: usize = 40;

/// Sign and address at the start of a line that has both.
fn address(line: &str) -> Option<&str> {
    Paint::of(line)?;
    line.find("  ").and_then(|end| line.get(..end))
}

/// `line` in parts of at most `width` characters, broken between words, with what follows set in.
pub(crate) fn folded(line: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width.filter(|w| *w >= 40 && line.chars().count() > *w && !line.contains('\u{1b}'))
    else {
        return vec![line.to_owned()];
    };
    let own = line.chars().take_while(|c| *c == ' ').count();
    let hanging = " ".repeat((own + 4).min(width / 2));
    let mut parts = vec![];
    let mut part = String::new();
    for word in line.split_inclusive(' ') {
        let long = part.chars().count() + word.trim_end().chars().count() > width;
        if long && !part.trim().is_empty() {
            parts.push(part.trim_end().to_owned());
            part.clone_from(&hanging);
        }
        part.push_str(word);
    }
    parts.push(part.trim_end().to_owned());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_folded_between_words_and_none_is_lost() {
        let line = "+ network/vpc  aws.ec2.vpc  (is recorded and not there any more)";
        let parts = folded(line, Some(40));
        assert_eq!(parts, ["+ network/vpc  aws.ec2.vpc  (is recorded", "    and not there any more)"]);
        assert_eq!(folded(line, None), [line]);
        assert_eq!(folded("    short", Some(40)), ["    short"]);
    }

    #[test]
    fn a_word_that_is_too_long_stays_whole() {
        let word = "x".repeat(60);
        assert_eq!(folded(&word, Some(40)), [word.as_str()]);
        assert_eq!(
            folded(&format!("    {word} y"), Some(40)),
            [format!("    {word}"), "        y".to_owned()]
        );
    }

    #[test]
    fn addresses_stand_in_one_column() {
        let paper = Paper { colour: false, width: None };
        let lines = paper.lines("+ network/vpc  aws.ec2.vpc\n- key  aws.kms.key\n    a: 1\n");
        assert_eq!(lines, "+ network/vpc  aws.ec2.vpc\n- key          aws.kms.key\n    a: 1\n");
        assert_eq!(paper.lines(""), "\n");
    }

    #[test]
    fn only_the_sign_and_the_address_are_painted() {
        let paper = Paper { colour: true, width: Some(80) };
        assert_eq!(paper.lines("+ vpc  aws.ec2.vpc"), "\u{1b}[32m+ vpc\u{1b}[0m  aws.ec2.vpc\n");
        assert_eq!(paper.lines("    port: 1 -> 2"), "    port: 1 -> 2\n");
        assert_eq!(Paper { colour: false, width: None }.lines("+ vpc  x"), "+ vpc  x\n");
    }
}
