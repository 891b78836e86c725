//! Child processes that cannot outlive us: each runs under a small supervisor that ends it, and everything that it started,
//! when the pipe to us breaks, however we end.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Error;
use crate::gateway::lock;
use crate::kubernetes::Client;
use crate::user::User;

/// How long a server may take until it answers. Idle machines need a tenth of it.
const READY: Duration = Duration::from_secs(60);
/// How often we ask a server that starts.
const ASK: Duration = Duration::from_millis(20);
/// Another program may take a free port between our choice and its use.
const PORT_TRIES: u32 = 3;
/// How much of a log an error shows.
const LOG_LINES: usize = 15;

/// What is to run.
pub(crate) struct Program {
    /// For messages, like `moto`.
    pub(crate) name: String,
    pub(crate) command: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// All of its environment, apart from `PATH`, `HOME` and the locale: settings of the same programs that happen to be in
    /// ours must not change a sandbox.
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) log: PathBuf,
    pub(crate) user: Option<User>,
    /// The signal that ends it in an orderly way, without `SIG`.
    pub(crate) signal: &'static str,
    /// How long that may take before it is killed.
    pub(crate) grace: Duration,
}

/// A running program and its supervisor. Dropping it ends both, and waits for that.
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    supervisor: Child,
    order: Option<ChildStdin>,
    grace: Duration,
}

/// What every process needs: an interpreter, the folder of our programs, the run folder.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) python: PathBuf,
    pub(crate) run: PathBuf,
}

impl Ground {
    pub(crate) fn programs(&self) -> PathBuf {
        self.run.join("programs")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.run.join("containers")
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.run.join("logs").join(format!("{name}.log"))
    }

    /// Starts a program.
    pub(crate) fn spawn(&self, program: &Program) -> Result<Process, Error> {
        let spawn = |source| Error::Spawn { program: program.name.clone(), source };
        let log = File::options().create(true).append(true).open(&program.log).map_err(spawn)?;
        let mut command = Command::new(&self.python);
        command.args(["-I", "-S"]).arg(self.programs().join("supervise.py"));
        if let Some(user) = program.user {
            command.arg("--user").arg(format!("{}:{}", user.uid, user.gid));
        }
        command.args(["--signal", program.signal, "--grace", &program.grace.as_secs_f64().to_string(), "--"]);
        command.arg(&program.command).args(&program.arguments).env_clear();
        for name in ["PATH", "HOME", "LANG", "LC_ALL"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(program.environment.iter().map(|(name, value)| (name, value)));
        command.env("CAUSEWAY_RUN", &self.run).env("TMPDIR", self.run.join("tmp")).current_dir(&self.run);
        // Its own group: the terminal's Ctrl-C is for us, and we tell it what that means.
        command.process_group(0).stdin(Stdio::piped());
        command.stdout(log.try_clone().map_err(spawn)?).stderr(log);
        let mut supervisor = command.spawn().map_err(spawn)?;
        let order = supervisor.stdin.take();
        Ok(Process {
            name: program.name.clone(),
            log: program.log.clone(),
            supervisor,
            order,
            grace: program.grace,
        })
    }

    /// Starts a server on a free port of 127.0.0.1 and waits until it answers.
    pub(crate) async fn serve(
        &self,
        check: &Check,
        program: impl Fn(u16) -> Program + Send + Sync,
    ) -> Result<(Process, SocketAddr), Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let address =
                free_address().map_err(|source| Error::Spawn { program: "a server".into(), source })?;
            let program = program(address.port());
            let mut process = self.spawn(&program)?;
            match ready(&mut process, &program, check, address).await {
                Ok(()) => return Ok((process, address)),
                Err(Error::Died { .. }) if tries < PORT_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// How a server shows that it is ready.
pub(crate) enum Check {
    /// It answers `GET` of this path.
    Http(&'static str),
    /// This `pg_isready` says so.
    Postgres(PathBuf),
    /// It is an API server of Kubernetes and says so to this client.
    Ready(Client),
}

impl Check {
    async fn passes(&self, address: SocketAddr) -> bool {
        match self {
            Check::Http(path) => status(address, path).await.is_ok(),
            Check::Postgres(program) => {
                let mut ask = tokio::process::Command::new(program);
                ask.args(["-q", "-h", "127.0.0.1", "-p", &address.port().to_string()]).env_clear();
                ask.status().await.is_ok_and(|status| status.success())
            }
            Check::Ready(client) => client.at(format!("https://{address}")).ready().await,
        }
    }
}

async fn ready(
    process: &mut Process,
    program: &Program,
    check: &Check,
    address: SocketAddr,
) -> Result<(), Error> {
    let start = Instant::now();
    loop {
        if let Some(status) = process.exited() {
            return Err(Error::Died { program: program.name.clone(), status, log: tail(&program.log) });
        }
        if check.passes(address).await {
            return Ok(());
        }
        if start.elapsed() > READY {
            return Err(Error::NotReady {
                program: program.name.clone(),
                after: READY,
                log: tail(&program.log),
            });
        }
        tokio::time::sleep(ASK).await;
    }
}

/// The processes of a sandbox, which end with it also when somebody still works with them.
#[derive(Clone)]
pub(crate) struct Processes {
    /// `None` after the end: what is added then ends at once.
    running: Arc<Mutex<Option<Vec<Process>>>>,
}

impl Processes {
    pub(crate) fn new() -> Processes {
        Processes { running: Arc::new(Mutex::new(Some(Vec::new()))) }
    }

    pub(crate) fn add(&self, process: Process) {
        if let Some(running) = &mut *lock(&self.running) {
            running.push(process);
        }
    }

    /// The names of those that have ended by themselves, with the last lines of their logs.
    pub(crate) fn ended(&self) -> Vec<(String, String)> {
        let mut running = lock(&self.running);
        let ended = running
            .iter_mut()
            .flatten()
            .filter_map(|process| process.exited().map(|_| (process.name.clone(), tail(&process.log))));
        ended.collect()
    }

    /// Tells those to end whose names begin like this, and waits until nothing of them is left.
    pub(crate) fn stop(&self, prefix: &str) {
        let mut running = lock(&self.running);
        let mut ending: Vec<Process> = running
            .iter_mut()
            .flat_map(|all| all.extract_if(.., |one| one.name.starts_with(prefix)))
            .collect();
        drop(running);
        ending.iter_mut().for_each(Process::end);
    }

    /// Tells all of them to end and hands them out, to be waited for.
    pub(crate) fn end(&self) -> Vec<Process> {
        let mut ending = lock(&self.running).take().unwrap_or_default();
        for process in &mut ending {
            process.end();
        }
        ending
    }
}

impl Process {
    /// Gives the order to end, without waiting.
    pub(crate) fn end(&mut self) {
        self.order = None;
    }

    /// How the program ended, if it has.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.supervisor.try_wait().ok().flatten()
    }

    /// Ends the program and waits until nothing of it is left.
    pub(crate) async fn stop(mut self) {
        // `drop` would wait too, and hold an executor's thread.
        self.end();
        let end = Instant::now() + self.patience();
        while self.exited().is_none() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn patience(&self) -> Duration {
        self.grace + Duration::from_secs(2)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        let end = Instant::now() + self.patience();
        while self.exited().is_none() {
            if Instant::now() >= end {
                // Its death is the signal for its child to die.
                let _ = self.supervisor.kill();
                let _ = self.supervisor.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// An address of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// The status of `GET path`.
async fn status(address: SocketAddr, path: &str) -> io::Result<u16> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let line = String::from_utf8_lossy(answer.get(..12).unwrap_or_default()).into_owned();
        let status =
            line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
        status.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    };
    tokio::time::timeout(Duration::from_secs(5), ask).await?
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
