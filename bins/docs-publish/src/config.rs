//! `docs-publish.toml`. All of it can be left out: flags say the same.

use causeway_docs_publish::{
    check::{RULES, Rules, Weight},
    gc::Keep,
    verify::Depth,
    wanted::Encoding,
};
use causeway_settings::{Error, Problem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

/// What the file is called where no flag says it.
const NAME: &str = "docs-publish.toml";

/// The whole of `docs-publish.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What is published, and where.
    pub(crate) publish: PublishConfig,
    /// What is looked for in the folder before it is published.
    pub(crate) checks: ChecksConfig,
    /// How the edge is asked afterwards.
    pub(crate) verify: VerifyConfig,
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
    /// How text is there compressed besides as it is: `["br", "gzip"]`. CloudFront compresses what is left out, as well as it can in
    /// a hurry.
    pub(crate) precompress: Vec<EncodingName>,
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
            precompress: vec![],
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

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EncodingName {
    /// Brotli.
    Br,
    /// Gzip.
    Gzip,
}

impl From<EncodingName> for Encoding {
    fn from(name: EncodingName) -> Encoding {
        match name {
            EncodingName::Br => Encoding::Br,
            EncodingName::Gzip => Encoding::Gzip,
        }
    }
}

/// `[checks]`: what is looked for in the folder before it is published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChecksConfig {
    /// Rules that do not count: `home`, `shrunken`, `secret`, `source-map`, `budget`, `reserved`, `name`, `case`, `hidden`, `link`,
    /// `anchor`.
    pub(crate) allow: Vec<String>,
    /// The most megabytes of all files.
    pub(crate) most_megabytes: Option<u32>,
    /// The most megabytes of a file.
    pub(crate) most_megabytes_of_a_file: Option<u32>,
    /// By how many percent a site may have fewer files than what visitors get.
    #[schemars(range(min = 0, max = 100))]
    pub(crate) shrink_percent: u32,
    /// What becomes of links inside the site that lead nowhere.
    pub(crate) links: WeightName,
    /// What becomes of links to places in pages that are not there.
    pub(crate) anchors: WeightName,
}

impl Default for ChecksConfig {
    fn default() -> Self {
        ChecksConfig {
            allow: vec![],
            most_megabytes: None,
            most_megabytes_of_a_file: None,
            shrink_percent: 50,
            links: WeightName::Note,
            anchors: WeightName::Off,
        }
    }
}

/// What becomes of something that is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WeightName {
    /// It is not looked for.
    Off,
    /// It is told.
    Note,
    /// It keeps the folder from being published.
    Refuse,
}

impl From<WeightName> for Weight {
    fn from(name: WeightName) -> Weight {
        match name {
            WeightName::Off => Weight::Off,
            WeightName::Note => Weight::Note,
            WeightName::Refuse => Weight::Refuse,
        }
    }
}

/// `[verify]`: how the edge is asked after a switch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VerifyConfig {
    /// So many files that did not change are asked for, too.
    #[schemars(range(min = 0, max = 100000))]
    pub(crate) sample: u32,
    /// For how many seconds the edge may take to show a release.
    #[schemars(range(min = 1, max = 3600))]
    pub(crate) patience: u32,
}

impl Default for VerifyConfig {
    fn default() -> Self {
        VerifyConfig { sample: 50, patience: 180 }
    }
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
        for rule in self.checks.allow.iter().filter(|rule| !RULES.contains(&rule.as_str())) {
            problems.push(Problem::at(
                "checks.allow",
                format!("`{rule}` is no rule"),
                format!("the rules are {}", RULES.join(", ")),
            ));
        }
        problems
    }

    /// What is looked for, but for what `allowed` allows as well.
    pub(crate) fn rules(&self, allowed: &[String]) -> Rules {
        let checks = &self.checks;
        let bytes = |megabytes: Option<u32>| megabytes.map(|m| u64::from(m) * 1_000_000);
        Rules {
            allow: checks.allow.iter().chain(allowed).cloned().collect(),
            most_bytes: bytes(checks.most_megabytes),
            most_file_bytes: bytes(checks.most_megabytes_of_a_file),
            shrink_percent: checks.shrink_percent as usize,
            links: checks.links.into(),
            anchors: checks.anchors.into(),
        }
    }

    pub(crate) fn depth(&self) -> Depth {
        let patience = Duration::from_secs(self.verify.patience.into());
        Depth { sample: self.verify.sample as usize, patience, ..Depth::default() }
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
