//! Container images: which digest a tag stands for in a registry, whole images in folders, in OCI layout, and from one registry
//! to another.
//!
//! What comes is believed when its digest is the one that was asked for.
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md>

mod challenge;
mod copy;
mod error;
mod fetch;
mod logins;
mod manifest;
mod names;
mod reference;
mod registries;

pub use copy::{Copied, copy, missing};
pub use error::Error;
pub use fetch::{Fetched, fetch};
pub use logins::Logins;
pub use names::{BadDigest, BadRepository, Digest, Repository, scheme};
pub use reference::{BadReference, Reference};
pub use registries::{Found, Registries};
