//! The sandbox as its users see it: through boto3, HTTP, PostgreSQL's own protocol and the list of processes.

#![expect(clippy::unwrap_used, reason = "a failed test may panic anywhere, also in what its functions share")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use causeway_sandbox::background::{self, Running};
use causeway_sandbox::cache::Cache;
use causeway_sandbox::postgres::Master;
use causeway_sandbox::{Options, Sandbox, Task, install, shared};
use serde_json::{Value, json};

const IMAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/image.py");

fn warm() -> &'static Sandbox {
    shared().unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(error)))
}

/// Runs Python with boto3 against the sandbox as `account`; the script leaves its answer in `answer`.
fn boto3(sandbox: &Sandbox, account: &str, script: &str) -> Value {
    let (key, secret) = sandbox.credentials(account).unwrap();
    let prelude = "import boto3, botocore, json, sys, time\n\
        def client(name, **more): return boto3.client(name, **more)\n\
        def refused(call, **arguments):\n    \
            try: call(**arguments); return None\n    \
            except botocore.exceptions.ClientError as error: return error.response['Error']['Code']\n";
    let script = format!("{prelude}{script}\njson.dump(answer, sys.stdout, default=str)\n");
    let output = Command::new(&sandbox.installed().python)
        .args(["-c", &script])
        .envs(sandbox.env())
        .env("AWS_ACCESS_KEY_ID", key)
        .env("AWS_SECRET_ACCESS_KEY", secret)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn push(sandbox: &Sandbox, registry: &str, name: &str) -> String {
    let output = Command::new(&sandbox.installed().python).args([IMAGE, registry, name]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The processes that belong to a run folder: it is in their environment or in their arguments.
fn processes(run: &Path) -> Vec<String> {
    let run = run.to_str().unwrap().as_bytes();
    let contains = |bytes: &[u8]| bytes.windows(run.len()).any(|part| part == run);
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let own = std::process::id().to_string();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|entry| entry.file_name().to_string_lossy() != own)
        .filter_map(|entry| {
            let arguments = std::fs::read(entry.path().join("cmdline")).ok()?;
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            let shown = format!(
                "{} {}",
                entry.file_name().display(),
                String::from_utf8_lossy(&arguments).replace('\0', " ")
            );
            (contains(&arguments) || contains(&environment)).then_some(shown)
        })
        .collect()
}

#[test]
fn one_address_serves_both_emulators() {
    let answer = boto3(
        warm(),
        "000000000001",
        "client('s3').create_bucket(Bucket='first')\n\
         client('s3').put_object(Bucket='first', Key='k', Body=b'v')\n\
         vpc = client('ec2').create_vpc(CidrBlock='10.9.0.0/16')['Vpc']\n\
         answer = [client('sts').get_caller_identity()['Account'],\n\
                   client('s3').get_object(Bucket='first', Key='k')['Body'].read().decode(),\n\
                   vpc['OwnerId'],\n\
                   client('iam').get_policy(PolicyArn='arn:aws:iam::aws:policy/ReadOnlyAccess')['Policy']['PolicyName'],\n\
                   client('route53').list_hosted_zones()['HostedZones'],\n\
                   client('ecs').create_cluster(clusterName='c')['cluster']['clusterArn']]",
    );
    let cluster = "arn:aws:ecs:us-east-1:000000000001:cluster/c";
    assert_eq!(answer, json!(["000000000001", "v", "000000000001", "ReadOnlyAccess", [], cluster]));
}

#[test]
fn accounts_and_regions_share_nothing() {
    let make = "client('ec2').create_vpc(CidrBlock='10.7.0.0/16')\n\
                client('ecs').create_cluster(clusterName='mine')\n\
                client('kms').create_key()\nanswer = None";
    let look = "def all(region): return [\n\
                    len([v for v in client('ec2', region_name=region).describe_vpcs()['Vpcs'] if not v['IsDefault']]),\n\
                    len(client('ecs', region_name=region).list_clusters()['clusterArns']),\n\
                    len(client('kms', region_name=region).list_keys()['Keys'])]\n\
                answer = [all('us-east-1'), all('eu-west-1')]";
    boto3(warm(), "000000000002", make);
    assert_eq!(boto3(warm(), "000000000002", look), json!([[1, 1, 1], [0, 0, 0]]));
    assert_eq!(boto3(warm(), "000000000003", look), json!([[0, 0, 0], [0, 0, 0]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sandboxes_run_side_by_side_and_leave_nothing() {
    let (one, other) = tokio::join!(Sandbox::start(Options::default()), Sandbox::start(Options::default()));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.endpoint(), other.endpoint());
    boto3(&one, "123456789012", "client('s3').create_bucket(Bucket='bucket')\nanswer = None");
    let buckets = "answer = [b['Name'] for b in client('s3').list_buckets()['Buckets']]";
    assert_eq!(boto3(&one, "123456789012", buckets), json!(["bucket"]));
    assert_eq!(boto3(&other, "123456789012", buckets), json!([]));
    let run = one.run_dir().to_owned();
    assert!(!processes(&run).is_empty());
    one.stop().await;
    assert_eq!(processes(&run), Vec::<String>::new());
    assert!(!run.exists());
    assert_eq!(boto3(&other, "123456789012", buckets), json!([]));
    let run = other.run_dir().to_owned();
    drop(other);
    assert_eq!(processes(&run), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_are_real_and_ask_for_the_password() {
    let master = Master { user: "coder", password: "it's \\ a secret", database: Some("coder") };
    let server = warm().postgres("plain", master).await.unwrap();
    let connect = async |password: &str| {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(server.address().port())
            .user("coder")
            .password(password)
            .dbname("coder");
        let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        client.batch_execute("CREATE TABLE t (n int); DROP TABLE t;").await?;
        client
            .query_one("SELECT rolsuper FROM pg_roles WHERE rolname = 'coder'", &[])
            .await?
            .try_get::<_, bool>(0)
    };
    assert!(!connect("it's \\ a secret").await.unwrap());
    assert!(connect("wrong").await.is_err());
    server.set_password("coder", "another").await.unwrap();
    assert!(connect("it's \\ a secret").await.is_err());
    assert!(!connect("another").await.unwrap());
    assert!(server.query("SELECT version()").await.unwrap().starts_with("PostgreSQL 18"));
    assert!(server.query("SELECT * FROM missing").await.is_err());
    server.stop().await;
}

/// Makes a cluster, a repository with an image and a service with one task of it.
fn service(account: &str, image: &str) -> String {
    let (repository, tag) = image.split_once(':').unwrap();
    let sandbox = warm();
    boto3(
        sandbox,
        account,
        &format!("client('ecr').create_repository(repositoryName='{repository}')\nanswer = None"),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let registry = runtime.block_on(sandbox.fakecloud(account, "us-east-1")).unwrap();
    let digest = push(sandbox, &registry, image);
    let uri = format!("{account}.dkr.ecr.us-east-1.amazonaws.com/{repository}");
    let script = format!(
        "ecs = client('ecs')\n\
         ecs.create_cluster(clusterName='c')\n\
         client('logs').create_log_group(logGroupName='/coder')\n\
         ecs.register_task_definition(family='coder', networkMode='awsvpc', requiresCompatibilities=['FARGATE'], cpu='512', memory='1024',\n\
           taskRoleArn='arn:aws:iam::{account}:role/task', executionRoleArn='arn:aws:iam::{account}:role/execution',\n\
           containerDefinitions=[dict(name='coder', image='{uri}:{tag}', essential=True, portMappings=[dict(containerPort=3000)],\n\
             environment=[dict(name='CODER_HTTP_ADDRESS', value='0.0.0.0:3000'), dict(name='CODER_ACCESS_URL', value='https://coder.example.com')],\n\
             healthCheck=dict(command=['CMD-SHELL', 'curl -fs http://localhost:3000/healthz || exit 1'], interval=5, retries=1, startPeriod=0),\n\
             logConfiguration=dict(logDriver='awslogs', options={{'awslogs-group': '/coder', 'awslogs-region': 'us-east-1', 'awslogs-stream-prefix': 'coder'}}))])\n\
         ecs.create_service(cluster='c', serviceName='coder', taskDefinition='coder', desiredCount=1, launchType='FARGATE',\n\
           networkConfiguration=dict(awsvpcConfiguration=dict(subnets=['subnet-1'])))\n\
         answer = None"
    );
    boto3(sandbox, account, &script);
    digest
}

fn tasks_of(image: &str) -> Vec<Task> {
    warm().tasks().into_iter().filter(|task| task.image.contains(image)).collect()
}

/// What DescribeTasks says of the tasks of service `coder`: status, exit code, health, reasons, digest.
fn described(account: &str, status: &str) -> Vec<Value> {
    let script = format!(
        "ecs = client('ecs')\n\
         arns = ecs.list_tasks(cluster='c', desiredStatus='{status}')['taskArns']\n\
         answer = ecs.describe_tasks(cluster='c', tasks=arns)['tasks'] if arns else []"
    );
    boto3(warm(), account, &script).as_array().unwrap().clone()
}

#[test]
fn a_service_runs_a_task_that_answers_on_its_port() {
    let account = "000000000004";
    let digest = service(account, "serving:v2.33.1");
    let limit = Duration::from_secs(90);
    let port = until(limit, "a task", || {
        tasks_of("serving").first().and_then(|task| task.ports.get(&3000).copied())
    });
    let (status, body) = until(limit, "an answer", || get(port, "/healthz"));
    assert_eq!((status, body.as_str()), (200, "OK"));
    let build: Value = serde_json::from_str(&get(port, "/api/v2/buildinfo").unwrap().1).unwrap();
    assert_eq!(
        (&build["version"], &build["dashboard_url"]),
        (&json!("v2.33.1"), &json!("https://coder.example.com"))
    );
    let task = until(limit, "health", || {
        described(account, "RUNNING")
            .into_iter()
            .find(|task| task["containers"][0]["healthStatus"] == "HEALTHY")
    });
    assert_eq!(task["lastStatus"], "RUNNING");
    assert_eq!(task["containers"][0]["imageDigest"], digest.as_str());
    let log = &tasks_of("serving")[0].log;
    assert!(log.contains("CODER_ACCESS_URL") && log.contains("Started HTTP listener"), "{log}");
    let stream = format!("coder/coder/{}", task["taskArn"].as_str().unwrap().rsplit('/').next().unwrap());
    let logs = format!(
        "answer = [e['message'] for e in client('logs').get_log_events(logGroupName='/coder', logStreamName='{stream}')['events']]"
    );
    until(limit, "the log of the running task", || {
        boto3(warm(), account, &logs).to_string().contains("Started HTTP listener").then_some(())
    });

    let stop = format!(
        "client('ecs').update_service(cluster='c', service='coder', desiredCount=0)\n\
                        answer = client('ecs').stop_task(cluster='c', task={})['task']['desiredStatus']",
        task["taskArn"]
    );
    assert_eq!(boto3(warm(), account, &stop), "STOPPED");
    until(limit, "the end", || get(port, "/healthz").is_none().then_some(()));
    until(limit, "the last line of the log, once", || {
        let lines = boto3(warm(), account, &logs);
        let lines = lines.as_array().unwrap();
        (lines.iter().filter(|line| line.to_string().contains("gracefully exiting")).count() == 1)
            .then_some(())
    });
}

#[test]
fn an_image_that_crashes_stops_with_its_exit_code_and_its_log() {
    let account = "000000000005";
    service(account, "coder-crash:v1");
    let task = until(Duration::from_secs(90), "a stopped task", || {
        described(account, "STOPPED").into_iter().find(|task| task["containers"][0]["exitCode"] == 1)
    });
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    let logs =
        "answer = [e['message'] for e in client('logs').filter_log_events(logGroupName='/coder')['events']]";
    assert!(boto3(warm(), account, logs).to_string().contains("crashes on purpose"));
}

#[test]
fn an_image_that_is_not_in_the_registry_cannot_be_pulled() {
    let account = "000000000006";
    let script = format!(
        "ecs = client('ecs')\n\
         ecs.create_cluster(clusterName='c')\n\
         client('ecr').create_repository(repositoryName='empty')\n\
         ecs.register_task_definition(family='coder', containerDefinitions=[dict(name='coder', memory=128,\n\
           image='{account}.dkr.ecr.us-east-1.amazonaws.com/empty:v9')])\n\
         answer = ecs.run_task(cluster='c', taskDefinition='coder')['failures']"
    );
    assert_eq!(boto3(warm(), account, &script), json!([]));
    let task =
        until(Duration::from_secs(90), "a stopped task", || described(account, "STOPPED").into_iter().next());
    let reasons = task.to_string();
    assert!(reasons.contains("manifest unknown"), "{reasons}");
    assert_eq!(tasks_of("empty"), []);
}

#[test]
#[ignore = "compiles fakecloud, which takes about ten minutes"]
fn everything_installs_into_an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let start = Instant::now();
    let mut steps = Vec::new();
    let mut report = |progress: install::Progress<'_>| match progress.line {
        None => {
            println!("{}/{} {} {:?}", progress.number, progress.of, progress.step, start.elapsed());
            steps.push(progress.number);
        }
        Some(line) => println!("    {line}"),
    };
    let installed = install::install(&cache, &mut report).unwrap();
    println!("installed after {:?}", start.elapsed());
    assert_eq!(steps, [1, 2, 3]);
    assert_eq!(install::installed(&cache).as_ref(), Some(&installed));
    assert!(!folder.path().join("staging").exists());
    for (program, argument) in
        [(&installed.fakecloud, "--version"), (&installed.postgres.join("postgres"), "--version")]
    {
        assert!(Command::new(program).arg(argument).status().unwrap().success());
    }
    let options = || Options { cache: Some(cache.clone()), ..Options::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { Sandbox::start(options()).await.unwrap().stop().await });
}

#[test]
fn a_log_group_that_does_not_exist_keeps_a_task_from_starting() {
    let account = "000000000007";
    let script = "ecs = client('ecs')\n\
         ecs.create_cluster(clusterName='c')\n\
         ecs.register_task_definition(family='coder', containerDefinitions=[dict(name='coder', memory=128,\n\
           image='ghcr.io/coder/coder:v2', logConfiguration=dict(logDriver='awslogs',\n\
             options={'awslogs-group': '/nowhere', 'awslogs-region': 'us-east-1', 'awslogs-stream-prefix': 'p'}))])\n\
         answer = ecs.run_task(cluster='c', taskDefinition='coder')['failures']";
    assert_eq!(boto3(warm(), account, script), json!([]));
    let task =
        until(Duration::from_secs(90), "a stopped task", || described(account, "STOPPED").into_iter().next());
    assert!(task.to_string().contains("The specified log group does not exist"), "{task}");
}

/// Not a test: the victim of the next one, which runs this binary again.
#[test]
#[ignore = "started by nothing_is_left_after_kill_9"]
fn victim() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let sandbox = Sandbox::start(Options::default()).await.unwrap();
        let master = Master { user: "coder", password: "p", database: None };
        let server = sandbox.postgres("one", master).await.unwrap();
        let script = "ecs = client('ecs')\n\
             ecs.create_cluster(clusterName='c')\n\
             ecs.register_task_definition(family='coder', containerDefinitions=[dict(name='coder', image='public.ecr.aws/coder/coder:v1', memory=128)])\n\
             ecs.run_task(cluster='c', taskDefinition='coder')\nanswer = None";
        boto3(&sandbox, "123456789012", script);
        until(Duration::from_secs(90), "a task", || (!sandbox.tasks().is_empty()).then_some(()));
        println!("up {} {}", sandbox.run_dir().display(), server.address());
        std::future::pending::<()>().await;
    });
}

#[test]
fn nothing_is_left_after_kill_9() {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let line = lines
        .into_iter()
        .find_map(|line| line.split_once("up /").map(|(_, rest)| format!("/{rest}")))
        .unwrap();
    let run = Path::new(line.split(' ').next().unwrap()).to_owned();
    // The container may be there before what it runs.
    until(Duration::from_secs(60), "all that a sandbox runs", || {
        let there = processes(&run).join("\n");
        let parts = ["moto_server.py", "fakecloud", "postgres", "coder.py", "supervise.py"];
        parts.iter().all(|part| there.contains(part)).then_some(())
    });
    victim.kill().unwrap();
    victim.wait().unwrap();
    let start = Instant::now();
    until(Duration::from_secs(60), "the end of all", || processes(&run).is_empty().then_some(()));
    println!("gone {:?} after kill -9", start.elapsed());
    // The next sandbox, which may be another test's, clears the remains away.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { Sandbox::start(Options::default()).await.unwrap().stop().await });
    assert!(!run.exists());
}

/// Not a test: what `deploy sandbox up` starts in the background.
#[test]
#[ignore = "started by a_sandbox_stays_in_the_background_until_it_is_taken_down"]
fn keeper() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let name = Some(std::env::var("KEEPER").unwrap());
    runtime.block_on(background::serve(Options { name, ..Options::default() })).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sandbox_stays_in_the_background_until_it_is_taken_down() {
    let cache = Cache::find().unwrap();
    let name = format!("test-{}", std::process::id());
    let command = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "keeper", "--ignored"]).env("KEEPER", &name);
        command
    };
    assert_eq!(Running::find(&cache, &name), None);
    let start = Instant::now();
    let running = background::up(&cache, &name, command()).await.unwrap();
    println!("up after {:?}", start.elapsed());
    assert_eq!(Running::find(&cache, &name).as_ref(), Some(&running));
    assert!(Running::all(&cache).contains(&running));
    assert!(background::up(&cache, &name, command()).await.is_err());
    let port = running.endpoint.rsplit(':').next().unwrap().parse().unwrap();
    let health = tokio::task::spawn_blocking(move || get(port, "/_causeway/health")).await.unwrap();
    assert_eq!(health.unwrap().0, 200);
    running.down().await.unwrap();
    assert_eq!(Running::find(&cache, &name), None);
    assert_eq!(processes(&running.run_dir), Vec::<String>::new());
    std::fs::remove_file(running.run_dir.with_extension("log")).unwrap();
}
