//! The program itself, against the S3, the CloudFront and the edge of the sandbox.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![allow(clippy::print_stdout, reason = "how many moments there were is what one asks all of them for")]

mod audit;
mod compressed;
mod killed;
mod large;
mod operate;
mod site;
mod verify;
mod world;
mod wrong;
