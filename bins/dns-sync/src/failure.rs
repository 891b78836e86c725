//! What ends a command early, its exit code, and how people are told.

use crate::document::{self, Place};
use causeway_core::{engine::EngineError, error::chain, guard::Refusal, plan::PlanError};
use causeway_dns_sync::SyncError;
use causeway_ending::{Code, screen::Screen};
use causeway_settings::Mistakes;
use std::{error::Error, process::ExitCode};

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    message: String,
    mistakes: Option<Box<Mistakes>>,
    refusals: Vec<Refusal>,
    hints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Failure { code, message: message.into(), mistakes: None, refusals: vec![], hints: vec![] }
    }

    pub(crate) fn bug(error: &dyn Error) -> Self {
        Failure::new(Code::Bug, chain(error))
            .hint("this is a bug; please report it with the command that led here")
    }

    pub(crate) fn refused(refusals: Vec<Refusal>) -> Self {
        Failure { refusals, ..Failure::new(Code::Refused, "the plan is refused; nothing was changed") }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Tells people, or programs, and returns the exit code.
    pub(crate) fn tell(&self, screen: &Screen, command: &str) -> ExitCode {
        screen.document(&document::failed(
            command,
            self.code,
            document::Error {
                message: self.message.clone(),
                hints: self.hints.clone(),
                mistakes: self.mistakes.iter().flat_map(|all| Place::all(all)).collect(),
                refusals: self.refusals.clone(),
            },
        ));
        match &self.mistakes {
            Some(mistakes) => screen.mistakes(mistakes),
            None => screen.warn("error", &self.message),
        }
        for refusal in &self.refusals {
            let about = refusal.address.as_ref().map_or(String::new(), |a| format!("{a} "));
            screen.warn(&refusal.rule, &format!("{about}{}", refusal.why));
        }
        for hint in &self.hints {
            screen.warn("hint", hint);
        }
        self.code.into()
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        let failure = Failure::new(Code::Usage, mistakes.to_string());
        Failure { mistakes: Some(Box::new(mistakes)), ..failure }
    }
}

impl From<causeway_settings::Error> for Failure {
    fn from(error: causeway_settings::Error) -> Self {
        use causeway_settings::Error;
        match error {
            Error::Mistakes(mistakes) => mistakes.into(),
            Error::Read { ref source, .. } => {
                let failure = Failure::new(Code::Usage, chain(&error));
                match source.kind() {
                    std::io::ErrorKind::NotFound => {
                        failure.hint("`dns-sync init` writes one to start from; `-f FILE` uses another")
                    }
                    _ => failure,
                }
            }
            Error::NotText { .. } => Failure::new(Code::Usage, chain(&error)).hint("save it as UTF-8"),
        }
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        let text = chain(&error);
        match error {
            SyncError::Engine(EngineError::Refused(refusals)) => Failure::refused(refusals),
            SyncError::Engine(EngineError::Stale { .. }) => {
                Failure::new(Code::Refused, text).hint("another run was quicker; nothing was changed")
            }
            SyncError::Engine(EngineError::Held(_)) => {
                Failure::new(Code::Unavailable, text).hint("the next run will do it")
            }
            SyncError::Engine(EngineError::Plan(PlanError::OtherStack(_))) => Failure::new(Code::Usage, text)
                .hint("`folder` in [state] says where the journal of this `owner` is"),
            SyncError::Probe(_) => Failure::new(Code::Usage, text),
            SyncError::Provider { .. } => {
                Failure::new(Code::Usage, text).hint("look at the zone in the file")
            }
            _ => Failure::new(Code::Unavailable, text),
        }
    }
}
