//! One file a command.

mod audit;
pub(crate) mod check;
pub(crate) mod diff;
pub(crate) mod gc;
pub(crate) mod publish;
mod releases;
pub(crate) mod rollback;
pub(crate) mod schema;
pub(crate) mod verify;

use crate::{
    cli::{Cli, Command, Global},
    config::{Config, EncodingName, StyleName},
    failure::Failure,
    screen::Screen,
};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use causeway_core::error::chain;
use causeway_docs_publish::{
    place::{Place, Target},
    publish::Published,
    releases as kept,
    scan::{self, Tree},
    verify::{Edge, Verified, verify as verify_edge},
    wanted::{Choices, Content},
};
use causeway_ending::Code;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) async fn run(cli: &Cli, screen: &Screen) -> Result<Code, Failure> {
    if let Command::Schema(flags) = &cli.command {
        return schema::run(flags, screen);
    }
    let session = Session { config: Config::read(cli.global.file.as_deref())?, global: &cli.global, screen };
    match &cli.command {
        Command::Publish(flags) => publish::run(&session, flags, true).await,
        Command::Preview(flags) => publish::run(&session, flags, false).await,
        Command::Diff(flags) => diff::run(&session, flags).await,
        Command::Check(flags) => check::run(&session, flags).await,
        Command::Verify(flags) => verify::run(&session, flags).await,
        Command::Audit => audit::run(&session).await,
        Command::Releases => releases::run(&session).await,
        Command::Rollback(flags) => rollback::run(&session, flags).await,
        Command::Gc(flags) => gc::run(&session, flags).await,
        Command::Schema(flags) => schema::run(flags, screen),
    }
}

/// What people choose about a site.
#[derive(Debug, clap::Args)]
pub(crate) struct Chosen {
    /// How pages are spelled. Seen from the files if left out.
    #[arg(long, value_enum)]
    style: Option<StyleName>,
    /// How text is there compressed besides as it is, like `br,gzip`.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ENCODINGS")]
    precompress: Option<Vec<EncodingName>>,
}

/// What every command works with.
pub(crate) struct Session<'a> {
    config: Config,
    global: &'a Global,
    screen: &'a Screen,
}

impl Session<'_> {
    /// The site that flags or the configuration name.
    async fn place(&self) -> Result<Place, Failure> {
        let (config, target) = self.target().await?;
        let place = Place::find(&config, &target).await?;
        if !place.enabled {
            self.screen.warn(
                "note",
                &format!("the distribution {} is switched off: nobody sees this", place.distribution),
            );
        }
        if place.deploying {
            self.screen.warn(
                "note",
                &format!(
                    "the distribution {} is being deployed: edges know it in some minutes",
                    place.distribution
                ),
            );
        }
        Ok(place)
    }

    /// Which distribution is meant, and how AWS is reached.
    async fn target(&self) -> Result<(SdkConfig, Target), Failure> {
        let (global, publish) = (self.global, &self.config.publish);
        let flag = match (&global.distribution, &global.site) {
            (Some(id), _) => Some(Target::Distribution(id.clone())),
            (None, site) => site.clone().map(Target::Site),
        };
        let configured = || match (&publish.distribution, &publish.site) {
            (Some(id), _) => Some(Target::Distribution(id.clone())),
            (None, site) => site.clone().map(Target::Site),
        };
        let target = flag.or_else(configured).ok_or_else(|| {
            Failure::new(Code::Usage, "no distribution is named")
                .hint("`--distribution ID` or `--site URL`, or the same in [publish] of docs-publish.toml")
        })?;
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).app_name(app_name());
        if let Some(profile) = global.profile.as_ref().or(publish.profile.as_ref()) {
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &global.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let mut config = loader.load().await;
        // Everything that has a region has it from the distribution.
        if config.region().is_none() {
            config = config.into_builder().region(Region::new("us-east-1")).build();
        }
        Ok((config, target))
    }

    /// Asks the edge for the release that was switched to, at the distribution's own name, which is there without DNS of ours. A
    /// distribution that is being deployed is waited for, up to `patience`.
    async fn verify(&self, place: &Place, done: &Published, patience: Duration) -> Result<Verified, Failure> {
        let Some(id) = &done.release else { return Ok(Verified::default()) };
        if place.deploying && !place.deployed(patience, &|event| self.screen.watch(event)).await? {
            let text = format!(
                "the distribution {} is still being deployed after {} s: edges may not serve {id} yet",
                place.distribution,
                patience.as_secs()
            );
            self.screen.warn("note", &text);
        }
        let manifest = kept::manifest(place, id).await?;
        let edge = Edge::new(&place.domain, self.global.edge_url.as_deref())?;
        let depth = self.config.depth();
        let verified =
            verify_edge(&edge, &manifest, &done.changed, &depth, &|event| self.screen.watch(event)).await;
        self.screen.end();
        let verified = verified.map_err(|error| {
            let failure = Failure::new(Code::Partial, chain(&error));
            failure.hint(format!(
                "{id} is published, and was not seen at the edge; `docs-publish verify` asks again"
            ))
        })?;
        verify::tell(self.screen, &verified);
        Ok(verified)
    }

    /// The folder that flags or the configuration name.
    fn folder(&self, flag: Option<&Path>) -> Result<PathBuf, Failure> {
        let folder = flag.map(Path::to_owned).or_else(|| self.config.publish.folder.clone());
        folder.ok_or_else(|| {
            Failure::new(Code::Usage, "no folder is named").hint("name one, or write `folder` into [publish]")
        })
    }

    /// What is in it.
    async fn tree(&self, folder: PathBuf) -> Result<Tree, Failure> {
        let scanned = tokio::task::spawn_blocking(move || scan::scan(&folder)).await;
        let scanned = scanned.map_err(|error| Failure::bug(&error))?;
        Ok(scanned.map_err(causeway_docs_publish::Error::from)?)
    }

    /// What is to be published of it, as flags and the configuration choose.
    fn content(&self, tree: &Tree, chosen: &Chosen) -> Result<Content, Failure> {
        let publish = &self.config.publish;
        let encodings = chosen.precompress.as_ref().unwrap_or(&publish.precompress);
        let choices = Choices {
            style: chosen.style.or(publish.style).map(StyleName::style),
            immutable: publish.immutable.clone(),
            encodings: encodings.iter().copied().map(Into::into).collect(),
        };
        Ok(Content::of(tree, &choices).map_err(causeway_docs_publish::Error::from)?)
    }
}

/// A rule that may be allowed.
fn allowed(text: &str) -> Result<String, String> {
    let known = causeway_docs_publish::check::RULES;
    if known.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("the rules are {}", known.join(", ")))
    }
}

/// How calls of this program are told from others'.
fn app_name() -> aws_config::AppName {
    aws_config::AppName::new("docs-publish").unwrap_or_else(|_| unreachable!("it has letters and a hyphen"))
}
