//! The program itself, against a Cloudflare and an API server of the sandbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod clusters;
mod follows;
mod killed;
mod world;
mod wrong;
