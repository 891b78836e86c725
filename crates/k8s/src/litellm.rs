//! LiteLLM: one address for the language models of several providers. <https://docs.litellm.ai/docs/simple_proxy>

pub mod config;
pub mod keys;
mod models;
pub mod proxy;

pub use models::{Limits, Model, Provider, default_models, sums};
