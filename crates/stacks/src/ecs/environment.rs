//! The environment of Coder: what the stack sets, what people may set, and the names that are mistakes.

use super::config::Ecs;
pub(super) use crate::variables::DATABASE;
use crate::{config::Problem, variables};
use std::collections::BTreeMap;

/// The port that Coder listens on inside its task.
pub(super) const PORT: u16 = 3000;

/// What the stack sets itself, by name.
pub(super) fn own(config: &Ecs) -> BTreeMap<String, String> {
    let prefix = &config.env_prefix;
    let mut out = BTreeMap::from([
        ("CODER_HTTP_ADDRESS".to_owned(), format!("0.0.0.0:{PORT}")),
        (format!("{prefix}ACCESS_URL"), config.access_url.trim_end_matches('/').to_owned()),
    ]);
    if let Some(wildcard) = &config.wildcard_access_url {
        out.insert(format!("{prefix}WILDCARD_ACCESS_URL"), wildcard.clone());
    }
    if let Some(docs) = &config.docs_url {
        out.insert("CODER_DOCS_URL".to_owned(), docs.clone());
    }
    out
}

/// Names that cannot work.
pub(super) fn problems(config: &Ecs) -> Vec<Problem> {
    let mut out = vec![];
    let prefix = &config.env_prefix;
    if prefix.is_empty() || !prefix.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    {
        out.push(Problem::at(
            "ecs.env_prefix",
            format!("`{prefix}` cannot start the name of a variable"),
            "capital letters, digits and underscores, like `CODER_` or `WORKBENCH_`",
        ));
    }
    let names = config.environment.keys().map(|n| ("ecs.environment", n));
    let names = names.chain(config.secrets.keys().map(|n| ("ecs.secrets", n)));
    for (table, name) in names {
        if let Some((message, help)) = mistake(config, name) {
            out.push(Problem::at(table, message, help).key(name));
        }
    }
    for (name, source) in &config.secrets {
        if let crate::config::SecretSource::Aws { id, .. } = source
            && !id.starts_with("arn:")
        {
            let message = format!("`{id}` is the name of a secret, and ECS takes only its ARN");
            out.push(
                Problem::at("ecs.secrets", message, "write `aws-secret:arn:aws:secretsmanager:..`").key(name),
            );
        }
    }
    out
}

fn mistake(config: &Ecs, name: &str) -> Option<(String, String)> {
    let meant = |right: &str| {
        let right = right
            .strip_prefix("CODER_")
            .filter(|r| r.ends_with("ACCESS_URL"))
            .map_or_else(|| right.to_owned(), |rest| format!("{}{rest}", config.env_prefix));
        (format!("Coder does not know `{name}`"), format!("did you mean `{right}`?"))
    };
    if name == DATABASE || own(config).contains_key(name) {
        let help = "remove it; the stack knows the value from the rest of the file";
        return Some((format!("`{name}` is set by the stack"), help.to_owned()));
    }
    variables::meant(name).map(meant)
}
