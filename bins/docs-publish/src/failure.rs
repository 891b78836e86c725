//! What ends a command early, its exit code, and how people are told.

use crate::{
    document::{self, Place, Refusal},
    screen::Screen,
};
use causeway_core::error::chain;
use causeway_docs_publish::{Error as Publishing, check::Finding, wanted::ContentError};
use causeway_ending::Code;
use causeway_settings::Mistakes;
use std::{error::Error, process::ExitCode};

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    message: String,
    mistakes: Option<Box<Mistakes>>,
    findings: Vec<Finding>,
    hints: Vec<String>,
}

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Failure { code, message: message.into(), mistakes: None, findings: vec![], hints: vec![] }
    }

    pub(crate) fn bug(error: &dyn Error) -> Self {
        Failure::new(Code::Bug, chain(error))
            .hint("this is a bug; please report it with the command that led here")
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Tells people, or programs, and returns the exit code.
    pub(crate) fn tell(&self, screen: &Screen, command: &str) -> ExitCode {
        screen.end();
        let against = self.findings.iter().filter(|found| found.refuses);
        let refusals = against.map(|found| Refusal {
            address: None,
            rule: found.rule.to_owned(),
            field: Some(found.path.clone()),
            why: found.message.clone(),
        });
        screen.document(&document::failed(
            command,
            self.code,
            document::Error {
                message: self.message.clone(),
                hints: self.hints.clone(),
                mistakes: self.mistakes.iter().flat_map(|all| Place::all(all)).collect(),
                refusals: refusals.collect(),
            },
        ));
        match &self.mistakes {
            Some(mistakes) => screen.mistakes(mistakes),
            None => screen.warn("error", &self.message),
        }
        screen.findings(&self.findings);
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
            Error::Read { .. } => Failure::new(Code::Usage, chain(&error)),
            Error::NotText { .. } => Failure::new(Code::Usage, chain(&error)).hint("save it as UTF-8"),
        }
    }
}

impl From<Publishing> for Failure {
    fn from(error: Publishing) -> Self {
        let text = chain(&error);
        if let Publishing::ErrorPage { source, .. } = error {
            return Failure { code: Code::Partial, message: text, ..Failure::from(*source) };
        }
        match &error {
            Publishing::Content(ContentError::Mixture { .. }) => Failure::new(Code::Usage, text)
                .hint("`--style directory` or `--style file` says how; the other pages are there by the names of their files"),
            Publishing::Scan(_)
            | Publishing::Content(_)
            | Publishing::NoDistribution(_)
            | Publishing::Large { .. }
            | Publishing::Several { .. } => Failure::new(Code::Usage, text),
            Publishing::Findings(found) => {
                let failure = Failure::new(Code::Refused, text);
                Failure { findings: found.clone(), ..failure.hint("`--allow RULE` lets one pass") }
            }
            Publishing::NotPrepared { .. } => Failure::new(Code::Usage, text)
                .hint("`[docs]` in causeway.toml makes one that is, and `deploy apply` changes this one if it is adopted"),
            Publishing::NoRelease(_) | Publishing::NoEarlier | Publishing::Nothing => {
                Failure::new(Code::Usage, text).hint("`docs-publish releases` shows what there is")
            }
            Publishing::Changed { .. } => Failure::new(Code::Refused, text).hint(
                "let the build give it another name (Next.js: `generateBuildId`), or take its folder out of `immutable` in [publish]",
            ),
            Publishing::Incomplete { .. } => Failure::new(Code::Refused, text).hint(
                "visitors get what they got before; `publish --without-way-back` publishes although one cannot go back",
            ),
            Publishing::Lost(_) => {
                Failure::new(Code::Refused, text).hint("nothing was switched; look at it, and run this again")
            }
            Publishing::Collecting(_) => Failure::new(Code::Unavailable, text)
                .hint("wait until `docs-publish gc` has ended; one that was ended itself counts for an hour"),
            Publishing::TooMuch { .. } => {
                Failure::new(Code::Refused, text).hint("nothing was removed; `--most N` allows more")
            }
            Publishing::Moved(_) => {
                Failure::new(Code::Partial, text).hint("nothing was switched; wait for the build, and run this again")
            }
            Publishing::Invalidating { .. } => {
                Failure::new(Code::Partial, text).hint("running this again waits for it again")
            }
            Publishing::Full { .. } => Failure::new(Code::Partial, text)
                .hint("wait until some of them have come to their end, and run this again; `--patience SECONDS` waits longer"),
            Publishing::Call { .. } => called(error.code(), error.clock(), text),
            _ => Failure::new(Code::Unavailable, text),
        }
    }
}

/// What services say of a signature that is too old or too new, among other things.
const CLOCK: [&str; 4] =
    ["RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch"];

/// What to do about what a service said; `clock` says how wrong ours is.
fn called(code: Option<&str>, clock: Option<String>, text: String) -> Failure {
    let failure = Failure::new(Code::Unavailable, text);
    match code {
        Some(code) if CLOCK.contains(&code) && clock.is_some() => {
            failure.hint(format!("the clock of this machine is {}: set it right", clock.unwrap_or_default()))
        }
        Some("RequestTimeTooSkewed" | "RequestExpired" | "InvalidSignatureException") => {
            failure.hint("the clock of this machine is wrong")
        }
        Some("SignatureDoesNotMatch") => {
            failure.hint("the secret key is another's, or the clock of this machine is wrong")
        }
        Some("ExpiredToken" | "ExpiredTokenException") => {
            failure.hint("the credentials have run out: log in again")
        }
        Some("InvalidAccessKeyId" | "InvalidClientTokenId" | "UnrecognizedClientException") => {
            failure.hint("AWS does not know these credentials")
        }
        Some("AccessDenied" | "AccessDeniedException" | "Forbidden" | "403") => {
            failure.hint("the credentials may not do this, or the bucket is another account's")
        }
        Some("NoSuchBucket") => {
            failure.hint("the bucket that the distribution reads is gone; `deploy apply` makes it again")
        }
        Some(_) => failure.hint("running this again goes on where it ended"),
        None => failure.hint("AWS could not be reached; running this again goes on where it ended"),
    }
}
