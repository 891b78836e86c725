//! What a failed call of the Kubernetes API means for the engine: decided by reason and status.
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/>

use causeway_core::{Class, Error};
use kube::core::Status;
use std::{error::Error as StdError, io};

/// Names the call in the error and classifies it; everything else stays in the source chain.
pub(crate) trait Call<T> {
    /// `call` with the verb of the API: `kubernetes:patch`.
    fn call(self, call: &'static str) -> Result<T, Error>;

    /// The same for what changes an object, and may be sent again whatever became of it. Where the API server fails inside, it is
    /// mostly that a webhook is away which it has to ask. That is told at once, and waited for.
    fn change(self, call: &'static str) -> Result<T, Error>;
}

impl<T> Call<T> for Result<T, kube::Error> {
    fn call(self, call: &'static str) -> Result<T, Error> {
        self.map_err(|error| Error::Call { call, class: class(&error), source: said(error) })
    }

    fn change(self, call: &'static str) -> Result<T, Error> {
        self.map_err(|error| {
            let class = if is_inside(&error) { Class::NotNow } else { class(&error) };
            Error::Call { call, class, source: said(error) }
        })
    }
}

fn is_inside(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 500 && status.reason == "InternalError")
}

fn class(error: &kube::Error) -> Class {
    match error {
        kube::Error::Api(status) => of(status),
        error if is_untrusted(error) => Class::Final,
        kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::HttpError(_) => Class::Transient,
        _ => Class::Final,
    }
}

/// Whether whoever answered could not show that it is the cluster. Asking again changes nothing, and nothing may be sent.
fn is_untrusted(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            // What an `io::Error` was made from is not its source.
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

fn of(status: &Status) -> Class {
    match (status.code, status.reason.as_str()) {
        // A namespace that is being removed takes nothing new, and a quota may be freed.
        (403, _) if caused(status, "NamespaceTerminating") => Class::NotNow,
        // Who may enter a new cluster spreads within a minute.
        (401, _) => Class::Transient,
        (403, _) => Class::Denied,
        (404, _) => Class::NotFound,
        (429, _) => Class::Throttled,
        (409, "AlreadyExists") => Class::Final,
        // Somebody was faster with the same object.
        (409, _) if !caused(status, "FieldManagerConflict") => Class::NotNow,
        (500.., _) => Class::Transient,
        _ => Class::Final,
    }
}

/// Whether the API server gives `reason` as a cause.
pub(crate) fn caused(status: &Status, reason: &str) -> bool {
    status.details.as_ref().is_some_and(|details| details.causes.iter().any(|cause| cause.reason == reason))
}

/// The API server's own words, once.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
struct Said(Status);

/// What the API server said of a call that it refused, where it was the one that refused.
pub(crate) fn answer(error: &Error) -> Option<&Status> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(Said(status)) = error.downcast_ref() {
            return Some(status);
        }
        next = error.source();
    }
    None
}

/// What to do where somebody else answers.
#[derive(Debug, thiserror::Error)]
#[error(
    "whoever answers there shows a certificate that the cluster's authority did not sign; it may be a proxy in between, or \
     another cluster that has the address now"
)]
struct Untrusted(#[source] kube::Error);

fn said(error: kube::Error) -> Box<dyn StdError + Send + Sync> {
    match error {
        error if is_untrusted(&error) => Box::new(Untrusted(error)),
        kube::Error::Api(status) if !status.message.is_empty() => Box::new(Said(*status)),
        other => Box::new(other),
    }
}
