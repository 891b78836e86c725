//! What was found by looks before a change at whether it can work: each question with its answer.

use crate::error::{Class, Error};
use schemars::JsonSchema;
use serde::Serialize;

/// One line of a preflight: what was asked, the answer, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// The check.
    pub check: &'static str,
    /// What was asked.
    pub asked: String,
    /// What it means.
    pub verdict: Verdict,
    /// The answer, in words.
    pub answer: String,
    /// What to do; nothing where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// What an answer means for an apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All is well.
    Passed,
    /// It works now and may not for long, or only looks wrong.
    Warning,
    /// It could not be asked, so nobody knows.
    NotAsked,
    /// As [`Verdict::NotAsked`], because nobody answered.
    Unreachable,
    /// An apply would fail, or what it makes would not work.
    Failed,
}

impl Finding {
    fn new(verdict: Verdict, asked: impl Into<String>, answer: impl Into<String>) -> Self {
        Finding { check: "", asked: asked.into(), verdict, answer: answer.into(), remedy: None }
    }

    /// All is well.
    pub fn passed(asked: impl Into<String>, answer: impl Into<String>) -> Self {
        Finding::new(Verdict::Passed, asked, answer)
    }

    /// It works now and may not for long, or only looks wrong.
    pub fn warning(asked: impl Into<String>, answer: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { remedy: Some(remedy.into()), ..Finding::new(Verdict::Warning, asked, answer) }
    }

    /// An apply would fail.
    pub fn failed(asked: impl Into<String>, answer: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { remedy: Some(remedy.into()), ..Finding::new(Verdict::Failed, asked, answer) }
    }

    /// It could not be asked; `answer` says why.
    pub fn not_asked(asked: impl Into<String>, answer: impl Into<String>, remedy: impl Into<String>) -> Self {
        Finding { remedy: Some(remedy.into()), ..Finding::new(Verdict::NotAsked, asked, answer) }
    }

    /// Nobody answered.
    pub fn unreachable(asked: impl Into<String>, answer: impl Into<String>) -> Self {
        let finding = Finding::new(Verdict::Unreachable, asked, answer);
        Finding {
            remedy: Some(
                "try again; look at the network, and at the status page of who did not answer".into(),
            ),
            ..finding
        }
    }

    /// The call did not work, so the question is open.
    pub fn not_answered(asked: impl Into<String>, error: &Error) -> Self {
        let answer = error.chain();
        match (error.class(), error) {
            (Class::Denied, Error::Call { call, .. }) => {
                Finding::not_asked(asked, answer, format!("allow `{call}`, or look by hand"))
            }
            (Class::Transient | Class::Throttled, _) => Finding::unreachable(asked, answer),
            _ => Finding::not_asked(asked, answer, "look by hand, or try again"),
        }
    }

    /// What the check of this name found.
    #[must_use]
    pub fn of(self, check: &'static str) -> Self {
        Finding { check, ..self }
    }
}
