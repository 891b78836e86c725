//! Roles and databases in a real server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod tls_proxy;

use causeway_core::{
    Engine, Error, Registry, Secret, Stack, Tags,
    plan::{Action, PlanOptions},
    store::MemoryStore,
    testing::Lifecycle,
};
use causeway_postgres::{Database, Passwords, Role, Server, Way};
use causeway_sandbox::postgres::{Master, Postgres};
use futures::future::BoxFuture;
use std::{net::SocketAddr, sync::Arc};

/// With all that a URL, a shell and a statement trip over.
const FIRST: &str = r#"p@ss/w%rd'\:"x $1;--"#;
const SECOND: &str = "another-password";
const MASTER: Master<'_> = Master { user: "coder", password: "master-password", database: Some("coder") };

/// `first` and `second` are names; the master's is JSON, as RDS keeps it.
struct Known;

impl Passwords for Known {
    fn password<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Secret, Error>> {
        let password = match name {
            "master" => r#"{"username":"coder","password":"master-password"}"#,
            "first" => FIRST,
            "second" => SECOND,
            "changed" => "what the master's is to become",
            other => return Box::pin(async move { Err(Error::Invalid(format!("no password `{other}`"))) }),
        };
        Box::pin(async move { Ok(Secret::new(password)) })
    }

    fn previous<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Secret>, Error>> {
        let previous = (name == "changed").then(|| Secret::new("master-password"));
        Box::pin(async move { Ok(previous) })
    }
}

async fn server(name: &str) -> Postgres {
    let sandbox = causeway_sandbox::shared().unwrap_or_else(|e| panic!("{}", causeway_core::error::chain(e)));
    sandbox.postgres(name, MASTER).await.unwrap()
}

fn registry() -> Registry {
    by(Way::default())
}

fn by(way: Way) -> Registry {
    let mut registry = Registry::new();
    causeway_postgres::register(&mut registry, way, Arc::new(Known));
    registry
}

fn at(address: SocketAddr) -> Server {
    Server {
        address: address.ip().to_string().into(),
        port: i32::from(address.port()).into(),
        user: "coder".into(),
        password: "master".to_owned().into(),
        database: "postgres".into(),
    }
}

fn role(password: &str) -> Role {
    Role {
        name: "litellm".into(),
        password: Some(password.into()),
        password_version: None,
        connection_limit: Some(20),
        tags: Tags::from([("team", "o'hara")]),
    }
}

fn stack(server: &Server, role: Role, public_connect: Option<bool>) -> Stack {
    let mut stack = Stack::new("inside");
    stack.at(server, |stack| {
        let role = stack.add("role", role);
        let database = Database {
            name: "Litellm".into(),
            owner: role.name.clone(),
            public_connect,
            tags: Tags::default(),
        };
        stack.add("database", database);
    });
    stack
}

/// Whether `user` gets into `database`, and what the error is otherwise.
async fn enters(server: &Postgres, user: &str, password: &str, database: &str) -> Result<(), String> {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(server.address().port()).user(user).password(password).dbname(database);
    let (client, connection) = config
        .connect(tokio_postgres::NoTls)
        .await
        .map_err(|e| e.as_db_error().map_or_else(|| e.to_string(), |said| said.code().code().to_owned()))?;
    let connection = tokio::spawn(connection);
    let made = client.batch_execute("CREATE TABLE IF NOT EXISTS kept (id int)").await;
    drop(client);
    let _ = connection.await;
    made.map_err(|e| e.to_string())
}

#[tokio::test]
async fn a_role_and_its_database_live_change_and_go() {
    let postgres = server("life").await;
    postgres.query("CREATE ROLE other LOGIN PASSWORD 'other'").await.unwrap();
    let server = at(postgres.address());
    let mut life = Lifecycle::start(registry(), stack(&server, role("first"), Some(false))).await;

    assert_eq!(enters(&postgres, "litellm", FIRST, "Litellm").await, Ok(()));
    assert_eq!(enters(&postgres, "litellm", "wrong", "Litellm").await, Err("28P01".into()));
    assert_eq!(enters(&postgres, "other", "other", "Litellm").await, Err("42501".into()));
    let kept = postgres.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'litellm'").await.unwrap();
    assert!(kept.starts_with("SCRAM-SHA-256$"), "{kept}");
    let comment = "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'litellm'";
    let comment = postgres.query(comment).await.unwrap();
    assert!(comment.contains(r#""causeway:address":"role""#) && comment.contains("o'hara"), "{comment}");

    life.drift("given to everybody", "database", async {
        postgres.query(r#"GRANT CONNECT ON DATABASE "Litellm" TO PUBLIC"#).await.unwrap();
    })
    .await;
    assert_eq!(enters(&postgres, "other", "other", "Litellm").await, Err("42501".into()));
    life.drift("another owner", "database", async {
        postgres.query(r#"ALTER DATABASE "Litellm" OWNER TO coder"#).await.unwrap();
    })
    .await;
    life.drift("no limit", "role", async {
        postgres.query("ALTER ROLE litellm CONNECTION LIMIT -1").await.unwrap();
    })
    .await;

    let steps = life.change("another password", stack(&server, role("second"), Some(false))).await;
    assert_eq!(steps, [("role".into(), Action::Update)]);
    assert_eq!(enters(&postgres, "litellm", SECOND, "Litellm").await, Ok(()));
    assert_eq!(enters(&postgres, "litellm", FIRST, "Litellm").await, Err("28P01".into()));

    let open = Role { connection_limit: None, tags: Tags::default(), ..role("second") };
    life.change("open to all", stack(&server, open, Some(true))).await;
    life.end().await;
    let left = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname = 'litellm') + \
                (SELECT count(*) FROM pg_database WHERE datname = 'Litellm')";
    assert_eq!(postgres.query(left).await.unwrap(), "0");
}

#[tokio::test]
async fn what_somebody_else_made_is_not_taken_unasked() {
    let postgres = server("theirs").await;
    postgres.query("CREATE ROLE litellm LOGIN; COMMENT ON ROLE litellm IS 'by hand'").await.unwrap();
    let engine = Engine::new(registry(), Arc::new(MemoryStore::default()));
    let stack = stack(&at(postgres.address()), role("first"), None);
    let text = match engine.plan(&stack, &PlanOptions::default()).await {
        Err(error) => causeway_core::error::chain(&error),
        Ok(planned) => format!("{:?}", planned.plan),
    };
    assert!(text.contains("role") && text.contains("there"), "{text}");
    let comment = "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'litellm'";
    assert_eq!(postgres.query(comment).await.unwrap(), "by hand");
}

#[tokio::test]
async fn a_password_that_the_server_was_not_told_yet_is_no_obstacle() {
    let postgres = server("changed").await;
    let plan = async |password: &str| {
        let engine = Engine::new(registry(), Arc::new(MemoryStore::default()));
        let server = Server { password: password.to_owned().into(), ..at(postgres.address()) };
        let planned = engine.plan(&stack(&server, role("first"), None), &PlanOptions::default()).await;
        planned.map(|p| p.plan.steps.len()).map_err(|e| causeway_core::error::chain(&e))
    };
    assert_eq!(plan("changed").await, Ok(2));
    // It stood for nothing else before.
    let refused = plan("first").await.unwrap_err();
    assert!(refused.contains("28P01"), "{refused}");
}

#[tokio::test]
async fn a_server_shows_who_it_is_before_it_gets_a_password() {
    let postgres = server("secret").await;
    let proxy = tls_proxy::start(postgres.address()).await;
    let certificates = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");
    let plan = async |name: &str, roots: &str| {
        let way = Way {
            root_certificates: Some(format!("{certificates}/{roots}").into()),
            through: Some(proxy.to_string()),
        };
        let engine = Engine::new(by(way), Arc::new(MemoryStore::default()));
        let server = Server { address: name.to_owned().into(), ..at(postgres.address()) };
        let planned = engine.plan(&stack(&server, role("first"), None), &PlanOptions::default()).await;
        planned.map(|p| p.plan.steps.len()).map_err(|e| causeway_core::error::chain(&e))
    };
    assert_eq!(plan("db.internal", "ca.pem").await, Ok(2));
    let wrong = plan("db.internal", "other.pem").await.unwrap_err();
    assert!(wrong.contains("UnknownIssuer"), "{wrong}");
    let wrong = plan("other.internal", "ca.pem").await.unwrap_err();
    assert!(wrong.contains("not valid for name"), "{wrong}");
    let wrong = plan("db.internal", "none.pem").await.unwrap_err();
    assert!(wrong.contains("none.pem cannot be used"), "{wrong}");
}
