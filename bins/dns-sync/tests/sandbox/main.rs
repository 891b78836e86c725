//! The program itself, against a Cloudflare and an API server of the sandbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[cfg(feature = "aws")]
mod balancers;
mod clusters;
mod follows;
mod inside;
mod killed;
mod large;
mod lease;
mod moves;
mod operate;
mod probe;
mod providers;
mod tree;
mod world;
mod wrong;
