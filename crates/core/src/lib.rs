//! The engine of Causeway: what is wanted, what is there, and how one becomes the other.
//!
//! A [`Stack`] is plain data: resources and typed references between them. observe reads what the
//! cloud has, plan compares and decides, guard refuses what is dangerous, apply does what the plan says
//! and writes a journal of it. This crate knows no cloud, no HTTP and no terminal; providers implement
//! [`Resource`] and register themselves in a [`Registry`].

pub mod apply;
pub mod away;
pub mod claim;
pub mod coalesce;
pub mod diff;
pub mod durations;
pub mod engine;
pub mod error;
pub mod estimate;
pub mod event;
pub mod finding;
pub mod freeze;
pub mod graph;
pub mod guard;
pub mod history;
pub mod journal;
pub mod lint;
pub mod moved;
pub mod observe;
mod parts;
pub mod place;
pub mod plan;
mod reach;
pub mod rebuild;
pub mod registry;
pub mod render;
pub mod resource;
pub mod saved;
pub mod schedule;
pub mod secret;
pub mod signature;
pub mod stack;
pub mod store;
mod survey;
#[cfg(feature = "testing")]
pub mod testing;
pub mod timeline;
pub mod undo;
pub mod value;
mod wait;
pub mod wanted;
pub mod why;

pub use claim::ClaimedBy;
pub use engine::Engine;
pub use error::{Class, Error};
pub use registry::Registry;
pub use resource::{Cx, Live, Owner, Recovery, Resource, Status, Tags, Timing};
pub use secret::Secret;
pub use stack::{Handle, Stack};
pub use value::{Address, Name, Outputs, Set, Value};
pub use wait::{Stop, repeated};
