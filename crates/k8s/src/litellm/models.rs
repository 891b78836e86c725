//! Which models there are, where, and how much each may be asked.

use std::collections::BTreeMap;

/// Whose API a model is asked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Amazon Bedrock, by the inference profile that spreads over the regions of the US.
    Bedrock,
    /// Vertex AI of Google Cloud.
    Vertex,
}

/// How much a deployment may be asked in a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests.
    pub rpm: u64,
    /// Tokens.
    pub tpm: u64,
}

/// One model in one region. Those with the same name stand in for each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What people ask for.
    pub name: String,
    /// Whose it is.
    pub provider: Provider,
    /// What the provider calls it, like `claude-3-haiku-20240307-v1:0`.
    pub model: String,
    /// Where it is asked, in the provider's words.
    pub region: String,
    /// How much.
    pub limits: Limits,
    /// Whether prices and windows are looked up by the provider's name of it.
    pub is_known: bool,
}

impl Model {
    /// As LiteLLM calls it.
    pub fn id(&self) -> String {
        match self.provider {
            Provider::Bedrock => format!("bedrock/us.anthropic.{}", self.model),
            Provider::Vertex => format!("vertex_ai/{}", self.model),
        }
    }
}

const HAIKU: &str = "anthropic.claude.haiku";
const SONNET: &str = "anthropic.claude.sonnet";

type Row = (&'static str, Provider, &'static str, &'static str, u64, u64);

/// Name, provider, model, region, requests and tokens a minute.
#[rustfmt::skip]
const DEFAULT: [Row; 20] = {
    use Provider::{Bedrock, Vertex};
    [
        (HAIKU, Bedrock, "claude-3-haiku-20240307-v1:0", "us-east-2", 800, 600_000),
        (HAIKU, Bedrock, "claude-3-5-haiku-20241022-v1:0", "us-east-2", 10, 50_000),
        (HAIKU, Bedrock, "claude-3-haiku-20240307-v1:0", "us-west-2", 20, 40_000),
        (HAIKU, Bedrock, "claude-3-5-haiku-20241022-v1:0", "us-west-2", 20, 40_000),
        (HAIKU, Bedrock, "claude-3-haiku-20240307-v1:0", "us-east-1", 20, 40_000),
        (HAIKU, Bedrock, "claude-3-5-haiku-20241022-v1:0", "us-east-1", 20, 40_000),
        (HAIKU, Vertex, "claude-3-haiku@20240307", "europe-west1", 370, 907_000),
        (HAIKU, Vertex, "claude-3-haiku@20240307", "us-east5", 1_220, 3_000_000),
        (HAIKU, Vertex, "claude-3-haiku@20240307", "us-central1", 1_220, 3_000_000),
        (SONNET, Bedrock, "claude-3-5-sonnet-20241022-v2:0", "us-east-2", 100, 800_000),
        (SONNET, Bedrock, "claude-3-7-sonnet-20250219-v1:0", "us-east-2", 4, 10_000),
        (SONNET, Bedrock, "claude-3-7-sonnet-20250219-v1:0", "us-west-2", 4, 10_000),
        (SONNET, Bedrock, "claude-3-7-sonnet-20250219-v1:0", "us-east-1", 4, 10_000),
        (SONNET, Bedrock, "claude-3-sonnet-20240229-v1:0", "us-west-2", 10, 20_000),
        (SONNET, Vertex, "claude-3-7-sonnet@20250219", "europe-west1", 280, 1_500_000),
        (SONNET, Vertex, "claude-3-7-sonnet@20250219", "us-east5", 385, 2_500_000),
        (SONNET, Vertex, "claude-3-5-sonnet@20240620", "europe-west1", 650, 3_000_000),
        (SONNET, Vertex, "claude-3-5-sonnet@20240620", "us-east5", 600, 2_775_000),
        (SONNET, Vertex, "claude-3-5-sonnet-v2@20241022", "europe-west1", 275, 1_670_000),
        (SONNET, Vertex, "claude-3-5-sonnet-v2@20241022", "us-east5", 450, 2_720_000),
    ]
};

/// Claude's small and middle models at Bedrock and Vertex: twenty deployments under two names. Without `vertex`, only those of
/// Bedrock.
pub fn default_models(vertex: bool) -> Vec<Model> {
    let model = |&(name, provider, model, region, rpm, tpm): &Row| Model {
        name: name.to_owned(),
        provider,
        model: model.to_owned(),
        region: region.to_owned(),
        limits: Limits { rpm, tpm },
        is_known: model != "claude-3-sonnet-20240229-v1:0",
    };
    DEFAULT.iter().filter(|row| vertex || row.1 == Provider::Bedrock).map(model).collect()
}

/// How much all deployments under each name may be asked together, and how many they are.
pub fn sums(models: &[Model]) -> BTreeMap<&str, (usize, Limits)> {
    let mut all: BTreeMap<&str, (usize, Limits)> = BTreeMap::new();
    for model in models {
        let (count, sum) = all.entry(&model.name).or_default();
        *count += 1;
        sum.rpm += model.limits.rpm;
        sum.tpm += model.limits.tpm;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_models_are_as_many_as_they_were() {
        let models = default_models(true);
        let expected = BTreeMap::from([
            (HAIKU, (9, Limits { rpm: 3_700, tpm: 7_717_000 })),
            (SONNET, (11, Limits { rpm: 2_762, tpm: 15_015_000 })),
        ]);
        assert_eq!(sums(&models), expected);
        let models = default_models(false);
        let rpm: Vec<u64> = sums(&models).values().map(|(_, sum)| sum.rpm).collect();
        assert_eq!(rpm, [890, 122], "what Bedrock has alone");
    }
}
