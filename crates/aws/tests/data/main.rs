//! What holds and passes on data, through its life in the sandbox: queues, rules, replication, caches.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![cfg(all(feature = "ec2", feature = "ecr", feature = "elasticache", feature = "events", feature = "sqs"))]

mod caches;
#[path = "../in_sandbox/mod.rs"]
mod in_sandbox;
mod queues;
mod replication;
