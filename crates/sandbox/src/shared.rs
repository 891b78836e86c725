//! One warm sandbox for all tests of a test binary.

use std::sync::OnceLock;
use std::sync::mpsc;

use crate::{Error, Options, Sandbox};

/// The sandbox of this process, started when it is first asked for; keep tests apart by account. It runs on a thread and a
/// runtime of its own, since that of the test which asks first ends with that test, and it ends with the process.
///
/// # Errors
///
/// What [`Sandbox::start`] failed with the first time.
pub fn shared() -> Result<&'static Sandbox, &'static Error> {
    static SHARED: OnceLock<Result<Sandbox, Error>> = OnceLock::new();
    SHARED.get_or_init(start).as_ref()
}

fn start() -> Result<Sandbox, Error> {
    let (report, started) = mpsc::channel();
    let thread = std::thread::Builder::new().name("sandbox".into()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let spawn = |source| Error::Spawn { program: "the sandbox's runtime".into(), source };
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                if report.send(Sandbox::start(Options::default()).await).is_ok() {
                    std::future::pending::<()>().await;
                }
            }),
            Err(source) => drop(report.send(Err(spawn(source)))),
        }
    });
    let failed = |source| Error::Spawn { program: "the sandbox's thread".into(), source };
    thread.map_err(failed)?;
    started
        .recv()
        .unwrap_or_else(|_| Err(failed(std::io::Error::other("it ended before the sandbox was up"))))
}
