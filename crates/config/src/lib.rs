//! Reads `causeway.toml` into typed configuration, and shows every mistake at its place in the file.
//!
//! Three looks, each only when the one before it was clean: the syntax; the shape (unknown keys, wrong types, missing
//! keys, all of them at once, checked against the very JSON Schema that editors use); and what cannot work, which the
//! configurations know themselves. [`File::given`] looks up what the file only names, and [`File::stack`] builds what it
//! asks for.

mod mistake;
mod place;
mod secrets;
mod shape;
mod wanted;

pub use causeway_stacks::state::{S3State, StateConfig};
pub use mistake::{Mistake, Mistakes};
pub use wanted::{GROUPS, group};

use causeway_core::moved::Moved;
use causeway_stacks::{
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
}

impl Config {
    /// Reads a configuration; `name` stands for it in messages.
    ///
    /// # Errors
    /// All [`Mistakes`] that one look finds.
    pub fn parse(name: &str, text: &str) -> Result<Self, Mistakes> {
        let unreadable = |m: Mistake| Mistakes::new(name, &place::masked_but(text, m.start()), vec![m]);
        let table = place::parse(text).map_err(unreadable)?;
        let shown = place::masked(text, &table);
        let mistakes = |found| Mistakes::new(name, &shown, found);
        if table.get_ref().is_empty() {
            let empty = Mistake::new("the file says nothing", "in this file", 0..0);
            return Err(mistakes(vec![empty.help("`deploy init -f FILE` writes one to start from")]));
        }
        let misshapen = shape::check(&table, &SCHEMA);
        if !misshapen.is_empty() {
            return Err(mistakes(misshapen));
        }
        let config: Config = toml::from_str(text).map_err(|e| mistakes(vec![Mistake::refused(&e)]))?;
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(mistakes(place::locate(&table, problems)));
        }
        Ok(config)
    }

    /// What cannot work, all of it.
    pub fn problems(&self) -> Vec<Problem> {
        let mut out = self.stack.problems();
        out.extend(self.guard.problems());
        out.extend(self.state.problems());
        out.extend(self.ecs.iter().flat_map(|ecs| ecs.problems(&self.stack)));
        out.extend(self.eks.iter().flat_map(|eks| eks.problems(&self.stack)));
        match (&self.ecs, &self.eks) {
            (None, None) => out.push(Problem {
                path: vec![],
                message: "the file names no target".into(),
                help: "add [ecs] for Coder on ECS, or [eks] for Coder on EKS; `deploy init` writes a file to start \
                       from"
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

/// Why a file gave no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is not text.
    #[error("{} is not UTF-8 text: the first byte that is none is in line {line}", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
    },
    /// It has mistakes.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

impl File {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read, and all mistakes in it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|b| **b == b'\n').count() + 1;
            Error::NotText { path: path.to_owned(), line }
        })?;
        let config = Config::parse(&path.display().to_string(), &text)?;
        Ok(File { config, path: path.to_owned(), text })
    }

    /// The folder that it is in: relative paths in it start there.
    pub fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    /// `problems` at their places in this file.
    pub fn mistakes(&self, problems: Vec<Problem>) -> Mistakes {
        let found = match place::parse(&self.text) {
            Ok(table) => place::locate(&table, problems),
            Err(unreadable) => vec![unreadable],
        };
        Mistakes::new(&self.path.display().to_string(), &self.text, found)
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
