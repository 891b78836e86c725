//! Keys of a LiteLLM proxy: its REST client, and how the key that workspaces share is made anew without a moment in which there
//! is no valid one. Knows no cloud: where keys are kept comes through a trait.

mod api;
mod held;
mod rotation;

pub use api::{Error, LiteLlm, USER};
pub use held::{Held, NoKey};
pub use rotation::{Made, Rotation, RotationError, Stage, Vault, Version, extend, make};
