//! The program itself, against the S3, the CloudFront and the edge of the sandbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod audit;
mod killed;
mod large;
mod operate;
mod site;
mod verify;
mod world;
mod wrong;
