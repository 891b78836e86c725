//! Container images: which digest a tag stands for in a registry, and whole images in folders, in OCI layout.
//!
//! Only reads from registries. What comes is believed when its digest is the one that was asked for.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

mod challenge;
mod error;
mod fetch;
mod logins;
mod manifest;
mod names;
mod registries;

pub use error::Error;
pub use fetch::{Fetched, fetch};
pub use logins::Logins;
pub use names::{BadDigest, BadRepository, Digest, Repository, scheme};
pub use registries::{Found, Registries};
