//! <https://www.postgresql.org/docs/current/sql-createrole.html>

use crate::{connection::Postgres, mark, quote};
use causeway_core::{Cx, Error, Live, Recovery, Resource, Status, Tags, Timing, Value, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// A role that can log in.
///
/// Its password is told to the server as a verifier (SCRAM-SHA-256), so that no log of statements holds it. The user that
/// makes the role becomes a member of it, as whoever makes databases for others must.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Unique in the server; as it is written, whatever its case.
    pub name: String,
    /// Where its password is, in the words of the program's [`Passwords`](crate::Passwords): the ARN of a secret. Read when
    /// the role is made and whenever this field or `password_version` changes; the value goes nowhere else.
    /// `None`: none, or whatever it is.
    #[serde(default)]
    pub password: Option<Value<String>>,
    /// Anything that changes with the secret's value, like the secret's version: then the password is set again.
    #[serde(default)]
    pub password_version: Option<Value<String>>,
    /// How many sessions it may have at a time. `None`: any number.
    #[serde(default)]
    pub connection_limit: Option<i32>,
    /// Kept as the role's comment; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

outputs! {
    /// What a role tells others.
    pub struct RoleOutputs => RoleRefs {
        /// The name.
        pub name: String,
    }
}

/// No limit.
const ANY: i32 = -1;

impl Resource for Role {
    const KIND: &'static str = "postgres.role";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    const TIMING: Timing = Timing::seconds(1, 1, 300);
    type Client = Postgres;
    type Outputs = RoleOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        const LOOK: &str = "SELECT rolcanlogin, rolconnlimit, pg_catalog.shobj_description(oid, 'pg_authid') \
                            FROM pg_catalog.pg_roles WHERE rolname = $1";
        let rows = cx.client.query("looking for a role", LOOK, &[&self.name]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (login, limit): (bool, i32) = (row.get(0), row.get(1));
        let tags = mark::tags(row.get::<_, Option<&str>>(2));
        let status = match login {
            true => Status::Ready,
            // It can be mended by hand only: no field of ours says so.
            false => Status::Failed("the role may not log in; `ALTER ROLE .. LOGIN` lets it".into()),
        };
        Ok(Some(Live {
            spec: Role {
                name: self.name.clone(),
                password: None,
                password_version: None,
                connection_limit: match self.connection_limit {
                    Some(_) => Some(limit),
                    None => Some(limit).filter(|limit| *limit != ANY),
                },
                tags: tags.clone(),
            },
            outputs: RoleOutputs { name: self.name.clone() },
            status,
            owner: tags.owner(),
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let name = quote::name(&self.name);
        let password = self.verifier(cx).await?.map(|v| format!(" PASSWORD {}", quote::text(&v)));
        let statements = [
            format!(
                "CREATE ROLE {name} LOGIN CONNECTION LIMIT {}{}",
                self.connection_limit.unwrap_or(ANY),
                password.unwrap_or_default()
            ),
            self.comment(),
            format!("GRANT {name} TO CURRENT_USER"),
        ];
        cx.client.run_together("CREATE ROLE", &statements).await
    }

    async fn update(&self, cx: &Cx<'_, Self>, _: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let name = quote::name(&self.name);
        let mut statements = vec![];
        if diff.touches("connection_limit") {
            let limit = self.connection_limit.unwrap_or(ANY);
            statements.push(format!("ALTER ROLE {name} CONNECTION LIMIT {limit}"));
        }
        if (diff.touches("password") || diff.touches("password_version"))
            && let Some(verifier) = self.verifier(cx).await?
        {
            statements.push(format!("ALTER ROLE {name} PASSWORD {}", quote::text(&verifier)));
        }
        if diff.touches("tags") {
            statements.push(self.comment());
        }
        cx.client.run_together("ALTER ROLE", &statements).await
    }

    /// Refused by the server while the role owns anything.
    async fn delete(&self, cx: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        let drop = format!("DROP ROLE IF EXISTS {}", quote::name(&self.name));
        cx.client.run_together("DROP ROLE", &[drop]).await
    }
}

impl Role {
    async fn verifier(&self, cx: &Cx<'_, Self>) -> Result<Option<String>, Error> {
        let Some(name) = &self.password else { return Ok(None) };
        let password = cx.client.password(name.get()?).await?;
        Ok(Some(postgres_protocol::password::scram_sha_256(password.as_bytes())))
    }

    fn comment(&self) -> String {
        let comment = quote::text(&mark::comment(&self.tags));
        format!("COMMENT ON ROLE {} IS {comment}", quote::name(&self.name))
    }
}
