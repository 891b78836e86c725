//! Looks secrets up where the file says that they are.

use crate::{File, Mistakes};
use causeway_core::Secret;
use causeway_stacks::config::{Problem, SecretSource};
use std::{collections::BTreeMap, path::Path};

impl File {
    /// The secrets that whoever runs the deployment has to bring, by the name that they have in the file. Those that
    /// are in Secrets Manager already are not among them. `environment` answers for a variable.
    ///
    /// # Errors
    /// Every secret that is not to be found.
    pub fn secrets(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, Secret>, Mistakes> {
        let (mut found, mut problems) = (BTreeMap::new(), vec![]);
        for (name, source) in self.config.ecs.iter().flat_map(|ecs| &ecs.secrets) {
            match look_up(source, self.folder(), environment) {
                None => {}
                Some(Ok(secret)) => {
                    found.insert(name.clone(), secret);
                }
                Some(Err((message, help))) => {
                    problems.push(Problem::at("ecs.secrets", message, help).key(name));
                }
            }
        }
        if problems.is_empty() { Ok(found) } else { Err(self.mistakes(problems)) }
    }
}

type Missing = (String, String);

/// `None`: not ours to look up.
fn look_up(
    source: &SecretSource,
    folder: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<Result<Secret, Missing>> {
    match source {
        SecretSource::Env(name) => Some(match environment(name) {
            Some(value) if !value.is_empty() => Ok(Secret::new(value)),
            Some(_) => {
                Err((format!("the environment variable {name} is empty"), format!("export {name}=...")))
            }
            None => {
                Err((format!("the environment variable {name} is not set"), format!("export {name}=...")))
            }
        }),
        SecretSource::File(path) => {
            let path = folder.join(path);
            let name = path.display();
            Some(match std::fs::read_to_string(&path) {
                Ok(text) => match text.trim_end_matches(['\r', '\n']) {
                    "" => Err((format!("the file {name} is empty"), "write the secret into it".into())),
                    secret => Ok(Secret::new(secret)),
                },
                Err(e) => Err((
                    format!("cannot read the secret in {name}: {e}"),
                    "the path starts at the folder of this file".into(),
                )),
            })
        }
        SecretSource::Aws { .. } => None,
    }
}
