//! The outputs of a stack, as `deploy outputs --json` writes them.

use super::{Answer, Found, Source, SourceError, Waiting};
use causeway_dns::Class;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value as Json;
use std::{collections::BTreeMap, path::PathBuf};

/// A file of outputs.
pub struct OutputsFile {
    label: String,
    file: PathBuf,
    names: BTreeMap<String, String>,
}

/// As much of the document as counts here. Without a document around it, it is the outputs alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Whole { result: Outputs },
    Outputs(Outputs),
}

#[derive(Deserialize)]
struct Outputs {
    outputs: BTreeMap<String, Json>,
}

impl OutputsFile {
    /// Of the stack `name`: by name, the output that it leads to.
    pub fn new(name: &str, file: PathBuf, names: BTreeMap<String, String>) -> Self {
        OutputsFile { label: format!("outputs/{name}"), file, names }
    }

    fn answer(&self, text: &[u8]) -> Result<Answer, SourceError> {
        let act = || format!("reading {}", self.file.display());
        let document: Document = serde_json::from_slice(text).map_err(|_| {
            SourceError::new(act(), "it is not what `deploy outputs --json` writes; write it anew")
        })?;
        let (Document::Whole { result: all } | Document::Outputs(all)) = document;
        let mut answer = Answer::default();
        for (name, output) in &self.names {
            let waits = |why: String| Waiting { name: name.clone(), why };
            let values = match all.outputs.get(output) {
                None => {
                    let known: Vec<&str> = all.outputs.keys().map(String::as_str).collect();
                    let why = format!("there is no output `{output}`; there is {}", known.join(", "));
                    return Err(SourceError::new(act(), why));
                }
                Some(Json::Null) => {
                    answer.waiting.push(waits(format!("the output `{output}` is not known yet")));
                    continue;
                }
                Some(Json::String(text)) => vec![text.clone()],
                Some(Json::Array(items)) if items.iter().all(Json::is_string) && !items.is_empty() => {
                    items.iter().filter_map(Json::as_str).map(str::to_owned).collect()
                }
                Some(_) => {
                    let why = format!("the output `{output}` is neither text nor a list of texts");
                    return Err(SourceError::new(act(), why));
                }
            };
            let by = format!("the output `{output}`");
            let (name, class) = (name.clone(), Class::Address);
            answer.found.push(Found { name, class, values, ttl: None, proxied: None, by });
        }
        Ok(answer)
    }
}

impl Source for OutputsFile {
    fn label(&self) -> &str {
        &self.label
    }

    fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    fn read(&self) -> BoxFuture<'_, Result<Answer, SourceError>> {
        Box::pin(async {
            let text = tokio::fs::read(&self.file).await;
            self.answer(&text.map_err(|e| SourceError::new(format!("reading {}", self.file.display()), e))?)
        })
    }
}
