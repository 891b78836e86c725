//! What `run --metrics` tells Prometheus: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use crate::document::Applied;
use causeway_core::plan::Action;
use causeway_ending::Code;
use std::{
    collections::BTreeMap,
    fmt::Write,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How long somebody may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);

/// Numbers of all runs of this process.
#[derive(Clone, Default)]
pub(crate) struct Metrics(Arc<Mutex<Numbers>>);

#[derive(Default)]
struct Numbers {
    runs: BTreeMap<u8, u64>,
    changes: BTreeMap<String, u64>,
    failed: u64,
    sources: BTreeMap<String, bool>,
    unchanged: usize,
    left: usize,
    seconds: f64,
    last: f64,
    last_success: f64,
    /// Whether it is our turn, where several take turns.
    leads: Option<bool>,
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// As a label's value.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Adopt => "adopt",
        Action::Delete => "delete",
        Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst => "replace",
        Action::Keep | Action::Wait | Action::Forget | Action::Record => "record",
    }
}

impl Metrics {
    /// A run has ended.
    pub(crate) fn ran(&self, code: Code, took: Duration, applied: Option<&Applied>) {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *numbers.runs.entry(code as u8).or_default() += 1;
        numbers.seconds = took.as_secs_f64();
        numbers.last = now();
        if code == Code::Done {
            numbers.last_success = numbers.last;
        }
        let Some(applied) = applied else { return };
        for done in &applied.done {
            *numbers.changes.entry(word(done.action).to_owned()).or_default() += 1;
        }
        numbers.failed += applied.failed.len() as u64;
        numbers.sources = applied.sources.iter().map(|s| (s.source.clone(), s.error.is_none())).collect();
        (numbers.unchanged, numbers.left) = (applied.unchanged, applied.left.len());
    }

    /// It is our turn, or somebody else's.
    pub(crate) fn leads(&self, ours: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).leads = Some(ours);
    }

    fn text(&self) -> String {
        let numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        let mut metric = |name: &str, kind: &str, help: &str, values: Vec<(String, String)>| {
            // Writing to a string does not fail.
            let _ = writeln!(out, "# HELP dns_sync_{name} {help}\n# TYPE dns_sync_{name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(out, "dns_sync_{name}{labels} {value}");
            }
        };
        let one = |value: String| vec![(String::new(), value)];
        let of = |label: &str, key: &str| format!("{{{label}=\"{}\"}}", quoted(key));
        let runs = numbers.runs.iter().map(|(code, n)| (of("exit_code", &code.to_string()), n.to_string()));
        metric("runs_total", "counter", "Runs by the exit code that they would have had.", runs.collect());
        let changes = numbers.changes.iter().map(|(action, n)| (of("action", action), n.to_string()));
        metric("changes_total", "counter", "Records that were changed.", changes.collect());
        metric(
            "failures_total",
            "counter",
            "Records that could not be changed.",
            one(numbers.failed.to_string()),
        );
        let up = numbers.sources.iter().map(|(source, up)| (of("source", source), u8::from(*up).to_string()));
        metric("source_up", "gauge", "Whether a source answered in the last run.", up.collect());
        metric("records", "gauge", "Records that are as they should be.", one(numbers.unchanged.to_string()));
        metric("left", "gauge", "Names that are left as they are.", one(numbers.left.to_string()));
        metric("run_seconds", "gauge", "How long the last run took.", one(numbers.seconds.to_string()));
        metric(
            "last_run_timestamp_seconds",
            "gauge",
            "When the last run ended.",
            one(numbers.last.to_string()),
        );
        if let Some(ours) = numbers.leads {
            metric("leads", "gauge", "Whether this one holds the Lease.", one(u8::from(ours).to_string()));
        }
        let success = one(numbers.last_success.to_string());
        metric("last_success_timestamp_seconds", "gauge", "When a run last left nothing to do.", success);
        out
    }

    /// Answers on `at` until the process ends. Answers with the address, as the port may be any.
    pub(crate) async fn serve(&self, at: SocketAddr) -> std::io::Result<SocketAddr> {
        let listener = TcpListener::bind(at).await?;
        let bound = listener.local_addr()?;
        let metrics = self.clone();
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let metrics = metrics.clone();
                        tokio::spawn(
                            async move { tokio::time::timeout(PATIENCE, metrics.answer(stream)).await },
                        );
                    }
                    // Out of sockets: some will be given back.
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            }
        });
        Ok(bound)
    }

    /// One request, whatever else is in it; then the connection ends.
    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = vec![0; 1024];
        let length = stream.read(&mut request).await?;
        let line = String::from_utf8_lossy(&request[..length]).into_owned();
        let path = line.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match path.split('?').next() {
            Some("/metrics") => ("200 OK", self.text()),
            Some("/healthz") => ("200 OK", "ok\n".to_owned()),
            _ => ("404 Not Found", "there is /metrics and /healthz\n".to_owned()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await?;
        stream.shutdown().await
    }
}
