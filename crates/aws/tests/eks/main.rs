//! Clusters and what belongs to them, in the sandbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "eks", feature = "ec2", feature = "iam"))]

#[path = "../in_sandbox/mod.rs"]
mod in_sandbox;
mod life;
mod refusals;
mod stack;
mod upgrade;
