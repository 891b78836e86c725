//! For tests of kinds and of the engine. Panics instead of answering errors, as tests do.

mod lifecycle;

pub use lifecycle::Lifecycle;
