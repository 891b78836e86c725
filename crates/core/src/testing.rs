//! For tests of kinds and of the engine. Panics instead of answering errors, as tests do.

pub mod crash;
mod lifecycle;
pub mod sim;

pub use lifecycle::Lifecycle;
