//! Real PostgreSQL servers, one for each database instance of the sandbox.
//!
//! As with RDS the superuser is `rdsadmin` and not the master user, who may create roles and databases and owns the instance's
//! database. Data lies in the run folder and ends with it. Servers listen on 127.0.0.1 only, without TLS.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Error;
use crate::supervise::{Check, Ground, Process, Program};
use crate::user::{User, unprivileged};

const SUPERUSER: &str = "rdsadmin";

/// A running server. Dropping it stops it.
pub struct Postgres {
    process: Process,
    address: SocketAddr,
    folder: PathBuf,
    bin: PathBuf,
    admin: String,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres")
            .field("address", &self.address)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// What a server is made with.
#[derive(Clone, Copy)]
pub struct Master<'a> {
    /// The role that owns the database.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
    /// The database to create beside `postgres`.
    pub database: Option<&'a str>,
}

impl Postgres {
    /// Makes a new cluster in the folder `postgres/NAME` of the run folder and starts its server on a free port. One to two seconds.
    pub(crate) async fn start(
        ground: &Ground,
        bin: &Path,
        name: &str,
        master: Master<'_>,
    ) -> Result<Postgres, Error> {
        let folder = ground.run.join("postgres").join(name);
        let admin = random().map_err(|source| Error::Database {
            act: "choose a password",
            name: name.to_owned(),
            source,
        })?;
        let script = script(master);
        let make =
            Make { folder: folder.clone(), bin: bin.to_owned(), name: name.to_owned(), user: unprivileged() };
        let password = admin.clone();
        let blocking = move || make.run(&password, &script).map(|()| make.user);
        let stopped = |_| Error::Database {
            act: "create",
            name: name.to_owned(),
            source: std::io::Error::other("the program is ending"),
        };
        let user = tokio::task::spawn_blocking(blocking).await.map_err(stopped)??;

        let program = |port: u16| {
            let setting = |text: String| ["-c".to_owned(), text];
            let settings = [
                setting("listen_addresses=127.0.0.1".into()),
                setting(format!("port={port}")),
                // A socket file would need a short path, and nobody uses it.
                setting("unix_socket_directories=".into()),
                // The data ends with the sandbox.
                setting("fsync=off".into()),
                setting("full_page_writes=off".into()),
            ];
            let data = ["-D".into(), folder.join("data").into_os_string()];
            Program {
                name: format!("postgres {name}"),
                command: bin.join("postgres"),
                arguments: data.into_iter().chain(settings.into_iter().flatten().map(Into::into)).collect(),
                environment: Vec::new(),
                log: ground.log(&format!("postgres-{name}")),
                user,
                // Fast shutdown: it also removes the shared memory segment, which SIGKILL would leave behind.
                signal: "INT",
                grace: Duration::from_secs(5),
            }
        };
        let (process, address) = ground.serve(&Check::Postgres(bin.join("pg_isready")), program).await?;
        Ok(Postgres { process, address, folder, bin: bin.to_owned(), admin })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs SQL as the superuser and returns what `psql` prints, without headers or alignment.
    ///
    /// # Errors
    ///
    /// [`Error::Database`] with what the server answered.
    pub async fn query(&self, sql: &str) -> Result<String, Error> {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let failed = |source| Error::Database { act: "query", name: name.clone(), source };
        let mut psql = tokio::process::Command::new(self.bin.join("psql"));
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            SUPERUSER,
            "-d",
            "postgres",
        ]);
        psql.arg("-p").arg(self.address.port().to_string());
        psql.env_clear().env("PGPASSWORD", &self.admin).env("PGCONNECT_TIMEOUT", "10");
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = psql.spawn().map_err(failed)?;
        if let Some(mut input) = child.stdin.take() {
            tokio::io::AsyncWriteExt::write_all(&mut input, sql.as_bytes()).await.map_err(failed)?;
        }
        let output = child.wait_with_output().await.map_err(failed)?;
        if !output.status.success() {
            return Err(failed(std::io::Error::other(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Changes the password of a role.
    ///
    /// # Errors
    ///
    /// [`Error::Database`], for example if there is no such role.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<(), Error> {
        self.query(&format!("ALTER ROLE {} PASSWORD {};", identifier(user), literal(password)))
            .await
            .map(drop)
    }

    /// Gives the order to stop, without waiting.
    pub(crate) fn end(&mut self) {
        self.process.end();
    }

    /// Stops the server and removes its data.
    pub async fn stop(self) {
        self.process.stop().await;
        // What is left goes with the run folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The making of a cluster, which blocks.
struct Make {
    folder: PathBuf,
    bin: PathBuf,
    name: String,
    user: Option<User>,
}

impl Make {
    fn run(&self, admin: &str, script: &str) -> Result<(), Error> {
        let data = self.folder.join("data");
        self.prepare(admin).map_err(self.failed("prepare the folder of"))?;
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(&data).arg("--pwfile").arg(self.folder.join("password"));
        initdb.args([
            "-U",
            SUPERUSER,
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        ]);
        self.finish(initdb, "").map_err(self.failed("create"))?;
        fs::remove_file(self.folder.join("password")).map_err(self.failed("create"))?;
        let mut single = self.command("postgres");
        single.arg("--single").arg("-D").arg(&data).args([
            "-c",
            "fsync=off",
            "-c",
            "exit_on_error=on",
            "postgres",
        ]);
        self.finish(single, script).map_err(self.failed("create the master user of"))
    }

    fn prepare(&self, admin: &str) -> std::io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let password = self.folder.join("password");
        fs::File::create(&password)?;
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
        fs::write(&password, admin)?;
        if let Some(user) = self.user {
            for path in [&self.folder, &password] {
                std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid))?;
            }
        }
        Ok(())
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(&self.folder);
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    fn finish(&self, mut command: Command, input: &str) -> std::io::Result<()> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(std::io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    fn failed(&self, act: &'static str) -> impl Fn(std::io::Error) -> Error {
        move |source| Error::Database { act, name: self.name.clone(), source }
    }
}

/// The statements that make the master user, for single-user mode: one line each.
fn script(master: Master<'_>) -> String {
    let user = identifier(master.user);
    let mut lines =
        format!("CREATE ROLE {user} LOGIN CREATEDB CREATEROLE PASSWORD {}\n", literal(master.password));
    lines.push_str(&format!("GRANT pg_monitor, pg_signal_backend TO {user} WITH ADMIN OPTION\n"));
    lines.push_str(&format!("ALTER DATABASE postgres OWNER TO {user}\n"));
    if let Some(database) = master.database.filter(|database| *database != "postgres") {
        lines.push_str(&format!("CREATE DATABASE {} OWNER {user}\n", identifier(database)));
    }
    lines
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An escape string, so that no character ends the line.
fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\r', "\\r");
    format!("E'{escaped}'")
}

fn random() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passwords_cannot_leave_their_quotes() {
        let script = script(Master { user: "a\"b", password: "x'\\\ny", database: Some("postgres") });
        let lines: Vec<&str> = script.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], r#"CREATE ROLE "a""b" LOGIN CREATEDB CREATEROLE PASSWORD E'x\'\\\ny'"#);
    }

    #[test]
    fn a_named_database_belongs_to_the_master_user() {
        let script = script(Master { user: "coder", password: "p", database: Some("app") });
        assert!(script.ends_with("CREATE DATABASE \"app\" OWNER \"coder\"\n"), "{script}");
    }
}
