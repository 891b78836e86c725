//! <https://www.postgresql.org/docs/current/sql-createdatabase.html>

use crate::{connection::Postgres, mark, quote};
use causeway_core::{Cx, Error, Live, Recovery, Resource, Status, Tags, Timing, Value, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// A database.
///
/// Deleting it deletes what is in it, and waits while anybody is connected. Nothing keeps a copy of one database: the
/// snapshots of the server have it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    /// Unique in the server; as it is written, whatever its case.
    pub name: String,
    /// The role that it belongs to. A member of it must be connected: whoever makes a [`Role`](crate::Role) is.
    pub owner: Value<String>,
    /// Whether every role may connect, as PostgreSQL has it. `Some(false)`: the owner alone. `None`: as it is.
    #[serde(default)]
    pub public_connect: Option<bool>,
    /// Kept as the database's comment; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a database tells others.
    pub struct DatabaseOutputs => DatabaseRefs {
        /// The name.
        pub name: String,
    }
}

impl Resource for Database {
    const KIND: &'static str = "postgres.database";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    const DATA: bool = true;
    const TIMING: Timing = Timing::seconds(1, 1, 300);
    type Client = Postgres;
    type Outputs = DatabaseOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        // A database without an access list is open to everybody.
        const LOOK: &str = "SELECT pg_catalog.pg_get_userbyid(datdba), \
                            pg_catalog.shobj_description(oid, 'pg_database'), \
                            EXISTS (SELECT FROM pg_catalog.aclexplode(coalesce(datacl, pg_catalog.acldefault('d', datdba))) \
                            WHERE grantee = 0 AND privilege_type = 'CONNECT') \
                            FROM pg_catalog.pg_database WHERE datname = $1";
        let rows = cx.client.query("looking for a database", LOOK, &[&self.name]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let owner: String = row.get(0);
        let tags = mark::tags(row.get::<_, Option<&str>>(1));
        let open: bool = row.get(2);
        Ok(Some(Live {
            spec: Database {
                name: self.name.clone(),
                owner: owner.into(),
                public_connect: match self.public_connect {
                    Some(_) => Some(open),
                    None => Some(open).filter(|open| !open),
                },
                tags: tags.clone(),
            },
            outputs: DatabaseOutputs { name: self.name.clone() },
            status: Status::Ready,
            owner: tags.owner(),
        }))
    }

    /// A database is made outside of a transaction: where a run ends before the comment, the next one writes it.
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let name = quote::name(&self.name);
        let mut statements =
            vec![format!("CREATE DATABASE {name} OWNER {}", quote::name(self.owner.get()?)), self.comment()];
        if self.public_connect == Some(false) {
            statements.push(self.access(false));
        }
        cx.client.run("CREATE DATABASE", &statements).await
    }

    async fn update(&self, cx: &Cx<'_, Self>, _: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let name = quote::name(&self.name);
        let mut statements = vec![];
        if diff.touches("owner") {
            statements.push(format!("ALTER DATABASE {name} OWNER TO {}", quote::name(self.owner.get()?)));
        }
        if diff.touches("public_connect") {
            statements.push(self.access(self.public_connect.unwrap_or(true)));
        }
        if diff.touches("tags") {
            statements.push(self.comment());
        }
        cx.client.run_together("ALTER DATABASE", &statements).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        let drop = format!("DROP DATABASE IF EXISTS {}", quote::name(&self.name));
        cx.client.run("DROP DATABASE", &[drop]).await
    }
}

impl Database {
    fn comment(&self) -> String {
        let comment = quote::text(&mark::comment(&self.tags));
        format!("COMMENT ON DATABASE {} IS {comment}", quote::name(&self.name))
    }

    fn access(&self, everybody: bool) -> String {
        let (verb, word) = if everybody { ("GRANT", "TO") } else { ("REVOKE", "FROM") };
        format!("{verb} CONNECT, TEMPORARY ON DATABASE {} {word} PUBLIC", quote::name(&self.name))
    }
}
