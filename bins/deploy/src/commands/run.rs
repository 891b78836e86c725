//! `deploy run`: a command in a task of its own, beside the service and like it. Its end is our end.

use super::{Run, logs::printable};
use crate::{
    document,
    failure::{Code, Failure},
    running::{self, Running, asked},
    session::{self, Session},
};
use causeway_aws::{
    ecs::{Ecs, OneOff, TaskNow, diagnosis, fargate_size, tag_value},
    logs::Tail,
};
use causeway_core::Tags;
use causeway_stacks::ecs::CONTAINER;
use jiff::Timestamp;
use std::{collections::BTreeMap, process::ExitCode, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};

const PAUSE: Duration = Duration::from_secs(1);
/// How often the log is looked at after the end: what was written last becomes readable a little later.
const LAST_LOOKS: u32 = 5;
/// As a shell says of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A variable for the command, in the open: no secrets; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    environment: Vec<(String, String)>,
    /// A program of the image to start in place of its entry point, like /bin/sh
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// CPU units of the task, if other than the service's
    #[arg(long, value_name = "UNITS")]
    cpu: Option<u32>,
    /// MiB of the task, if other than the service's
    #[arg(long, value_name = "MIB")]
    memory: Option<u32>,
    /// What the entry point of the image gets; of Coder's own images that is `coder server`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub(crate) async fn run(run: &Run<'_>, flags: &Args) -> Result<ExitCode, Failure> {
    let file = session::configuration(run.global)?;
    Session::within(run.global, file, run.screen, async |session| begin(run, session, flags).await).await
}

async fn begin(run: &Run<'_>, session: &Session, flags: &Args) -> Result<ExitCode, Failure> {
    let running = Running::of(session).await?;
    let mut task = wanted(&running, session, flags).await?;
    // Before the task is there, so that it cannot be left behind.
    let mut stop = Interrupts::listen()?;
    let log = Tail::new(running.log_group()?, Timestamp::now().as_millisecond() - 60_000);
    let ecs = &running.aws.ecs;
    let started = match &flags.entrypoint {
        Some(program) => start_with(run, ecs, &mut task, program).await,
        None => asked(|| task.start(ecs)).await,
    };
    let arn = match started {
        Ok(arn) => arn,
        Err(failure) => {
            // An answer that never came may have started it.
            end_all(run, &running, &task.started_by).await;
            return Err(failure);
        }
    };
    run.screen.note(&format!("task {} is starting", running::id(&arn)));
    let mut follower = Follower::new(run, &running, &arn, log);
    let ended = follower.until_the_end(&mut stop).await;
    if !matches!(ended, Ok(End::Stopped(_))) {
        end_all(run, &running, &task.started_by).await;
    }
    let stopped = match ended? {
        End::Stopped(stopped) => stopped,
        End::Left => return Ok(INTERRUPTED.into()),
    };
    let container = stopped.containers.iter().find(|c| c.name == CONTAINER);
    let exit = container.and_then(|c| c.exit_code);
    let code = match exit {
        _ if follower.interrupted => INTERRUPTED,
        // A shell shows other codes modulo 256, too.
        Some(code) => u8::try_from(code.rem_euclid(256)).unwrap_or(u8::MAX),
        None => Code::Partial as u8,
    };
    if run.screen.json() {
        let result = document::Ran {
            task: stopped.id.clone(),
            task_definition: stopped.task_definition.clone(),
            command: flags.command.clone(),
            container_exit_code: exit,
            reason: stopped.stopped_reason.clone(),
            log: follower.log,
        };
        run.screen.document(&document::ended(run.name, code, result));
    } else if exit.is_none() && !follower.interrupted {
        run.screen.error(&format!("the command never ran: {}", diagnosis::summary(&[stopped])));
    }
    Ok(code.into())
}

/// A task like those of the service, with the command.
async fn wanted(running: &Running, session: &Session, flags: &Args) -> Result<OneOff, Failure> {
    if flags.cpu.is_some() || flags.memory.is_some() {
        let (cpu, memory) = running.size();
        fargate_size(flags.cpu.unwrap_or(cpu), flags.memory.unwrap_or(memory)).map_err(Failure::usage)?;
    }
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(|e| Failure::bug(&e))?;
    let id = hex::encode(random);
    Ok(OneOff {
        command: flags.command.clone(),
        environment: flags.environment.iter().cloned().collect::<BTreeMap<_, _>>(),
        cpu: flags.cpu,
        memory: flags.memory,
        started_by: format!("causeway/run/{id}"),
        token: id,
        tags: Tags::from([
            (Tags::STACK.to_owned(), session.file.config.stack.name.clone()),
            ("causeway:run-by".to_owned(), tag_value(&session::actor())),
        ]),
        ..running.one_off().await?
    })
}

/// Starts the task with another entry point, for which it takes a revision that nobody else needs.
async fn start_with(run: &Run<'_>, ecs: &Ecs, task: &mut OneOff, program: &str) -> Result<String, Failure> {
    let of = task.task_definition.clone();
    let begun = async {
        let made = asked(|| ecs.with_entry_point(&of, CONTAINER, program, &task.token)).await?;
        task.task_definition = made;
        asked(|| task.start(ecs)).await
    };
    let begun = begun.await;
    if asked(|| ecs.deregister_entry_points(&of, &task.token)).await.is_err() {
        let text =
            format!("the task definition that was made for this may stay registered, tagged {}", task.token);
        run.screen.error(&text);
    }
    begun
}

/// Ends whatever was started, as far as AWS can be reached.
async fn end_all(run: &Run<'_>, running: &Running, started_by: &str) {
    let ecs = &running.aws.ecs;
    let ended = async {
        for task in asked(|| ecs.tasks_started_by(&running.cluster, started_by)).await? {
            asked(|| ecs.end_task(&running.cluster, &task, "deploy run has ended")).await?;
        }
        Ok::<(), Failure>(())
    };
    if ended.await.is_err() {
        let text =
            format!("the task may still run: it is in cluster {}, started by {started_by}", running.cluster);
        run.screen.error(&text);
    }
}

/// Ctrl-C, and the other ways to be told to end.
struct Interrupts([Signal; 3]);

impl Interrupts {
    fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|e| Failure::bug(&e));
        Ok(Interrupts([
            on(SignalKind::interrupt())?,
            on(SignalKind::terminate())?,
            on(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

enum End {
    Stopped(diagnosis::StoppedTask),
    /// Told to end twice: ECS has been told, and nobody waits for it.
    Left,
}

struct Follower<'a> {
    run: &'a Run<'a>,
    running: &'a Running,
    arn: &'a str,
    tail: Tail,
    /// What was printed; kept for `--json`.
    log: Vec<String>,
    status: String,
    interrupted: bool,
}

impl<'a> Follower<'a> {
    fn new(run: &'a Run<'a>, running: &'a Running, arn: &'a str, tail: Tail) -> Self {
        let tail = tail.streams([running.log_stream(running::id(arn))]);
        Follower { run, running, arn, tail, log: vec![], status: String::new(), interrupted: false }
    }

    async fn until_the_end(&mut self, stop: &mut Interrupts) -> Result<End, Failure> {
        let (ecs, cluster) = (&self.running.aws.ecs, &self.running.cluster);
        loop {
            let now = asked(|| TaskNow::look(ecs, cluster, self.arn)).await?;
            self.print().await?;
            if let Some(stopped) = now.as_ref().and_then(|t| t.stopped.clone()) {
                for _ in 0..LAST_LOOKS {
                    tokio::time::sleep(PAUSE).await;
                    self.print().await?;
                }
                return Ok(End::Stopped(stopped));
            }
            if let Some(now) = now.filter(|t| t.status != self.status) {
                self.run.screen.note(&format!("task {} is {}", now.id, now.status.to_lowercase()));
                self.status = now.status;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = stop.next() => {
                    if self.interrupted {
                        return Ok(End::Left);
                    }
                    self.interrupted = true;
                    self.run.screen.note("the task is told to end; once more to leave it to ECS");
                    asked(|| ecs.end_task(cluster, self.arn, "deploy run was interrupted")).await?;
                }
            }
        }
    }

    async fn print(&mut self) -> Result<(), Failure> {
        loop {
            let (tail, page) = asked(|| {
                let (mut tail, logs) = (self.tail.clone(), &self.running.aws.logs);
                async move { tail.look(logs).await.map(|page| (tail, page)) }
            })
            .await?;
            self.tail = tail;
            for event in page.events {
                if self.run.screen.json() {
                    self.log.push(event.message);
                } else {
                    self.run.screen.raw(&format!("{}\n", printable(&event.message)));
                }
            }
            if !page.more {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_name_and_may_be_empty() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(variable("A="), Ok(("A".into(), String::new())));
        assert!(variable("A").is_err() && variable("=b").is_err());
    }
}
