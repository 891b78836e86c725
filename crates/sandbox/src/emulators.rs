//! The AWS emulators of one sandbox: one moto for all accounts and regions, and a fakecloud for each account and region, started
//! when it is first needed, because fakecloud keeps regions apart for some services only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::gateway::lock;
use crate::install::Installed;
use crate::supervise::{Check, Ground, Process, Processes, Program};
use crate::{Error, account};

/// How long certificates take to be issued, in seconds.
const CERTIFICATE: &str = "2";

/// The address of an emulator, once it has started.
type Slot = Arc<OnceCell<String>>;

/// The emulators of a sandbox.
pub(crate) struct Emulators {
    ground: Ground,
    installed: Installed,
    region: String,
    moto: String,
    processes: Processes,
    /// By account and region. The map is locked for a moment only; a cell is filled by whoever needs it first.
    fakeclouds: Mutex<BTreeMap<(String, String), Slot>>,
}

impl Emulators {
    /// Starts moto, and fakecloud for the default account in `region`.
    pub(crate) async fn start(
        ground: Ground,
        installed: Installed,
        region: &str,
        processes: Processes,
    ) -> Result<Emulators, Error> {
        let (moto, first) =
            tokio::join!(moto(&ground, &installed), fakecloud(&ground, &installed, account::DEFAULT, region));
        let ((moto, moto_process), (first, first_process)) = (moto?, first?);
        processes.add(moto_process);
        processes.add(first_process);
        let first = Slot::new(OnceCell::new_with(Some(first)));
        let fakeclouds =
            Mutex::new(BTreeMap::from([((account::DEFAULT.to_owned(), region.to_owned()), first)]));
        Ok(Emulators { ground, installed, region: region.to_owned(), moto, processes, fakeclouds })
    }

    /// The address of moto.
    pub(crate) fn moto(&self) -> &str {
        &self.moto
    }

    /// The address of the fakecloud of an account and region, started if need be. Global services are signed for `us-east-1`
    /// and so live there; what is signed for no region of its own goes to the sandbox's.
    pub(crate) async fn fakecloud(&self, account: &str, region: &str) -> Result<String, Error> {
        let region = if region.is_empty() || region == "aws-global" { &self.region } else { region };
        let slot = lock(&self.fakeclouds).entry((account.to_owned(), region.to_owned())).or_default().clone();
        let start = async || {
            let (url, process) = fakecloud(&self.ground, &self.installed, account, region).await?;
            self.processes.add(process);
            Ok(url)
        };
        slot.get_or_try_init(start).await.cloned()
    }

    /// Ends the fakeclouds of an account, and with them the tasks of ECS.
    pub(crate) fn close_account(&self, account: &str) {
        lock(&self.fakeclouds).retain(|(of, _), _| of != account);
        self.processes.stop(&format!("fakecloud-{account}-"));
    }
}

async fn moto(ground: &Ground, installed: &Installed) -> Result<(String, Process), Error> {
    let program = |port: u16| Program {
        name: "moto".into(),
        command: installed.python.clone(),
        arguments: vec![
            ground.programs().join("moto_server.py").into(),
            "-H".into(),
            "127.0.0.1".into(),
            "-p".into(),
            port.to_string().into(),
        ],
        environment: vec![
            // Off by default, and every stack attaches some.
            ("MOTO_IAM_LOAD_MANAGED_POLICIES", "true".into()),
            ("MOTO_ACM_VALIDATION_WAIT", CERTIFICATE.into()),
            ("PYTHONUNBUFFERED", "1".into()),
        ],
        log: ground.log("moto"),
        user: None,
        signal: "KILL",
        grace: Duration::from_secs(1),
    };
    let (process, address) = ground.serve(&Check::Http("/moto-api/data.json"), program).await?;
    Ok((format!("http://{address}"), process))
}

async fn fakecloud(
    ground: &Ground,
    installed: &Installed,
    account: &str,
    region: &str,
) -> Result<(String, Process), Error> {
    let name = format!("fakecloud-{account}-{region}");
    let program = |port: u16| {
        let address = format!("127.0.0.1:{port}");
        let arguments =
            ["--addr", &address, "--region", region, "--account-id", account, "--log-level", "warn"]
                .map(OsString::from);
        Program {
            name: name.clone(),
            command: installed.fakecloud.clone(),
            arguments: arguments.into(),
            environment: vec![
                ("FAKECLOUD_CONTAINER_CLI", ground.programs().join("container").into()),
                // The stand-in has no network namespaces to route the link-local address in; see container.py.
                ("FAKECLOUD_ECS_CREDS_HELPER_IMAGE", "causeway/no-network-namespaces".into()),
                ("CAUSEWAY_CONTAINERS", ground.containers().into()),
                ("CAUSEWAY_PROGRAMS", ground.programs().into()),
                ("CAUSEWAY_PYTHON", installed.python.clone().into()),
            ],
            log: ground.log(&name),
            user: None,
            // An orderly end stops each container for up to ten seconds, and nobody needs what they would save.
            signal: "KILL",
            grace: Duration::from_secs(1),
        }
    };
    let (process, address) = ground.serve(&Check::Http("/_fakecloud/health"), program).await?;
    Ok((format!("http://{address}"), process))
}
