//! Every kind through its life in the sandbox. One program, so that the SDK is linked once and one sandbox is started; each
//! file has accounts of its own.

mod acm;
#[allow(dead_code, reason = "with few features much of it is unused")]
mod by_hand;
mod caches;
mod calls;
#[allow(dead_code, reason = "with few features much of it is unused")]
mod changes;
mod cloudfront;
mod cloudwatch;
mod ec2;
mod ecr;
mod ecs;
mod elbv2;
mod front;
mod iam;
#[allow(dead_code, reason = "with few features much of it is unused")]
#[path = "../in_sandbox/mod.rs"]
mod in_sandbox;
mod kms;
mod logs;
mod queues;
mod rds;
mod regions;
mod replication;
mod route53;
mod secretsmanager;
mod sns;
mod unset;
mod wafv2;
