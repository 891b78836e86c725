//! `dns-sync run`: one run after the other, until it is told to stop.

use super::{Selection, actor, apply, open};
use crate::{failure::Failure, metrics::Metrics};
use causeway_core::error::chain;
use causeway_dns_sync::{
    File, Options,
    lease::{Kept, Lease, Turn},
};
use causeway_ending::{Code, screen::Screen};
use std::{net::SocketAddr, path::Path, time::Duration};

const A_DAY: Duration = Duration::from_secs(86_400);

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
    let kept = lease(file).await?.map(Lease::keep);
    let ended = again_and_again(file, flags, &options, &metrics, kept.as_ref(), screen).await;
    if let Some(kept) = kept {
        kept.end().await;
    }
    Ok(ended)
}

/// The Lease that the configuration names.
async fn lease(file: &Path) -> Result<Option<Lease>, Failure> {
    let file = File::read(file)?;
    let Some(config) = &file.config.lease else { return Ok(None) };
    // In a pod its own name is that of the host.
    let lease = Lease::connect(config, &file, actor()).await;
    lease.map(Some).map_err(|e| {
        Failure::new(Code::Usage, chain(&e))
            .hint("`cluster` in [lease] names another than the one around this program")
    })
}

/// Returns `true` when it is our turn, and `false` when somebody has asked to stop.
async fn our_turn(kept: &Kept, metrics: &Metrics, screen: &Screen) -> bool {
    let mut turn = kept.turn();
    loop {
        let now = turn.borrow_and_update().clone();
        metrics.leads(now == Turn::Ours);
        match now {
            Turn::Ours => return true,
            Turn::Theirs(who) => screen.say(&format!("waiting, as it is the turn of {who}")),
            Turn::Unknown(why) => screen.warn("lease", &why),
        }
        tokio::select! {
            changed = turn.changed() => if changed.is_err() { return false },
            asked = apply::stopped(tokio::time::Instant::now() + A_DAY) => if asked { return false },
        }
    }
}

async fn again_and_again(
    file: &Path,
    flags: &Flags,
    options: &Options,
    metrics: &Metrics,
    kept: Option<&Kept>,
    screen: &Screen,
) -> Code {
    let limit = Duration::from_secs(flags.time_limit);
    let lost = async || match kept {
        Some(kept) => kept.lost().await,
        None => std::future::pending().await,
    };
    loop {
        if let Some(kept) = kept
            && !our_turn(kept, metrics, screen).await
        {
            return Code::Done;
        }
        let begun = tokio::time::Instant::now();
        // What a pod mounts may have changed, and clients of clusters hold tokens that end.
        let ended = match open(file).await {
            Ok(sync) => apply::once(&sync, options, None, limit, lost(), screen).await,
            Err(failure) => Err(failure),
        };
        match &ended {
            Ok(ended) => {
                metrics.ran(ended.code, begun.elapsed(), Some(&ended.applied));
                if !ended.is_quiet() {
                    screen.document(&ended.document("run"));
                }
                if ended.stopped {
                    return ended.code;
                }
            }
            Err(failure) => {
                metrics.ran(failure.code, begun.elapsed(), None);
                failure.tell(screen, "run");
            }
        }
        let next = begun + Duration::from_secs(flags.interval) + apply::jitter(flags.interval / 10);
        tokio::select! {
            asked = apply::stopped(next) => if asked { return Code::Done },
            () = lost() => {}
        }
    }
}
