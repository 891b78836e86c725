//! One connection to a server, made when it is first needed and again when it broke.

use crate::{
    call::Call,
    server::{Passwords, Server, Way},
    tls::Tls,
};
use causeway_core::{Class, Error, Secret, place::Client as PlaceClient};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{net::TcpStream, sync::Mutex, time::timeout};
use tokio_postgres::{Client, Config, NoTls, Row, Transaction, config::SslMode, types::ToSql};

/// How long a server may take to answer a connection.
const PATIENCE: Duration = Duration::from_secs(15);

/// Speaks to one server. Cheap to clone; all clones share one connection, so that statements come one by one.
#[derive(Clone)]
pub struct Postgres(Arc<Shared>);

struct Shared {
    server: Server,
    way: Way,
    passwords: Arc<dyn Passwords>,
    client: Mutex<Option<Client>>,
}

impl PlaceClient for Postgres {
    type Place = Server;
}

impl Postgres {
    /// Speaks to `server`, this `way`, with the password that `passwords` gives.
    pub fn new(server: Server, way: Way, passwords: Arc<dyn Passwords>) -> Self {
        Postgres(Arc::new(Shared { server, way, passwords, client: Mutex::default() }))
    }

    /// The rows that `statement` answers with.
    pub(crate) async fn query(
        &self,
        call: &'static str,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let mut held = self.0.client.lock().await;
        self.0.connected(&mut held).await?.query(statement, parameters).await.call(call)
    }

    /// Runs `statements` one by one, each outside of a transaction.
    pub(crate) async fn run(&self, call: &'static str, statements: &[String]) -> Result<(), Error> {
        let mut held = self.0.client.lock().await;
        let client = self.0.connected(&mut held).await?;
        for statement in statements {
            client.batch_execute(statement).await.call(call)?;
        }
        Ok(())
    }

    /// Runs `statements` as one: all of them have an effect, or none.
    pub(crate) async fn run_together(&self, call: &'static str, statements: &[String]) -> Result<(), Error> {
        let mut held = self.0.client.lock().await;
        let together: Transaction<'_> = self.0.connected(&mut held).await?.transaction().await.call(call)?;
        for statement in statements {
            together.batch_execute(statement).await.call(call)?;
        }
        together.commit().await.call(call)
    }

    /// The password that `name` stands for.
    pub(crate) async fn password(&self, name: &str) -> Result<String, Error> {
        let secret = self.0.passwords.password(name).await?;
        Ok(password_in(secret.expose()?))
    }
}

impl Shared {
    async fn connected<'c>(&self, held: &'c mut Option<Client>) -> Result<&'c mut Client, Error> {
        if held.as_ref().is_none_or(Client::is_closed) {
            *held = Some(self.connect().await?);
        }
        held.as_mut().ok_or_else(|| Error::Invalid("there is no connection".into()))
    }

    async fn connect(&self) -> Result<Client, Error> {
        let name = self.server.password.get()?;
        match self.enter(&self.passwords.password(name).await?).await {
            // The password was changed where it is kept, and whoever asks now is about to tell the server.
            Err(refused) if refused.class() == Class::Denied => match self.passwords.previous(name).await? {
                Some(previous) => self.enter(&previous).await.map_err(|_| refused),
                None => Err(refused),
            },
            answer => answer,
        }
    }

    async fn enter(&self, password: &Secret) -> Result<Client, Error> {
        let (server, way) = (&self.server, &self.way);
        let (address, port) = (server.address.get()?, server.port.get()?);
        let mut config = Config::new();
        config
            .user(&server.user)
            .password(password_in(password.expose()?))
            .dbname(&server.database)
            .application_name("causeway");
        let at = way.through.clone().unwrap_or_else(|| format!("{address}:{port}"));
        let failed = |source| Error::Connect { place: format!("PostgreSQL at {at}"), source };
        let Some(roots) = &way.root_certificates else {
            if !is_here(&at) {
                return Err(Error::Invalid(format!(
                    "the connection to PostgreSQL at {at} would not be secret: name a file with the certificates that \
                     it is checked by as `root_certificates`"
                )));
            }
            config.ssl_mode(SslMode::Disable);
            let stream = reach(&at).await.map_err(failed)?;
            let (client, connection) =
                config.connect_raw(stream, NoTls).await.call("connecting to PostgreSQL")?;
            // It ends with its client, which tells what went wrong.
            tokio::spawn(connection);
            return Ok(client);
        };
        config.ssl_mode(SslMode::Require);
        let tls = Tls::new(roots, address).map_err(|why| {
            Error::Invalid(format!("the certificates in {} cannot be used: {why}", roots.display()))
        })?;
        let stream = reach(&at).await.map_err(failed)?;
        let (client, connection) = config.connect_raw(stream, tls).await.call("connecting to PostgreSQL")?;
        tokio::spawn(connection);
        Ok(client)
    }
}

async fn reach(at: &str) -> Result<TcpStream, Box<dyn std::error::Error + Send + Sync>> {
    match timeout(PATIENCE, TcpStream::connect(at)).await {
        Ok(stream) => Ok(stream?),
        Err(_) => Err("nobody answered; a database in private subnets is reached through a tunnel".into()),
    }
}

/// Whether `at` (`host:port`) cannot be anywhere but on this machine.
fn is_here(at: &str) -> bool {
    let host = at.rsplit_once(':').map_or(at, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A secret is the password itself, or JSON as RDS writes its own: `{"username": .., "password": ..}`.
fn password_in(secret: &str) -> String {
    serde_json::from_str::<serde_json::Value>(secret)
        .ok()
        .and_then(|json| json.get("password")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| secret.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        assert!(is_here("127.0.0.1:5432") && is_here("[::1]:5432") && is_here("localhost:1"));
        assert!(!is_here("10.0.0.1:5432") && !is_here("localhost.example.com:5432"));
    }

    #[test]
    fn a_password_is_text_or_json() {
        assert_eq!(password_in("plain"), "plain");
        assert_eq!(password_in(r#"{"username":"u","password":"p"}"#), "p");
    }
}
