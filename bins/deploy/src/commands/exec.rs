//! `deploy exec`: a command inside a task of the service. AWS's own `session-manager-plugin` speaks the protocol of the
//! session, as it does for the AWS CLI.

use super::Run;
use crate::{
    failure::{Code, Failure},
    running::{self, Running, asked},
    session::{self, Session},
};
use causeway_aws::ecs::{ExecSession, ExecTarget};
use causeway_stacks::ecs::CONTAINER;
use serde_json::json;
use std::{io::ErrorKind, process::Stdio};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

const PLUGIN: &str = "session-manager-plugin";
const INSTALL: &str = "https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html";
/// Since this version the plugin takes the session from a variable. Before, it was an argument that every user of the
/// machine could read.
const OLDEST: [u32; 3] = [1, 2, 497];
/// The variable, as the AWS CLI calls it.
const RESPONSE: &str = "AWS_SSM_START_SESSION_RESPONSE";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// In this task rather than in the newest one of the service
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// What is run; without a shell, like `/bin/sh` for one
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) async fn run(run: &Run<'_>, flags: &Args) -> Result<Code, Failure> {
    if run.global.json {
        return Err(Failure::usage("exec is a conversation, and has no document to print; leave --json out"));
    }
    if run.global.sandbox {
        return Err(Failure::usage("a sandbox has nobody who could answer in a session"));
    }
    let file = session::configuration(run.global)?;
    installed().await?;
    Session::within(run.global, file, run.screen, async |session| speak(run, session, flags).await).await
}

async fn speak(run: &Run<'_>, session: &Session, flags: &Args) -> Result<Code, Failure> {
    let running = Running::of(session).await?;
    let target = target(&running, flags.task.as_deref()).await?;
    let command = flags.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    run.screen.note(&format!("in task {}", target.task));
    // Not repeated: each one starts the command.
    let opened = running.aws.ecs.open_session(&running.cluster, &target.task, CONTAINER, &command).await?;
    let told = format!("ecs:{}_{}_{}", running::id(&running.cluster), target.task, target.runtime_id);
    plugin(&session.cloud.region, &told, &opened).await
}

async fn target(running: &Running, task: Option<&str>) -> Result<ExecTarget, Failure> {
    let (ecs, cluster) = (&running.aws.ecs, &running.cluster);
    let all = match task {
        Some(task) => asked(|| ecs.exec_target(cluster, vec![task.to_owned()], CONTAINER)).await?,
        None => asked(|| ecs.exec_targets(cluster, &running.service, CONTAINER)).await?,
    };
    let obstacle = match all.first() {
        None => match task {
            Some(task) => format!("there is no task {task} in cluster {cluster}"),
            None => format!("no task of `{}` runs", running.service),
        },
        Some(first) => match all.iter().find(|t| t.obstacle().is_none()) {
            Some(ready) => return Ok(ready.clone()),
            None => first.obstacle().unwrap_or_default(),
        },
    };
    Err(Failure::new(Code::Unavailable, obstacle))
}

/// Whether the plugin is there and new enough, before a session is opened that nobody speaks in.
async fn installed() -> Result<(), Failure> {
    let output = match Command::new(PLUGIN).arg("--version").stdin(Stdio::null()).output().await {
        Ok(output) => output,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let failure = Failure::new(Code::Unavailable, format!("`{PLUGIN}` is not installed"));
            return Err(failure.hint(format!("it is AWS's own program for such sessions: {INSTALL}")));
        }
        Err(e) => return Err(Failure::new(Code::Unavailable, format!("`{PLUGIN}` cannot be run: {e}"))),
    };
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if version(&text).is_none_or(|v| v < OLDEST.to_vec()) {
        let text = format!(
            "`{PLUGIN}` is of version {text}, and {} is needed",
            OLDEST.map(|n| n.to_string()).join(".")
        );
        return Err(Failure::new(Code::Unavailable, text).hint(format!("install a newer one: {INSTALL}")));
    }
    Ok(())
}

fn version(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

async fn plugin(region: &str, target: &str, opened: &ExecSession) -> Result<Code, Failure> {
    let token = opened.token.expose().map_err(|e| Failure::bug(&e))?;
    let response =
        json!({ "SessionId": opened.id, "StreamUrl": opened.stream_url, "TokenValue": token }).to_string();
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    // Ctrl-C and the like are for the command inside; the plugin hands them on.
    let on = |kind| signal(kind).map_err(|e| Failure::bug(&e));
    let _kept = (on(SignalKind::interrupt())?, on(SignalKind::quit())?);
    let status = Command::new(PLUGIN)
        .args([RESPONSE, region, "StartSession", ""])
        .arg(json!({ "Target": target }).to_string())
        .arg(format!("https://ssm.{region}.{domain}"))
        .env(RESPONSE, response)
        .status()
        .await
        .map_err(|e| Failure::new(Code::Unavailable, format!("`{PLUGIN}` cannot be run: {e}")))?;
    if status.success() {
        return Ok(Code::Done);
    }
    Err(Failure::new(Code::Partial, format!("the session ended badly: `{PLUGIN}` ended with {status}")))
}

/// A word as ECS splits commands: like a shell does.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        assert_eq!(quoted("/bin/sh"), "/bin/sh");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(version("1.2.1000.0").unwrap() > OLDEST.to_vec());
        assert!(version("1.2.96.0").unwrap() < OLDEST.to_vec());
        assert_eq!(version("new"), None);
    }
}
