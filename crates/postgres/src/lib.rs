//! What is inside a PostgreSQL server: roles and databases, made over a connection to it.
//!
//! They live in a [`Server`], which may be one that the same run makes. Each carries its owner as a comment (`COMMENT ON`),
//! which is PostgreSQL's place for such things.

mod call;
mod connection;
mod database;
mod mark;
mod quote;
mod role;
mod server;
mod tls;

pub use connection::Postgres;
pub use database::{Database, DatabaseOutputs, DatabaseRefs};
pub use role::{Role, RoleOutputs, RoleRefs};
pub use server::{Passwords, Server, Way};

use causeway_core::Registry;
use std::sync::Arc;

/// Registers the kinds. Every server is reached this `way`; `passwords` fetches what specs only name.
pub fn register(registry: &mut Registry, way: Way, passwords: Arc<dyn Passwords>) {
    let kinds = registry.provider(move |server: Server| {
        let (way, passwords) = (way.clone(), Arc::clone(&passwords));
        async move { Ok(Postgres::new(server, way, passwords)) }
    });
    kinds.add::<Role>().add::<Database>();
}
