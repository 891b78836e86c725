//! A real BIND with one zone that takes dynamic updates (RFC 2136), where one is installed (`apt-get install bind9`).

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::Error;
use crate::gateway::BoxError;
use crate::supervise::free_address;

/// Where systems have it.
const PROGRAMS: [&str; 4] =
    ["/usr/sbin/named", "/usr/local/sbin/named", "/usr/bin/named", "/opt/homebrew/sbin/named"];

/// With `required` in it, a machine without BIND is an error.
const REQUIRED: &str = "CAUSEWAY_BIND";

/// How long it may take until it listens.
const READY: Duration = Duration::from_secs(30);

/// The key that may transfer and change the zone, in Base64.
pub const SECRET: &str = "c2VjcmV0LW9mLWEtdGVzdC13aXRoLTMyLW9jdGV0cyE=";

/// The name of [`SECRET`].
pub const WRITER: &str = "test";

/// The name of a key that may only transfer the zone. It is [`SECRET`], too.
pub const READER: &str = "reader";

/// A running BIND. Dropping it ends it.
#[derive(Debug)]
pub struct Bind {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Bind {
    /// Starts one that has the zone `zone` with what `file` says of it, in the words of a zone file. `None`: there is no BIND
    /// on this machine, and none is required.
    ///
    /// # Errors
    ///
    /// [`Error::Bind`]: it is required and not there, or does not start.
    pub async fn start(zone: &str, file: &str) -> Result<Option<Bind>, Error> {
        let Some(program) = PROGRAMS.iter().map(PathBuf::from).find(|path| path.exists()) else {
            return if std::env::var(REQUIRED).is_ok_and(|word| word == "required") {
                Err(failed("find")("there is none; install bind9".into()))
            } else {
                Ok(None)
            };
        };
        let address = free_address().map_err(|e| failed("find a port for")(e.into()))?;
        let folder = tempfile::tempdir().map_err(|e| failed("make a folder for")(e.into()))?;
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text);
        write("zone", file).map_err(|e| failed("configure")(e.into()))?;
        write("named.conf", &config(zone, address.port(), folder.path()))
            .map_err(|e| failed("configure")(e.into()))?;
        let log = folder.path().join("log");
        let process = Command::new(program)
            .args(["-g", "-n", "1", "-c"])
            .arg(folder.path().join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).map_err(|e| failed("start")(e.into()))?)
            .spawn()
            .map_err(|e| failed("start")(e.into()))?;
        let bind = Bind { process, address, _folder: folder };
        let until = tokio::time::Instant::now() + READY;
        // It loads its zones before it listens.
        while TcpStream::connect(address).await.is_err() {
            if tokio::time::Instant::now() > until {
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(failed("start")(format!("it does not listen:\n{said}").into()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(bind))
    }

    /// Where it answers, by UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn failed(act: &'static str) -> impl FnOnce(BoxError) -> Error {
    move |source| Error::Bind { act, source }
}

fn config(zone: &str, port: u16, folder: &Path) -> String {
    let key = format!("{{ algorithm hmac-sha256; secret \"{SECRET}\"; }};");
    let folder = folder.display();
    format!(
        "key \"{WRITER}\" {key}\nkey \"{READER}\" {key}\n\
         options {{ directory \"{folder}\"; pid-file none; session-keyfile none;\n\
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n\
         recursion no; dnssec-validation no; allow-transfer {{ none; }}; notify no; }};\n\
         controls {{ }};\n\
         zone \"{zone}\" {{ type primary; file \"{folder}/zone\"; journal \"{folder}/journal\";\n\
         allow-transfer {{ key {WRITER}; key {READER}; }}; allow-update {{ key {WRITER}; }}; }};\n"
    )
}
