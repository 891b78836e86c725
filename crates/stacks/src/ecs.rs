//! Coder on ECS: image, task, service, load balancer, certificate, name, database, logs, alarms.

mod config;
mod environment;

pub use config::*;
