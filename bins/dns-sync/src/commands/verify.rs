//! `dns-sync verify`: whether DNS says what was applied.

use super::open;
use crate::{document, failure::Failure};
use causeway_core::error::chain;
use causeway_dns_sync::verify::Checked;
use causeway_ending::{Code, screen::Screen};
use std::{path::Path, time::Duration};
use tokio::time::Instant;

/// The pause between two looks while waiting.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Ask again until all answers are right, up to so many seconds.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "600")]
    wait: Option<u64>,
}

pub(crate) async fn run(file: &Path, flags: &Flags, screen: &Screen) -> Result<Code, Failure> {
    let sync = open(file).await?;
    let until = Instant::now() + Duration::from_secs(flags.wait.unwrap_or_default());
    let checked = loop {
        let checked = sync.verify().await.map_err(|e| Failure::new(Code::Unavailable, chain(&e)))?;
        let wrong: Vec<&Checked> = checked.iter().filter(|c| !c.right).collect();
        if wrong.is_empty() || Instant::now() >= until {
            break checked;
        }
        // What a resolver keeps goes when its time is over, and not before.
        let kept = wrong.iter().map(|c| u64::from(c.for_seconds)).min().unwrap_or_default();
        let pause = PAUSE.max(Duration::from_secs(kept + 1).min(PAUSE * 12));
        tokio::time::sleep_until((Instant::now() + pause).min(until)).await;
    };
    for one in checked.iter().filter(|c| !c.right) {
        let list = |values: &std::collections::BTreeSet<String>| {
            values.iter().map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ")
        };
        let says = match &one.error {
            Some(error) => format!("does not answer: {error}"),
            None if one.says.is_empty() => "says nothing".to_owned(),
            None => format!("says {}", list(&one.says)),
        };
        let kept =
            if one.for_seconds > 0 { format!(", for {} s at most", one.for_seconds) } else { String::new() };
        screen.warn(
            "wrong",
            &format!("{}: {} {says}{kept}; it should be {}", one.name, one.server, list(&one.should)),
        );
    }
    let right = checked.iter().filter(|c| c.right).count();
    let code = match checked.len() {
        all if all == right => Code::Done,
        _ if checked.iter().all(|c| c.error.is_some()) => Code::Unavailable,
        _ => Code::Partial,
    };
    if !(screen.quiet && code == Code::Done) {
        screen.say(&format!("{right} of {} answers are right", checked.len()));
    }
    screen.document(&document::done("verify", code, document::Verified { checked }));
    Ok(code)
}
