//! What ends a command early, its exit code, and how people are told.

use crate::{
    document::{self, Place},
    screen::Screen,
};
use causeway_config::Mistakes;
use causeway_core::{
    engine::EngineError,
    error::chain,
    guard::Refusal,
    history::HistoryError,
    journal::JournalError,
    plan::PlanError,
    render,
    store::{MoveError, StoreError},
};
use causeway_k8s::lock::{LockError, VendorError, WantedError};
use std::{error::Error, process::ExitCode};

pub(crate) use causeway_ending::Code;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    said: Said,
    hints: Vec<String>,
}

#[derive(Debug)]
enum Said {
    Text(String),
    Mistakes(Box<Mistakes>),
    Refusals(Vec<Refusal>),
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Failure { code, said: Said::Text(message.into()), hints: vec![] }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure::new(Code::Usage, message)
    }

    pub(crate) fn bug(error: &dyn Error) -> Self {
        Failure::new(Code::Bug, chain(error))
            .hint("this is a bug; please report it with the command that led here")
    }

    pub(crate) fn refused(refusals: Vec<Refusal>) -> Self {
        let data = refusals.iter().filter(|r| r.rule == "data").filter_map(|r| r.address.as_ref());
        let permits: Vec<String> = data.map(|address| format!("--permit {address}")).collect();
        let only_data = permits.len() == refusals.len() && permits.len() > 1;
        let failure = Failure { code: Code::Refused, said: Said::Refusals(refusals), hints: vec![] };
        if only_data { failure.hint(format!("all of them: {}", permits.join(" "))) } else { failure }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Tells people, or programs, and returns the exit code.
    pub(crate) fn tell(&self, screen: &Screen, command: &str) -> ExitCode {
        if screen.json() {
            screen.document(&document::failed(command, self.code, self.error()));
        }
        match &self.said {
            Said::Text(text) => screen.error(text),
            Said::Mistakes(mistakes) => screen.mistakes(mistakes),
            Said::Refusals(refusals) => {
                screen.error("the plan is refused; nothing was changed");
                screen.note_lines(&render::refusals(refusals));
            }
        }
        for hint in &self.hints {
            screen.hint(hint);
        }
        self.code.into()
    }

    /// Why, in a sentence.
    pub(crate) fn message(&self) -> String {
        match &self.said {
            Said::Text(text) => text.clone(),
            Said::Mistakes(mistakes) => mistakes.to_string(),
            Said::Refusals(_) => "the plan is refused; nothing was changed".to_owned(),
        }
    }

    fn error(&self) -> document::Error {
        let message = self.message();
        let mistakes = match &self.said {
            Said::Mistakes(all) => Place::all(all),
            _ => vec![],
        };
        let refusals = match &self.said {
            Said::Refusals(all) => all.clone(),
            _ => vec![],
        };
        document::Error { message, hints: self.hints.clone(), mistakes, refusals }
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Failure { code: Code::Usage, said: Said::Mistakes(Box::new(mistakes)), hints: vec![] }
    }
}

impl From<causeway_config::Error> for Failure {
    fn from(error: causeway_config::Error) -> Self {
        match error {
            causeway_config::Error::Mistakes(mistakes) => mistakes.into(),
            causeway_config::Error::Read { ref source, .. } => {
                let failure = Failure::usage(chain(&error));
                match source.kind() {
                    std::io::ErrorKind::NotFound => {
                        failure.hint("`deploy init` writes one to start from; `-f FILE` uses another")
                    }
                    std::io::ErrorKind::IsADirectory => {
                        failure.hint("name the file in it: `-f FOLDER/causeway.toml`")
                    }
                    _ => failure,
                }
            }
            causeway_config::Error::NotText { .. } => Failure::usage(chain(&error)).hint("save it as UTF-8"),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let text = chain(&error);
        match error {
            EngineError::Refused(refusals) => Failure::refused(refusals),
            EngineError::Stale { .. } => Failure::new(Code::Refused, text),
            EngineError::OtherAccount { .. } => Failure::usage(text)
                .hint("use the credentials of that account, or another journal with --state"),
            EngineError::Plan(PlanError::OtherStack(_)) => {
                Failure::usage(text).hint("`--state DIR` says where the journal of this stack is")
            }
            EngineError::Plan(PlanError::Stack(_)) => Failure::bug(&error),
            EngineError::Load(StoreError::Decode { .. }) | EngineError::Bad(_) => Failure::new(
                Code::Unavailable,
                text,
            )
            .hint(
                "a newer journal needs the version that wrote it; in place of a damaged one, put a copy back",
            ),
            EngineError::Load(StoreError::Io { .. })
            | EngineError::Journal(JournalError::Write(StoreError::Io { .. })) => {
                Failure::new(Code::Unavailable, text)
                    .hint("`--state` says where the journal is kept, as `[state]` does")
            }
            EngineError::Load(StoreError::Missing(_)) => Failure::new(Code::Unavailable, text)
                .hint("`deploy init --bootstrap` makes what `[state]` names"),
            EngineError::NotLost { .. } => Failure::new(Code::Refused, text)
                .hint("`deploy state list` shows what it knows; a damaged one has to be put aside first"),
            EngineError::MovedAway { .. } => Failure::new(Code::Refused, text).hint(
                "`[state]` of the configuration says where it is kept; `deploy state move` moves it back",
            ),
            EngineError::Held(_) => Failure::new(Code::Unavailable, text)
                .hint("wait for it; `deploy state unlock` is for a run that has died"),
            _ => Failure::new(Code::Unavailable, text),
        }
    }
}

impl From<causeway_core::Error> for Failure {
    fn from(error: causeway_core::Error) -> Self {
        use causeway_core::Class;
        let failure = Failure::new(Code::Unavailable, chain(&error));
        match error.class() {
            Class::Denied => failure.hint("these credentials may not do that; allow the call that is named"),
            _ => failure,
        }
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        Failure::usage(chain(&error)).hint(error.remedy())
    }
}

impl From<WantedError> for Failure {
    fn from(error: WantedError) -> Self {
        Failure::usage(chain(&error))
    }
}

impl From<VendorError> for Failure {
    fn from(error: VendorError) -> Self {
        let code = match error {
            VendorError::ByTag(_) | VendorError::Write { .. } => Code::Usage,
            _ => Code::Unavailable,
        };
        Failure::new(code, chain(&error)).hint(error.remedy())
    }
}

impl From<causeway_litellm::RotationError> for Failure {
    fn from(error: causeway_litellm::RotationError) -> Self {
        use causeway_litellm::{Error, RotationError};
        let failure = Failure::new(Code::Unavailable, chain(&error));
        match error {
            RotationError::Api { source: Error::Stranger { .. }, .. } => {
                failure.hint("LITELLM_MASTER_KEY, or the secret of the stack, has to be the key that LiteLLM was started with")
            }
            RotationError::Api { .. } => failure.hint("the key that is in force stays; running this again goes on"),
            _ => failure,
        }
    }
}

impl From<MoveError> for Failure {
    fn from(error: MoveError) -> Self {
        let text = chain(&error);
        match error {
            MoveError::Store(StoreError::Held(who)) => EngineError::Held(who).into(),
            MoveError::Store(other) => EngineError::Load(other).into(),
            MoveError::Bad(bad) => EngineError::Bad(bad).into(),
            MoveError::Differs(_) => Failure::new(Code::Unavailable, text)
                .hint("nothing is lost: all of it is where it was. Running this again goes on"),
            MoveError::Nothing(_) => Failure::usage(text),
            MoveError::Taken { .. } | MoveError::Elsewhere { .. } => Failure::new(Code::Refused, text)
                .hint("nothing was moved; `deploy history` of each tells which of them goes on"),
        }
    }
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        let failure = Failure::usage(chain(&error));
        match error {
            HistoryError::Bad(bad) => EngineError::Bad(bad).into(),
            HistoryError::NoEntry { .. } => failure.hint("`deploy history` shows the entries of each run"),
            HistoryError::NoResource(_) => failure.hint("`deploy state list` shows what there is"),
            HistoryError::NeverSet { known, .. } => failure.hint(format!("it has {}", known.join(", "))),
        }
    }
}

impl From<causeway_sandbox::Error> for Failure {
    fn from(error: causeway_sandbox::Error) -> Self {
        Failure::new(Code::Unavailable, format!("the sandbox did not {}", chain(&error)))
    }
}
