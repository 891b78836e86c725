//! Reads `causeway.toml` into typed configuration, and shows every mistake at its place in the file.
//!
//! Three looks, each only when the one before it was clean: the syntax; the shape (unknown keys, wrong types, missing
//! keys, all of them at once, checked against the very JSON Schema that editors use); and what cannot work, which the
//! configurations know themselves. [`File::given`] looks up what the file only names, and [`File::stack`] builds what it
//! asks for.

mod secrets;
mod wanted;

pub use causeway_settings::{Error, Mistake, Mistakes};
pub use causeway_stacks::state::{S3State, StateConfig};
pub use wanted::{GROUPS, group};

use causeway_core::moved::Moved;
use causeway_stacks::{
    cloudfront::{DISTRIBUTION, Docs},
    config::{GuardConfig, Problem, StackConfig},
    ecs::Ecs,
    eks::Eks,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// The whole of `causeway.toml`. A new target is one more field here and one more line in [`Config::problems`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is the same for every target.
    pub stack: StackConfig,
    /// What a run may do.
    #[serde(default)]
    pub guard: GuardConfig,
    /// Where the journal is kept.
    #[serde(default)]
    pub state: StateConfig,
    /// What stands at another address than it was made at.
    #[serde(default)]
    pub moved: Vec<Moved>,
    /// What people made and the stack takes over: by its address in the stack, the id, the name or the ARN of what is
    /// there. `deploy adopt` writes these lines.
    #[serde(default)]
    pub adopt: BTreeMap<String, String>,
    /// Coder on ECS.
    pub ecs: Option<Ecs>,
    /// Coder on EKS.
    pub eks: Option<Eks>,
    /// A static site on CloudFront, alone or beside Coder.
    pub docs: Option<Docs>,
}

impl Config {
    /// Reads a configuration; `name` stands for it in messages.
    ///
    /// # Errors
    /// All [`Mistakes`] that one look finds.
    pub fn parse(name: &str, text: &str) -> Result<Self, Mistakes> {
        let empty = "`deploy init -f FILE` writes one to start from";
        causeway_settings::parse(name, text, &SCHEMA, empty, Config::problems)
    }

    /// What cannot work, all of it.
    pub fn problems(&self) -> Vec<Problem> {
        let mut out = self.stack.problems();
        out.extend(self.guard.problems());
        out.extend(self.state.problems());
        out.extend(self.ecs.iter().flat_map(|ecs| ecs.problems(&self.stack)));
        out.extend(self.eks.iter().flat_map(|eks| eks.problems(&self.stack)));
        out.extend(self.docs.iter().flat_map(|docs| docs.problems(&self.stack)));
        if self.docs.as_ref().is_some_and(|docs| docs.origin.is_none())
            && self.adopt.contains_key(DISTRIBUTION)
        {
            out.push(Problem::at(
                "docs",
                "a distribution is taken over, and nothing says what its visitors get",
                "write `origin = \"website\"`, and in `website` the host that they are served from now; once \
                 `docs-publish` has published, `origin = \"private\"`",
            ));
        }
        match (&self.ecs, &self.eks) {
            (None, None) if self.docs.is_none() => out.push(Problem {
                path: vec![],
                message: "the file names no target".into(),
                help: "add [ecs] for Coder on ECS, [eks] for Coder on EKS, or [docs] for a static site; `deploy init` \
                       writes a file to start from"
                    .into(),
            }),
            (Some(_), Some(_)) => out.push(Problem::at(
                "eks",
                "the file names two targets",
                "write a file for each, with a name of its own in [stack]",
            )),
            _ => {}
        }
        out
    }
}

/// A configuration with the file that it came from.
#[derive(Clone, Debug)]
pub struct File {
    /// What it says.
    pub config: Config,
    path: PathBuf,
    text: String,
}

impl File {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, and all mistakes in it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = causeway_settings::text(path)?;
        let config = Config::parse(&path.display().to_string(), &text)?;
        Ok(File { config, path: path.to_owned(), text })
    }

    /// The folder that it is in: relative paths in it start there.
    pub fn folder(&self) -> &Path {
        causeway_settings::folder(&self.path)
    }

    /// `problems` at their places in this file.
    pub fn mistakes(&self, problems: Vec<Problem>) -> Mistakes {
        causeway_settings::located(&self.path.display().to_string(), &self.text, problems)
    }
}

/// Made once: it takes longer than all the rest of reading a file.
static SCHEMA: LazyLock<Json> = LazyLock::new(|| schemars::schema_for!(Config).to_value());

/// The JSON Schema of `causeway.toml`.
pub fn schema() -> Json {
    SCHEMA.clone()
}

/// A commented `causeway.toml` to start from.
pub fn init_template() -> &'static str {
    include_str!("init.toml")
}

/// The same for a static site alone.
pub fn init_docs_template() -> &'static str {
    include_str!("init-docs.toml")
}
