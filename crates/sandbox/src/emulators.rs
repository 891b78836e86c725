//! The AWS emulators of one sandbox: one moto for all accounts and regions, and a fakecloud for each account and region, started
//! when it is first needed, because fakecloud keeps regions apart for some services only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};

use crate::install::Installed;
use crate::supervise::{Check, Ground, Process, Program};
use crate::{Error, account};

/// How long certificates take to be issued, in seconds.
const CERTIFICATE: &str = "2";

/// A running emulator.
struct Emulator {
    url: String,
    process: Process,
}

type Slot = Arc<OnceCell<Emulator>>;

/// The emulators of a sandbox.
pub(crate) struct Emulators {
    ground: Ground,
    installed: Installed,
    region: String,
    moto: Emulator,
    /// By account and region. The map is locked for a moment only; a cell is filled by whoever needs it first.
    fakeclouds: Mutex<BTreeMap<(String, String), Slot>>,
}

impl Emulators {
    /// Starts moto, and fakecloud for the default account in `region`.
    pub(crate) async fn start(
        ground: Ground,
        installed: Installed,
        region: &str,
    ) -> Result<Emulators, Error> {
        let first = Slot::default();
        let fill = first.get_or_try_init(|| fakecloud(&ground, &installed, account::DEFAULT, region));
        let (moto, filled) = tokio::join!(moto(&ground, &installed), fill);
        filled?;
        let moto = moto?;
        let fakeclouds =
            Mutex::new(BTreeMap::from([((account::DEFAULT.to_owned(), region.to_owned()), first)]));
        Ok(Emulators { ground, installed, region: region.to_owned(), moto, fakeclouds })
    }

    /// The address of moto.
    pub(crate) fn moto(&self) -> &str {
        &self.moto.url
    }

    /// The address of the fakecloud of an account and region, started if need be. Global services are signed for `us-east-1`
    /// and so live there; what is signed for no region of its own goes to the sandbox's.
    pub(crate) async fn fakecloud(&self, account: &str, region: &str) -> Result<String, Error> {
        let region = if region.is_empty() || region == "aws-global" { &self.region } else { region };
        let slot =
            self.fakeclouds.lock().await.entry((account.to_owned(), region.to_owned())).or_default().clone();
        let emulator =
            slot.get_or_try_init(|| fakecloud(&self.ground, &self.installed, account, region)).await?;
        Ok(emulator.url.clone())
    }

    /// Ends all of them.
    pub(crate) async fn stop(self) {
        let slots = self.fakeclouds.into_inner().into_values();
        let fakeclouds = slots.filter_map(|slot| Arc::into_inner(slot)?.into_inner());
        let ends: Vec<_> = fakeclouds.chain([self.moto]).map(|emulator| emulator.process.stop()).collect();
        futures::future::join_all(ends).await;
    }
}

async fn moto(ground: &Ground, installed: &Installed) -> Result<Emulator, Error> {
    let program = |port: u16| Program {
        name: "moto".into(),
        command: installed.python.clone(),
        arguments: ["-m", "moto.server", "-H", "127.0.0.1", "-p"]
            .map(OsString::from)
            .into_iter()
            .chain([port.to_string().into()])
            .collect(),
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
    Ok(Emulator { url: format!("http://{address}"), process })
}

async fn fakecloud(
    ground: &Ground,
    installed: &Installed,
    account: &str,
    region: &str,
) -> Result<Emulator, Error> {
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
    Ok(Emulator { url: format!("http://{address}"), process })
}
