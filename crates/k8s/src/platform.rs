//! What a cluster needs before Coder runs in it: each a function that adds all objects of one program to a stack.
//!
//! The caller has entered the cluster's place. Nothing here knows a cloud: roles, queues and networks come as values. Each
//! function answers with what waits for it: where its objects stand.

pub mod alerts;
pub mod cert_manager;
pub mod definitions;
pub mod karpenter;
pub mod load_balancer_controller;
pub mod namespace;
pub mod storage;
