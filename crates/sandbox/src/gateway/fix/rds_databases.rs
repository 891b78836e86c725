//! Moto's instances are records. Behind each PostgreSQL instance the sandbox starts a real server: the endpoint is the
//! server's, the instance is `creating` until the server answers, a new master password takes effect, and deletion stops it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::{FixInfo, Next, Request};
use crate::gateway::refusal::Answer;
use crate::gateway::route::{Backend, Scope};
use crate::gateway::xml::{Element, Node};
use crate::gateway::{BoxError, Database, State, lock};

pub(super) const INFO: FixInfo = FixInfo {
    name: "rds_databases",
    service: "rds",
    operations: &[
        "CreateDBInstance",
        "ModifyDBInstance",
        "DeleteDBInstance",
        "DescribeDBInstances",
        "RebootDBInstance",
    ],
    why: "moto invents an endpoint at which nobody answers; AWS starts a database",
};

/// Secrets of managed master passwords are moto's, because its RDS makes them.
pub(super) const SECRETS: FixInfo = FixInfo {
    name: "rds_databases",
    service: "secretsmanager",
    operations: &["GetSecretValue", "DescribeSecret"],
    why: "the secret of a managed master password is made by moto's RDS, the other secrets live on fakecloud",
};

pub(super) const VERSIONS: FixInfo = FixInfo {
    name: "rds_databases",
    service: "rds",
    operations: &["DescribeDBEngineVersions", "DescribeOrderableDBInstanceOptions"],
    why: "moto has no engine versions and no orderable options; fakecloud has both",
};

#[derive(Clone, Debug)]
enum Phase {
    Starting,
    Running(String, u16),
    Failed,
}

#[derive(Clone)]
struct Server {
    phase: Phase,
    user: String,
    password: String,
    name: Option<String>,
}

/// The servers, by the id that the hook got.
#[derive(Default)]
pub(crate) struct Servers(Mutex<BTreeMap<String, Server>>);

fn id(scope: &Scope, instance: &str) -> String {
    format!("{}-{}-{}", crate::account::of(&scope.access_key), scope.region, instance.to_ascii_lowercase())
}

pub(super) fn secrets<'a>(
    _state: &'a Arc<State>,
    mut request: Request,
    next: Next<'a>,
) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        if request.json()["SecretId"].as_str().is_some_and(|id| id.contains("rds!")) {
            request.backend = Backend::Moto;
        }
        next.run(request).await
    })
}

pub(super) fn versions<'a>(
    _state: &'a Arc<State>,
    mut request: Request,
    next: Next<'a>,
) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        request.backend = Backend::Fakecloud;
        next.run(request).await
    })
}

pub(super) fn run<'a>(state: &'a Arc<State>, request: Request, next: Next<'a>) -> BoxFuture<'a, Answer> {
    Box::pin(async move {
        if state.fixes.databases.is_none() {
            return next.run(request).await;
        }
        let scope = request.scope.clone();
        let operation = request.operation.name.clone();
        let instance = request.param("DBInstanceIdentifier").unwrap_or_default();
        let form = request.form();
        let mut answer = next.run(request.clone()).await;
        if !answer.status.is_success() {
            return answer;
        }
        let Some(mut root) = std::str::from_utf8(&answer.body).ok().and_then(Element::parse) else {
            return answer;
        };
        let given = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let key = id(&scope, &instance);
        match operation.as_str() {
            "CreateDBInstance" if given("Engine").as_deref() == Some("postgres") => {
                let password = match given("MasterUserPassword") {
                    Some(password) => Some(password),
                    None => managed(state, &scope, &root).await,
                };
                let server = Server {
                    phase: Phase::Starting,
                    user: given("MasterUsername").unwrap_or_else(|| "postgres".to_owned()),
                    password: password.unwrap_or_default(),
                    name: given("DBName").filter(|name| !name.is_empty()),
                };
                lock(&state.fixes.servers.0).insert(key.clone(), server.clone());
                tokio::spawn(start(state.clone(), key, server));
            }
            "ModifyDBInstance" => {
                if let Some(password) = given("MasterUserPassword")
                    && let Err(error) = change(state, &key, &password).await
                {
                    tracing::warn!(%error, key, "new master password did not take effect");
                    let message = format!("The master password could not be changed: {error}.");
                    return request.refuse(500, "InternalFailure", &message);
                }
            }
            "DeleteDBInstance" => {
                let known = lock(&state.fixes.servers.0).remove(&key).is_some();
                if let Some(databases) = state.fixes.databases.clone().filter(|_| known) {
                    tokio::spawn(async move {
                        if let Err(error) = databases.stop(&key).await {
                            tracing::warn!(%error, key, "database did not stop");
                        }
                    });
                }
            }
            _ => {}
        }
        let servers = lock(&state.fixes.servers.0).clone();
        root.walk_mut(&mut |element| {
            if element.name == "DBInstance"
                && let Some(server) =
                    element.get("DBInstanceIdentifier").and_then(|name| servers.get(&id(&scope, &name)))
            {
                show(element, &server.phase);
            }
        });
        answer.body = root.document().into();
        answer
    })
}

/// Writes the real endpoint and status into an instance.
fn show(instance: &mut Element, phase: &Phase) {
    let available = instance.get("DBInstanceStatus").as_deref() == Some("available");
    let status = match phase {
        Phase::Running(host, port) => {
            instance.set("Endpoint/Address", host);
            instance.set("Endpoint/Port", &port.to_string());
            return;
        }
        Phase::Starting => "creating",
        Phase::Failed => "failed",
    };
    // An instance that is not ready has no address on AWS either.
    instance.children.retain(|node| !matches!(node, Node::Element(element) if element.name == "Endpoint"));
    if available {
        instance.set("DBInstanceStatus", status);
    }
}

async fn start(state: Arc<State>, key: String, server: Server) {
    let Some(databases) = state.fixes.databases.clone() else { return };
    let database =
        Database { id: key.clone(), user: server.user, password: server.password, name: server.name };
    let phase = match databases.start(database).await {
        Ok((host, port)) => Phase::Running(host, port),
        Err(error) => {
            tracing::warn!(error, key, "database did not start");
            Phase::Failed
        }
    };
    let gone = match lock(&state.fixes.servers.0).get_mut(&key) {
        Some(server) => {
            server.phase = phase;
            false
        }
        None => true,
    };
    // Deleted while it started: then the stop came too early.
    if gone && let Err(error) = databases.stop(&key).await {
        tracing::warn!(error, key, "database did not stop");
    }
}

/// The password that moto made for an instance with a managed one.
async fn managed(state: &State, scope: &Scope, root: &Element) -> Option<String> {
    let secret = root.all("SecretArn").first()?.text();
    let mut request = Request::to(
        scope,
        "secretsmanager",
        "GetSecretValue",
        json!({ "SecretId": secret }).to_string().into(),
    );
    request.backend = Backend::Moto;
    request.headers.insert("x-amz-target", http::HeaderValue::from_static("secretsmanager.GetSecretValue"));
    let answer = state.send(&request).await;
    let output: Value = serde_json::from_slice(&answer.body).ok()?;
    let secret: Value = serde_json::from_str(output["SecretString"].as_str()?).ok()?;
    secret["password"].as_str().map(str::to_owned)
}

/// Makes a new master password take effect. A server that still starts keeps the old one, as AWS refuses changes then.
async fn change(state: &State, key: &str, password: &str) -> Result<(), BoxError> {
    let server = lock(&state.fixes.servers.0).get(key).cloned();
    let Some(server) = server else { return Ok(()) };
    let Phase::Running(host, port) = &server.phase else { return Err("the database does not run".into()) };
    let mut config = tokio_postgres::Config::new();
    config.host(host).port(*port).user(&server.user).password(&server.password).dbname("postgres");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    let role = server.user.replace('"', "\"\"");
    let quoted = password.replace('\'', "''");
    let done = client.batch_execute(&format!("ALTER ROLE \"{role}\" PASSWORD '{quoted}'")).await;
    drop(client);
    // The connection ends with its client; how does not matter any more.
    let _ = connection.await;
    done?;
    if let Some(server) = lock(&state.fixes.servers.0).get_mut(key) {
        server.password = password.to_owned();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_shows_its_server() {
        let text = "<DBInstance><DBInstanceStatus>available</DBInstanceStatus><Endpoint><Address>a</Address><Port>5432</Port></Endpoint></DBInstance>";
        let shown = |phase: Phase| {
            let mut instance = Element::parse(text).unwrap();
            show(&mut instance, &phase);
            (instance.get("DBInstanceStatus").unwrap(), instance.get("Endpoint/Port"))
        };
        assert_eq!(shown(Phase::Starting), ("creating".into(), None));
        assert_eq!(shown(Phase::Running("127.0.0.1".into(), 9)), ("available".into(), Some("9".into())));
        assert_eq!(shown(Phase::Failed), ("failed".into(), None));
    }
}
