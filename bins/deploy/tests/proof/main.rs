//! Promises of the whole program in the local cloud: secrets stay secret, faults cost nothing but time, and a run that is
//! killed anywhere is finished by the next.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and tells its figures")]

mod canaries;
mod crash;
mod crash_eks;
#[path = "../sandbox/examples.rs"]
mod examples;
mod faults;
mod lanes;
mod place;
mod region;
mod throttled;
mod upgrade;
#[path = "../sandbox/world.rs"]
mod world;
