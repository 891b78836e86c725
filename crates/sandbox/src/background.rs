//! A sandbox that stays, for people: a process of its own keeps it, a file in its run folder says where it is.
//!
//! The program that offers this starts itself again with an argument of its own choice, and calls [`serve`] when it sees it.
//! A sandbox is asked to end by a file in its run folder, and known to be alive by the lock it holds: no process ids are trusted.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cache::{Cache, Lock};
use crate::cloudflare::Place;
use crate::{Error, LOCK, Options, Sandbox, environment, supervise};

/// The name that people's sandbox has unless they choose another.
pub const NAME: &str = "default";

const STATE: &str = "sandbox.json";
const STOP: &str = "stop";
/// How often a sandbox looks whether it is to end, and we whether it has.
const LOOK: Duration = Duration::from_millis(100);
/// An orderly end takes under a second; databases get five.
const END: Duration = Duration::from_secs(20);

/// A sandbox that runs in the background.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// The address of the gateway.
    pub endpoint: String,
    /// Where its edge serves distributions.
    pub edge: SocketAddr,
    /// Where its Cloudflare is.
    pub cloudflare: Place,
    /// Its region.
    pub region: String,
    /// The process that keeps it; for people to read.
    pub pid: u32,
    /// When it was up.
    pub started: jiff::Timestamp,
    /// Its run folder.
    pub run_dir: PathBuf,
}

impl Running {
    /// Finds a sandbox that runs. `None` if there is none of that name, or only the remains of one.
    pub fn find(cache: &Cache, name: &str) -> Option<Running> {
        let folder = cache.runs().join(name);
        let running = serde_json::from_str(&fs::read_to_string(folder.join(STATE)).ok()?).ok()?;
        Lock::is_held(&folder.join(LOCK)).then_some(running)
    }

    /// All that run, by name.
    pub fn all(cache: &Cache) -> Vec<Running> {
        let entries = fs::read_dir(cache.runs()).into_iter().flatten().flatten();
        let mut found: Vec<Running> =
            entries.filter_map(|entry| Running::find(cache, entry.file_name().to_str()?)).collect();
        found.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }

    /// The environment in which AWS programs, Cloudflare's libraries and viewers of distributions reach it.
    pub fn env(&self) -> Vec<(String, String)> {
        environment(&self.endpoint, &self.region, &self.cloudflare, self.edge)
    }

    /// Ends it and waits until it has ended.
    ///
    /// # Errors
    ///
    /// [`Error::RunFolder`] if it cannot be asked, [`Error::NotReady`] if it does not end.
    pub async fn down(&self) -> Result<(), Error> {
        let failed = |source| Error::RunFolder { path: self.run_dir.clone(), source };
        match fs::write(self.run_dir.join(STOP), "") {
            // It has ended meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            result => result.map_err(failed)?,
        }
        let start = Instant::now();
        while Lock::is_held(&self.run_dir.join(LOCK)) {
            if start.elapsed() > END {
                let log = supervise::tail(&log(&self.run_dir));
                return Err(Error::NotReady {
                    program: format!("the end of sandbox {}", self.name),
                    after: END,
                    log,
                });
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// Starts a sandbox in the background and waits until it is up. `program` is the command that calls [`serve`] with the same
/// options; it should have installed everything before, where people see the progress.
///
/// # Errors
///
/// [`Error::Running`] if there is one of that name, [`Error::Died`] if it ends before it is up.
pub async fn up(cache: &Cache, name: &str, mut program: Command) -> Result<Running, Error> {
    if Lock::is_held(&cache.runs().join(name).join(LOCK)) {
        return Err(Error::Running { name: name.to_owned() });
    }
    let spawn = |source| Error::Spawn { program: format!("sandbox {name}"), source };
    fs::create_dir_all(cache.runs()).map_err(spawn)?;
    // Beside the folder, which is made anew and removed at the end.
    let path = log(&cache.runs().join(name));
    let output = fs::File::create(&path).map_err(spawn)?;
    program.stdin(Stdio::null()).stdout(output.try_clone().map_err(spawn)?).stderr(output);
    // A group of its own: it stays when the terminal's programs are interrupted.
    std::os::unix::process::CommandExt::process_group(&mut program, 0);
    let mut child = program.spawn().map_err(spawn)?;
    loop {
        if let Some(running) = Running::find(cache, name) {
            return Ok(running);
        }
        if let Some(status) = child.try_wait().map_err(spawn)? {
            return Err(Error::Died {
                program: format!("sandbox {name}"),
                status,
                log: supervise::tail(&path),
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Keeps a sandbox until it is asked to end by [`Running::down`], by Ctrl-C or by SIGTERM. `options.name` names it.
///
/// # Errors
///
/// What [`Sandbox::start`] fails with.
pub async fn serve(mut options: Options) -> Result<(), Error> {
    let name = options.name.get_or_insert_with(|| NAME.to_owned()).clone();
    let sandbox = Sandbox::start(options).await?;
    let folder = sandbox.run_dir().to_owned();
    let running = Running {
        name,
        endpoint: sandbox.endpoint().to_owned(),
        edge: sandbox.edge().address(),
        cloudflare: sandbox.cloudflare_place().clone(),
        region: sandbox.region().to_owned(),
        pid: std::process::id(),
        started: jiff::Timestamp::now(),
        run_dir: folder.clone(),
    };
    let failed = |source| Error::RunFolder { path: folder.clone(), source };
    let text = serde_json::to_string_pretty(&running).map_err(|error| failed(error.into()))?;
    // Readers must not see half a file.
    fs::write(folder.join("sandbox.new"), text).map_err(failed)?;
    fs::rename(folder.join("sandbox.new"), folder.join(STATE)).map_err(failed)?;
    let mut terminate =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).map_err(failed)?;
    tokio::select! {
        () = asked(&folder) => {}
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    sandbox.stop().await;
    Ok(())
}

async fn asked(folder: &Path) {
    while folder.exists() && !folder.join(STOP).exists() {
        tokio::time::sleep(LOOK).await;
    }
}

fn log(folder: &Path) -> PathBuf {
    folder.with_extension("log")
}
