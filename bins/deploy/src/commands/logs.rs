//! `deploy logs`: what Coder logs, of all tasks in the order of time.

use super::Run;
use crate::{
    document::LogLine,
    failure::{Code, Failure},
    running::{self, Running, asked},
    session::{self, Session},
};
use causeway_aws::logs::{Event, Tail};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The pause between two looks of a follower: FilterLogEvents allows few calls a second in an account.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on as more is written, until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// How far back, like 90s, 10m, 3h or 2d
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = ago)]
    since: SignedDuration,
    /// Only lines that hold this text, with capitals and all
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Only of this task
    #[arg(long, value_name = "ID")]
    task: Option<String>,
}

/// `10m`: a number and a unit.
fn ago(text: &str) -> Result<SignedDuration, String> {
    let wrong = || "expected a number and a unit, like 90s, 10m, 3h or 2d".to_owned();
    let (number, seconds) = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)]
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)))
        .ok_or_else(wrong)?;
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(seconds).filter(|s| (0..=315_360_000).contains(s)).ok_or_else(wrong)?;
    Ok(SignedDuration::from_secs(seconds))
}

pub(crate) async fn run(run: &Run<'_>, flags: &Args) -> Result<Code, Failure> {
    let file = session::configuration(run.global)?;
    let work = async |session: &Session| {
        tokio::select! {
            result = print(run, session, flags) => result,
            // What was printed is whole lines, and nothing is to be undone.
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    };
    Session::within(run.global, file, run.screen, work).await.map(|()| Code::Done)
}

async fn print(run: &Run<'_>, session: &Session, flags: &Args) -> Result<(), Failure> {
    let running = Running::of(session).await?;
    let since = Timestamp::now() - flags.since;
    let task = flags.task.as_deref().map(running::id);
    let mut tail = Tail::new(running.log_group()?, since.as_millisecond())
        .streams(task.map(|task| running.log_stream(task)))
        .containing(flags.filter.clone().unwrap_or_default());
    let mut any = false;
    loop {
        let page = asked(|| {
            // A look that failed may be repeated as it was.
            let mut tail = tail.clone();
            let logs = &running.aws.logs;
            async move { tail.look(logs).await.map(|page| (tail, page)) }
        })
        .await?;
        tail = page.0;
        any |= !page.1.events.is_empty();
        page.1.events.iter().for_each(|event| show(run, event));
        match (page.1.more, flags.follow) {
            (true, _) => {}
            (false, true) => tokio::time::sleep(PAUSE).await,
            (false, false) => break,
        }
    }
    if !any {
        run.screen.note("nothing was logged in that time; --since looks further back");
    }
    Ok(())
}

fn show(run: &Run<'_>, event: &Event) {
    let task = running::id(&event.stream);
    let at = Timestamp::from_millisecond(event.at).unwrap_or(Timestamp::UNIX_EPOCH);
    if run.screen.json() {
        let line = LogLine {
            at: format!("{at:.3}"),
            task: task.to_owned(),
            stream: event.stream.clone(),
            message: event.message.clone(),
        };
        if let Ok(line) = serde_json::to_string(&line) {
            run.screen.raw(&format!("{line}\n"));
        }
        return;
    }
    let short: String = task.chars().take(8).collect();
    let head = format!("{} {short}", at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"));
    run.screen.raw(&format!("{}  {}\n", run.screen.quiet(&head), printable(&event.message)));
}

/// Without what could command the terminal: whoever can make Coder log something is not trusted.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_back_has_a_unit() {
        assert_eq!(ago("10m"), Ok(SignedDuration::from_secs(600)));
        assert_eq!(ago("2d"), Ok(SignedDuration::from_secs(172_800)));
        for wrong in ["10", "m", "-5m", "1.5h", "99999999999d", "10 m"] {
            assert!(ago(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_log_line_cannot_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\tc"), "a\u{fffd}[2Jb\tc");
    }
}
