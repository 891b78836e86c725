//! `deploy sandbox`: a local cloud that stays.

use super::Run;
use crate::{
    cli::Sandbox,
    document,
    failure::{Code, Failure},
    session,
};
use causeway_core::error::chain;
use causeway_sandbox::{
    Error, Options,
    background::{self, Running},
    cache::Cache,
    install,
};

pub(crate) async fn run(run: &Run<'_>, what: &Sandbox) -> Result<Code, Failure> {
    let cache = Cache::find().ok_or(Error::NoCache)?;
    let running = Running::find(&cache, background::NAME);
    match what {
        Sandbox::Up { env, region } => up(run, &cache, running, *env, region).await,
        Sandbox::Status => {
            if let Some(running) = &running {
                describe(run, running);
            } else {
                run.screen.say("No sandbox is running; `deploy sandbox up` starts one.");
            }
            tell(run, running.as_ref());
            Ok(Code::Done)
        }
        Sandbox::Down => {
            if let Some(running) = &running {
                running.down().await?;
                run.screen.say("The sandbox is stopped, and everything in it is gone.");
            } else {
                run.screen.say("No sandbox was running.");
            }
            tell(run, None);
            Ok(Code::Done)
        }
        Sandbox::Serve { region } => {
            let name = Some(background::NAME.to_owned());
            background::serve(Options { region: region.clone(), name, ..Options::default() }).await?;
            Ok(Code::Done)
        }
    }
}

async fn up(
    run: &Run<'_>,
    cache: &Cache,
    running: Option<Running>,
    env: bool,
    region: &str,
) -> Result<Code, Failure> {
    let running = match running {
        Some(running) => running,
        None => start(run, cache, region).await?,
    };
    if env && !run.screen.json() {
        for (name, value) in running.env() {
            run.screen.raw(&format!("export {name}={}\n", quoted(&value)));
        }
    } else {
        describe(run, &running);
    }
    tell(run, Some(&running));
    Ok(Code::Done)
}

async fn start(run: &Run<'_>, cache: &Cache, region: &str) -> Result<Running, Failure> {
    let (home, mut progress) = (cache.clone(), session::installing(run.screen));
    // Here, where people see it, and not in the background.
    let installed = tokio::task::spawn_blocking(move || install::install(&home, &mut progress)).await;
    installed.map_err(|e| Failure::bug(&e))?.map_err(Error::Install)?;
    let program = std::env::current_exe()
        .map_err(|e| Failure::new(Code::Unavailable, format!("cannot find this program: {}", chain(&e))))?;
    let mut command = std::process::Command::new(program);
    command.args(["sandbox", "serve", "--region", region]);
    Ok(background::up(cache, background::NAME, command).await?)
}

fn describe(run: &Run<'_>, running: &Running) {
    let screen = run.screen;
    let lines = [
        ("Sandbox", running.endpoint.clone()),
        ("Region", running.region.clone()),
        ("CloudFront", format!("http://<distribution id>.localhost:{}", running.edge.port())),
        ("Cloudflare", format!("{} (DNS at {})", running.cloudflare.endpoint, running.cloudflare.dns)),
        ("Since", format!("{} (process {})", running.started.strftime("%Y-%m-%d %H:%M UTC"), running.pid)),
        ("Folder", running.run_dir.display().to_string()),
    ];
    for (name, value) in lines {
        screen.say(&format!("{}  {value}", screen.quiet(&format!("{name:<10}"))));
    }
    screen.say("");
    screen.say("`deploy --sandbox ..` uses it. For the aws CLI and boto3:");
    screen.say("    eval \"$(deploy sandbox up --env)\"");
}

fn tell(run: &Run<'_>, running: Option<&Running>) {
    if !run.screen.json() {
        return;
    }
    let result = document::Sandbox {
        running: running.is_some(),
        endpoint: running.map(|r| r.endpoint.clone()),
        edge: running.map(|r| r.edge.to_string()),
        cloudflare: running.map(|r| r.cloudflare.endpoint.clone()),
        dns: running.map(|r| r.cloudflare.dns.to_string()),
        run_dir: running.map(|r| r.run_dir.display().to_string()),
        env: running.map(|r| r.env().into_iter().collect()).unwrap_or_default(),
    };
    run.screen.document(&document::done(run.name, Code::Done, result));
}

/// For a POSIX shell.
fn quoted(value: &str) -> String {
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "/:.,-_".contains(c));
    if plain { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_read_otherwise_is_quoted() {
        assert_eq!(quoted("http://127.0.0.1:4566"), "http://127.0.0.1:4566");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("a b"), "'a b'");
    }
}
