//! The place that roles and databases live in.

use causeway_core::{Error, Secret, Value, place::Place};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A PostgreSQL server, and as whom to speak to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Its DNS name, which its certificate must bear.
    pub address: Value<String>,
    /// Its TCP port.
    pub port: Value<i32>,
    /// Who may make roles and databases: the first user of an RDS instance.
    pub user: String,
    /// Where that user's password is, in the words of the program's [`Passwords`]: the ARN of a secret.
    pub password: Value<String>,
    /// The database that is connected to. `postgres` is always there.
    pub database: String,
}

impl Place for Server {
    const PROVIDER: &'static str = "postgres";
}

/// How servers are reached from here. Not a part of where they are: it differs from one machine to the next, and what is
/// inside a server does not move with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// A file of certificates (PEM) of which one has signed the server's. For RDS it is
    /// <https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem>. `None`: without TLS, and only to an address of
    /// this machine.
    pub root_certificates: Option<PathBuf>,
    /// `host:port` where a tunnel to the server listens, for a server that cannot be reached from here. Its certificate is
    /// still that of its address.
    pub through: Option<String>,
}

/// Fetches passwords that specs only name.
pub trait Passwords: Send + Sync + 'static {
    /// The password that `name` stands for.
    ///
    /// # Errors
    /// When there is none, or it may not be read.
    fn password<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Secret, Error>>;

    /// The password that `name` stood for before it was changed, if that is kept: for a server that was not told yet.
    ///
    /// # Errors
    /// When it may not be read.
    fn previous<'a>(&'a self, _name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, Error>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
