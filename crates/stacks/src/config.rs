//! What the configurations of all targets have in common.

pub use causeway_settings::{Problem, SecretSource};

use causeway_aws::lint::LINTS;
use causeway_core::{
    Secret,
    freeze::{Day, Freeze, FreezeError},
    signature::PublicKey,
};
use causeway_k8s::images::Images;
use causeway_oci::Reference;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `[stack]`: what is the same for every target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StackConfig {
    /// Its name: in every ownership tag, and the start of most names. Lowercase letters, digits and hyphens.
    pub name: String,
    /// The AWS region, like `us-east-1`. Always explicit, so that nothing ends up where a shell happens to point.
    pub region: String,
    /// The AWS account that this is for, in 12 digits. Credentials for another one are refused. Any if left out.
    pub account: Option<String>,
    /// Tags on everything that can carry tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// `[guard]`: what a run may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardConfig {
    /// How many resources may be removed in one run, unless everything is to go.
    pub max_removals: usize,
    /// Ports that may be open to the whole internet.
    pub public_ports: Vec<u16>,
    /// Lints whose findings are let be, like `public-cluster-endpoint`. Say why in a comment.
    pub allow: Vec<String>,
    /// Addresses that are never deleted or replaced; `*` stands for anything.
    pub protect: Vec<String>,
    /// Who may approve a plan: public Ed25519 keys, as OpenSSH or PEM writes them. Then a plan is applied only from a
    /// file that one of them has signed.
    pub plan_signers: Vec<String>,
    /// When nothing is to be changed.
    pub freeze: Vec<FreezeConfig>,
}

/// `[[guard.freeze]]`: when nothing is to be changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeConfig {
    /// What people call it.
    pub name: String,
    /// The time zone of `days`, `from` and `to`, as IANA names it, like `Europe/Berlin`.
    pub zone: String,
    /// Each week on these days. Without any, it is once.
    #[serde(default)]
    pub days: Vec<Day>,
    /// When it begins: a time like `18:00` on each of `days`, or a date and time like `2026-12-20T18:00`.
    pub from: Option<String>,
    /// When it ends. A time that is not after `from` is on the next day.
    pub to: Option<String>,
}

impl FreezeConfig {
    /// As the guard takes it.
    ///
    /// # Errors
    /// What makes no window.
    pub fn freeze(&self) -> Result<Freeze, FreezeError> {
        Freeze::new(&self.name, &self.zone, &self.days, self.from.as_deref(), self.to.as_deref())
    }
}

impl GuardConfig {
    /// What cannot work.
    pub fn problems(&self) -> Vec<Problem> {
        let mut out = vec![];
        let freezes = self.freeze.iter().enumerate();
        for (i, error) in freezes.filter_map(|(i, freeze)| Some((i, freeze.freeze().err()?))) {
            let help = "each week: days = [\"sat\", \"sun\"], and from = \"18:00\", to = \"08:00\" if it is not the whole \
                        day; once: from = \"2026-12-20T18:00\", to = \"2027-01-04T08:00\"; zone = \"Europe/Berlin\"";
            out.push(
                Problem::at("guard.freeze", error.to_string(), help).key(&i.to_string()).key(error.field),
            );
        }
        let lints: Vec<&str> = LINTS.iter().map(|lint| lint.name).collect();
        for (i, name) in self.allow.iter().enumerate().filter(|(_, name)| !lints.contains(&name.as_str())) {
            let help = format!("there are {}", lints.join(", "));
            out.push(
                Problem::at("guard.allow", format!("there is no lint `{name}`"), help).key(&i.to_string()),
            );
        }
        for (i, key) in self.plan_signers.iter().enumerate() {
            if let Err(error) = PublicKey::parse(key) {
                let help =
                    "the line of a `.pub` file of OpenSSH, or what `openssl pkey -in KEY -pubout` prints";
                let said = format!("this is no key that can have signed a plan: {error}");
                out.push(Problem::at("guard.plan_signers", said, help).key(&i.to_string()));
            }
        }
        out
    }
}

impl Default for GuardConfig {
    fn default() -> Self {
        GuardConfig {
            max_removals: 20,
            public_ports: vec![80, 443],
            allow: vec![],
            protect: vec![],
            plan_signers: vec![],
            freeze: vec![],
        }
    }
}

/// What a configuration only names: looked up by whoever builds the stack, which itself reads nothing.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The values of `env:` and `file:` secrets, by where they stand in the file, like
    /// `ecs.secrets.CODER_OIDC_CLIENT_SECRET`.
    pub secrets: BTreeMap<String, Secret>,
    /// The digest of the image in the folder that `[ecs.image] source` names.
    pub source_digest: Option<String>,
    /// What runs in clusters beside Coder.
    pub images: Images,
    /// What is copied into the repositories of the stack.
    pub copies: Vec<Copied>,
    /// When nothing is to be changed, for jobs that change something.
    pub freezes: Vec<FreezeConfig>,
}

/// An image of others, and the repository of ours that it is copied into, under the tag that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The repository, as `[eks.registry] repositories` names it.
    pub to: String,
    /// The image.
    pub from: Reference,
}

/// The words before the number of a region, as far as AWS has used them.
const SIDES: [&str; 9] =
    ["central", "east", "north", "northeast", "northwest", "south", "southeast", "southwest", "west"];

/// Whether `name` has the shape of a region's name.
pub(crate) fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    parts.len() >= 3
        && parts.last().is_some_and(|n| n.parse::<u8>().is_ok())
        && parts.iter().rev().nth(1).is_some_and(|side| SIDES.contains(side))
        && parts
            .iter()
            .all(|p| p.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) && !p.is_empty())
}

/// How many tags people may set: AWS allows 50 on a resource, and the stack needs its own.
const TAGS: usize = 40;

impl StackConfig {
    /// What cannot work.
    pub fn problems(&self) -> Vec<Problem> {
        let mut out = vec![];
        let name = &self.name;
        let fits = !name.is_empty()
            && name.len() <= 20
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && !name.ends_with('-');
        if !fits {
            out.push(Problem::at(
                "stack.name",
                format!("`{name}` cannot be the name of a stack"),
                "1 to 20 lowercase letters, digits and hyphens, a letter first: it becomes part of AWS names",
            ));
        }
        let region = &self.region;
        if !is_region(region) {
            out.push(Problem::at(
                "stack.region",
                format!("`{region}` is not an AWS region"),
                "write it as AWS does, like `us-east-1` or `eu-west-2`",
            ));
        }
        if let Some(account) =
            self.account.as_ref().filter(|a| a.len() != 12 || !a.bytes().all(|b| b.is_ascii_digit()))
        {
            out.push(Problem::at(
                "stack.account",
                format!("`{account}` is not the number of an AWS account"),
                "write its 12 digits in quotes; `aws sts get-caller-identity` shows them",
            ));
        }
        for key in self.tags.keys().filter(|k| k.starts_with("aws:") || k.starts_with("causeway:")) {
            out.push(
                Problem::at(
                    "stack.tags",
                    format!("tags that start like `{key}` are not yours to set"),
                    "`aws:` belongs to AWS and `causeway:` says who owns what; choose another key",
                )
                .key(key),
            );
        }
        if self.tags.len() > TAGS {
            let message = format!("{} tags are more than {TAGS}", self.tags.len());
            let help = "AWS allows 50 on a resource, and the stack adds some of its own; remove some";
            out.push(Problem::at("stack.tags", message, help));
        }
        let legal = |c: char| c.is_alphanumeric() || " +-=._:/@".contains(c);
        for (key, value) in &self.tags {
            let long = key.chars().count() > 128 || value.chars().count() > 256;
            if key.is_empty() || long || !key.chars().chain(value.chars()).all(legal) {
                let message = format!("the tag `{key}` is not one that AWS takes");
                let help =
                    "a key of 1 to 128 and a value of up to 256 letters, digits, spaces and `+-=._:/@`";
                out.push(Problem::at("stack.tags", message, help).key(key));
            }
        }
        out
    }
}
