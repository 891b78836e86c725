//! Publishes a folder as a static site, all at once, to a distribution of CloudFront that is set up for releases; see
//! [`causeway_site`] for what that looks like.
//!
//! [`scan`](scan::scan) reads the folder, [`Content::of`](wanted::Content::of) says what each file is served as,
//! [`Place::find`](place::Place::find) finds bucket and store from the distribution, [`publish`](publish::publish) makes the
//! release and switches to it.

pub mod audit;
mod bucket;
pub mod check;
mod compress;
mod content;
mod diff;
mod error;
mod error_page;
pub mod gc;
mod headers;
pub mod invalidate;
mod mistake;
pub mod place;
pub mod progress;
pub mod publish;
mod redirects;
pub mod releases;
pub mod scan;
mod spelling;
mod store;
pub mod verify;
pub mod wanted;

pub use causeway_site::ReleaseId;
pub use content::PREFIXES;
pub use error::{Answer, Error};
pub use mistake::Mistake;
