//! Why something could not be done.

use crate::{check::Finding, scan::ScanError, wanted::ContentError};
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
};
use causeway_site::ReleaseId;
use jiff::{SignedDuration, Timestamp};

/// How far clocks may be apart without being told: AWS takes signatures for five minutes.
const APART: SignedDuration = SignedDuration::from_mins(4);

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The folder is no site.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// What was found in the folder speaks against publishing it.
    #[error("{} thing(s) in the folder speak against publishing it", .0.iter().filter(|f| f.refuses).count())]
    Findings(Vec<Finding>),
    /// There is no such distribution.
    #[error("there is no distribution {0}")]
    NoDistribution(String),
    /// Several could be meant.
    #[error("{site} is a name of several distributions: {}", .ids.join(", "))]
    Several {
        /// What was looked for.
        site: String,
        /// Their ids.
        ids: Vec<String>,
    },
    /// A distribution that is not set up for releases.
    #[error("the distribution {distribution} {why}")]
    NotPrepared {
        /// Its id.
        distribution: String,
        /// What it lacks.
        why: String,
    },
    /// What a release says of itself does not decode.
    #[error("{what} does not decode")]
    Decode {
        /// What was read.
        what: String,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// An immutable file that is there with other content.
    #[error(
        "{path} is immutable, and is there with other content: browsers that have the old one would keep it for a year"
    )]
    Changed {
        /// Its path.
        path: String,
    },
    /// Objects of a release that are gone.
    #[error("{} object(s) of the release {id} are gone or damaged, first {}", .missing.len(), .missing[0])]
    Incomplete {
        /// The release.
        id: ReleaseId,
        /// Keys of objects.
        missing: Vec<String>,
    },
    /// No such release.
    #[error("there is no release {0}")]
    NoRelease(ReleaseId),
    /// There is nothing to go back to.
    #[error("there is no earlier release")]
    NoEarlier,
    /// Nothing is live.
    #[error("nothing is published yet")]
    Nothing,
    /// Somebody else was quicker.
    #[error("somebody else published meanwhile: visitors get {}", .0.as_ref().map_or("nothing".to_owned(), ToString::to_string))]
    Lost(Option<ReleaseId>),
    /// Old releases are being removed.
    #[error("old releases are being removed since {0}")]
    Collecting(String),
    /// More would be removed than is allowed.
    #[error("{wanted} objects would be removed, and {most} are allowed")]
    TooMuch {
        /// How many would be.
        wanted: usize,
        /// How many may be.
        most: usize,
    },
    /// The file that is read is not the one that was scanned.
    #[error("{0} changed while it was published")]
    Moved(String),
    /// What the edge knows of a release does not fit into the store.
    #[error("the store cannot hold {what}: it has {bytes} bytes, and 1,024 fit")]
    Large {
        /// What.
        what: String,
        /// Key and value.
        bytes: usize,
    },
    /// An invalidation did not come to its end in time.
    #[error("the invalidation {id} is still in progress after {seconds} s")]
    Invalidating {
        /// Its id.
        id: String,
        /// How long was waited.
        seconds: u64,
    },
    /// For all the time that was given as many invalidations were in progress as CloudFront takes at once.
    #[error(
        "{paths} path(s) are not invalidated: for {seconds} s as many were in progress as CloudFront takes at once"
    )]
    Full {
        /// How many should be.
        paths: usize,
        /// How long was waited.
        seconds: u64,
    },
    /// A release is what visitors get, but for its error page.
    #[error("visitors get {id}, but what there is not may still show an older error page")]
    ErrorPage {
        /// The release.
        id: ReleaseId,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// A file of this machine.
    #[error("cannot read {path}")]
    Local {
        /// Its path.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// What is compressed.
    #[error("cannot compress {path}")]
    Compress {
        /// Its path.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Something inside ended early.
    #[error("a thread ended early")]
    Thread(#[source] tokio::task::JoinError),
    /// The site could not be asked.
    #[error("cannot ask {url}")]
    Visit {
        /// The URL.
        url: String,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A call to AWS.
    #[error("cannot {act}")]
    Call {
        /// What was tried.
        act: String,
        /// The service's code, where it answered.
        code: Option<String>,
        /// How far its clock is ahead of ours, where it told the time, and that is far.
        ahead: Option<SignedDuration>,
        /// What it said.
        #[source]
        source: Answer,
    },
}

impl Error {
    /// The code of the service that refused, if one did.
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Call { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// How wrong the clock of this machine is, by that of the service that refused: `1h 3s behind`.
    pub fn clock(&self) -> Option<String> {
        match self {
            Error::Call { ahead: Some(ahead), .. } => {
                let side = if ahead.is_negative() { "ahead" } else { "behind" };
                Some(format!("{:#} {side}", ahead.abs()))
            }
            _ => None,
        }
    }
}

/// How far the clock of who sent an answer is ahead of `now`, in whole seconds, as the header says them; nothing where that is not
/// far, or not said.
fn ahead(answer: &HttpResponse, now: Timestamp) -> Option<SignedDuration> {
    let there = jiff::fmt::rfc2822::parse(answer.headers().get("date")?).ok()?.timestamp();
    let ahead = SignedDuration::from_secs(there.duration_since(now).as_secs());
    (ahead.abs() > APART).then_some(ahead)
}

/// What a service said, or why it said nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Answer(String);

impl Answer {
    pub(crate) fn new(text: &str) -> Answer {
        Answer(text.to_owned())
    }
}

/// Names a call in its error.
pub(crate) trait Call<T> {
    fn call(self, act: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E> Call<T> for Result<T, SdkError<E, HttpResponse>>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn call(self, act: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|error| {
            let code = error.code().map(str::to_owned);
            let text = match (&error, &code) {
                (SdkError::ServiceError(answer), Some(code)) => match answer.err().message() {
                    Some(message) => format!("{code}: {message}"),
                    None => code.clone(),
                },
                // All of the chain, as the outer errors only say that something failed.
                _ => DisplayErrorContext(&error).to_string(),
            };
            // The rest of it is how errors are kept in memory.
            let text = text.split(" (DispatchFailure").next().unwrap_or(&text).to_owned();
            let ahead = error.raw_response().and_then(|answer| ahead(answer, Timestamp::now()));
            Error::Call { act: act(), code, ahead, source: Answer(text) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_is_told_by_how_much() {
        let now: Timestamp = "2026-11-22T15:00:00Z".parse().unwrap();
        let said = |date: &str| {
            let mut answer = HttpResponse::new(403.try_into().unwrap(), "".into());
            answer.headers_mut().insert("date", date.to_owned());
            let ahead = ahead(&answer, now);
            let source = Answer::new("RequestTimeTooSkewed");
            Error::Call { act: "look".into(), code: None, ahead, source }.clock()
        };
        assert_eq!(said("Sun, 22 Nov 2026 16:01:03 GMT").as_deref(), Some("1h 1m 3s behind"));
        assert_eq!(said("Sun, 22 Nov 2026 14:50:00 GMT").as_deref(), Some("10m ahead"));
        assert_eq!((said("Sun, 22 Nov 2026 15:03:59 GMT"), said("now")), (None, None));
    }
}
