//! What goes wrong with registries.

use crate::Digest;
use reqwest::StatusCode;
use std::path::PathBuf;

/// Why an image could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answered, or the answer broke off.
    #[error("{registry} did not answer for {what}")]
    Silent {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The answer ended early.
    #[error("{registry} sent {got} of {size} bytes of {what}")]
    Short {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: String,
        /// How many bytes came.
        got: u64,
        /// How many there are.
        size: u64,
    },
    /// The registry does not have it.
    #[error("{registry} does not have {what}")]
    Missing {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: String,
    },
    /// The registry does not give it to us, or cannot.
    #[error("{registry} refused {what}: {status}{said}")]
    Refused {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: StatusCode,
        /// What it said, after a colon; or nothing.
        said: String,
    },
    /// The tag stands for another image, and the registry lets it be.
    #[error("{registry} lets the tag of {what} be, which stands for {there} there")]
    TagStays {
        /// The registry.
        registry: String,
        /// What was sent.
        what: String,
        /// What the tag stands for.
        there: Digest,
    },
    /// What came is something else.
    #[error("what {registry} sent as {what} has the digest {found} and should have {wanted}")]
    Digest {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: String,
        /// The digest of what came.
        found: Digest,
        /// The digest that was asked for.
        wanted: Digest,
    },
    /// What came makes no sense.
    #[error("what {registry} sent as {what} is none")]
    Senseless {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file could not be read or written.
    #[error("cannot {act} {}", path.display())]
    File {
        /// What was tried.
        act: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Whether the same may work in a moment.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Error::Silent { source, .. } => !source.is_builder(),
            Error::Short { .. } => true,
            Error::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Error::Silent { .. } | Error::Short { .. } => {
                "look at the network; HTTPS_PROXY is honoured, and running this again goes on"
            }
            Error::Missing { .. } => {
                "look at the name of the image and its version; a mirror may not have it yet"
            }
            Error::Refused { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS => {
                "wait, or log in with `docker login` or `skopeo login`: those who are logged in may ask more often"
            }
            Error::Refused { status, .. } if status.is_server_error() => "try again later",
            Error::Refused { .. } => {
                "log in with `docker login REGISTRY`; what it keeps in its configuration is used here"
            }
            Error::TagStays { .. } => {
                "the image is there by its digest; name a version that does not move, or let tags of the repository move"
            }
            Error::Digest { .. } => {
                "something on the way changes what it passes on; do not use it until you know what does"
            }
            Error::Senseless { .. } => "is there a registry at this address? a proxy may answer in its place",
            Error::File { .. } => "look at the folder, its rights and the space that is left",
        }
    }
}
