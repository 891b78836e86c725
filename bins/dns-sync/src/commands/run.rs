//! `dns-sync run`: one run after the other, until it is told to stop.

use super::{Selection, apply, open};
use crate::{failure::Failure, metrics::Metrics, screen::Screen};
use causeway_ending::Code;
use std::{net::SocketAddr, path::Path, time::Duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    selection: Selection,
    /// So many seconds from the start of a run to that of the next; up to a tenth is added, a different time each time.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86400))]
    interval: u64,
    /// Begin nothing new in a run after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    time_limit: u64,
    /// Tell Prometheus numbers at http://ADDR/metrics, like 0.0.0.0:9090.
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
}

pub(crate) async fn run(file: &Path, flags: &Flags, screen: &Screen) -> Result<Code, Failure> {
    // A mistake in the file ends it at once; later ones only their run.
    open(file).await?;
    let options = flags.selection.options(false)?;
    let metrics = Metrics::default();
    if let Some(at) = flags.metrics {
        let bound = metrics.serve(at).await;
        let bound = bound.map_err(|e| Failure::new(Code::Usage, format!("cannot listen on {at}: {e}")))?;
        screen.say(&format!("numbers are at http://{bound}/metrics"));
    }
    let limit = Duration::from_secs(flags.time_limit);
    loop {
        let begun = tokio::time::Instant::now();
        // What a pod mounts may have changed, and clients of clusters hold tokens that end.
        let ended = match open(file).await {
            Ok(sync) => apply::once(&sync, &options, None, limit, screen).await,
            Err(failure) => Err(failure),
        };
        match &ended {
            Ok(ended) => {
                metrics.ran(ended.code, begun.elapsed(), Some(&ended.applied));
                if !ended.is_quiet() {
                    screen.document(&ended.document("run"));
                }
                if ended.stopped {
                    return Ok(ended.code);
                }
            }
            Err(failure) => {
                metrics.ran(failure.code, begun.elapsed(), None);
                failure.tell(screen, "run");
            }
        }
        let next = begun + Duration::from_secs(flags.interval) + apply::jitter(flags.interval / 10);
        if apply::stopped(next).await {
            return Ok(Code::Done);
        }
    }
}
