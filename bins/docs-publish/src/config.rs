//! `docs-publish.toml`. All of it can be left out: flags say the same.

use causeway_docs_publish::{gc::Keep, wanted::Choices};
use causeway_settings::{Error, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// What the file is called where no flag says it.
const NAME: &str = "docs-publish.toml";

/// The whole of `docs-publish.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What is published, and where.
    pub(crate) publish: PublishConfig,
    /// Which releases are kept.
    pub(crate) gc: GcConfig,
}

/// `[publish]`: what is published, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PublishConfig {
    /// The folder that is published.
    pub(crate) folder: Option<PathBuf>,
    /// The distribution, by its id.
    pub(crate) distribution: Option<String>,
    /// The distribution, by one of its names, like `https://docs.example.com`.
    pub(crate) site: Option<String>,
    /// The profile of the AWS CLI.
    pub(crate) profile: Option<String>,
    /// A command that makes the folder, like `pnpm build`. It runs first.
    pub(crate) build: Option<String>,
    /// How pages are spelled: `directory` for `/guide/`, `file` for `/guide`. Seen from the files if left out.
    pub(crate) style: Option<StyleName>,
    /// What the paths of files start with whose names change with their content, instead of those of Next.js, Astro, Nuxt and
    /// SvelteKit: `["/assets/"]`.
    pub(crate) immutable: Option<Vec<String>>,
    /// How many objects are made at once.
    #[schemars(range(min = 1, max = 256))]
    pub(crate) jobs: u32,
}

impl Default for PublishConfig {
    fn default() -> Self {
        PublishConfig {
            folder: None,
            distribution: None,
            site: None,
            profile: None,
            build: None,
            style: None,
            immutable: None,
            jobs: 32,
        }
    }
}

/// How pages are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StyleName {
    /// `/guide/`, from `guide/index.html`.
    Directory,
    /// `/guide`, from `guide.html`.
    File,
}

/// `[gc]`: which releases are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GcConfig {
    /// So many of the newest.
    #[schemars(range(min = 1, max = 10000))]
    pub(crate) releases: u32,
    /// And all that are younger than so many days.
    #[schemars(range(min = 0, max = 36500))]
    pub(crate) days: u32,
    /// The most objects that a run may remove.
    #[schemars(range(min = 1, max = 100000000))]
    pub(crate) most: u32,
}

impl Default for GcConfig {
    fn default() -> Self {
        GcConfig { releases: 10, days: 30, most: 100_000 }
    }
}

impl Config {
    /// What the file says; nothing if none is named and there is none of the usual name. Paths in it start in its folder.
    pub(crate) fn read(file: Option<&Path>) -> Result<Config, Error> {
        let path = match file {
            Some(path) => path,
            None if Path::new(NAME).exists() => Path::new(NAME),
            None => return Ok(Config::default()),
        };
        let text = causeway_settings::text(path)?;
        let empty = "`[publish]` says what is published, and where; flags say the same without a file";
        let name = path.display().to_string();
        let mut config: Config = causeway_settings::parse(&name, &text, &SCHEMA, empty, Config::problems)?;
        let folder = causeway_settings::folder(path);
        config.publish.folder = config.publish.folder.map(|inside| folder.join(inside));
        Ok(config)
    }

    fn problems(&self) -> Vec<Problem> {
        let publish = &self.publish;
        let mut problems = vec![];
        if publish.distribution.is_some() && publish.site.is_some() {
            problems.push(Problem::at(
                "publish.site",
                "`distribution` and `site` both say which distribution is meant".to_owned(),
                "leave one of them out",
            ));
        }
        for prefix in publish.immutable.iter().flatten() {
            if prefix.len() < 3 || !prefix.starts_with('/') || !prefix.ends_with('/') {
                problems.push(Problem::at(
                    "publish.immutable",
                    format!("`{prefix}` is no beginning of paths"),
                    "write it with a slash at its start and its end, as in `/assets/`",
                ));
            }
        }
        problems
    }

    pub(crate) fn choices(&self) -> Choices {
        let style = self.publish.style.map(StyleName::style);
        Choices { style, immutable: self.publish.immutable.clone() }
    }

    pub(crate) fn keep(&self) -> Keep {
        let GcConfig { releases, days, most } = self.gc;
        Keep { releases: releases as usize, days, most: most as usize }
    }
}

impl StyleName {
    pub(crate) fn style(self) -> causeway_docs_publish::wanted::Style {
        match self {
            StyleName::Directory => causeway_docs_publish::wanted::Style::Directory,
            StyleName::File => causeway_docs_publish::wanted::Style::File,
        }
    }
}

static SCHEMA: LazyLock<Json> = LazyLock::new(|| schemars::schema_for!(Config).to_value());

pub(crate) fn schema() -> &'static Json {
    &SCHEMA
}
