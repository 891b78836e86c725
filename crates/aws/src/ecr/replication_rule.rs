//! Images that are copied to other regions or accounts:
//! <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutReplicationConfiguration.html>.

use super::Ecr;
use crate::{Aws, Call};
use aws_sdk_ecr::types::{
    ReplicationConfiguration, ReplicationDestination, ReplicationRule as SdkRule, RepositoryFilter,
    RepositoryFilterType,
};
use causeway_core::{Cx, Error, Live, Owner, Recovery, Resource, Set, Status, Value, diff::Diff, outputs};
use serde::{Deserialize, Serialize};

/// One rule of the replication configuration, of which a registry (an account in a region) has exactly one.
///
/// The rules of others stay as they are: they are read, and written again beside ours. AWS has no call for one rule, so
/// two programs that change the rules of one registry in the same second can still undo each other; the next plan shows
/// it. Only images that are pushed from then on are copied, and what was copied stays when the rule goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReplicationRule {
    /// Repositories whose names begin with one of these; a whole name for a single one. This is what the rule is
    /// recognised by. Never empty, as that would be every repository of the registry.
    pub repository_prefixes: Set<String>,
    /// Where to. Up to 25 in all rules.
    pub destinations: Set<Destination>,
}

/// A registry that images are copied to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    /// Like `us-west-2`.
    pub region: String,
    /// The account. Another one must allow it in its registry policy.
    pub registry_id: Value<String>,
}

outputs! {
    /// What a rule tells others.
    pub struct ReplicationRuleOutputs => ReplicationRuleRefs {
        /// The account whose registry it is in.
        pub registry_id: String,
    }
}

impl Resource for ReplicationRule {
    const KIND: &'static str = "aws.ecr.replication_rule";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["repository_prefixes"]);
    const REPLACE: &'static [&'static str] = &["repository_prefixes"];
    type Client = Aws;
    type Outputs = ReplicationRuleOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let (registry_id, rules) = rules(&cx.client.ecr).await?;
        let prefixes = self.prefixes()?;
        let ours = rules.into_iter().find(|rule| prefixes_of(rule) == prefixes);
        Ok(ours.map(|rule| Live {
            spec: ReplicationRule {
                repository_prefixes: self.repository_prefixes.clone(),
                destinations: rule
                    .destinations
                    .into_iter()
                    .map(|to| Destination { region: to.region, registry_id: to.registry_id.into() })
                    .collect(),
            },
            outputs: ReplicationRuleOutputs { registry_id },
            status: Status::Ready,
            owner: Owner::Parent,
        }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        self.put(cx, true).await
    }

    async fn update(&self, cx: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        self.put(cx, true).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        self.put(cx, false).await
    }
}

impl ReplicationRule {
    fn prefixes(&self) -> Result<Vec<String>, Error> {
        let mut prefixes = self.repository_prefixes.get()?;
        if prefixes.is_empty() {
            let why = "a replication rule without `repository_prefixes` would copy every repository of the account; name some";
            return Err(Error::Invalid(why.into()));
        }
        prefixes.sort();
        prefixes.dedup();
        Ok(prefixes)
    }

    /// Writes the rules of the registry with this one in its place, or without it.
    async fn put(&self, cx: &Cx<'_, Self>, with: bool) -> Result<(), Error> {
        let ecr = &cx.client.ecr;
        // The rules are read and written as a whole, so that two of one stack must not do it at once.
        let _alone = ecr.replication.lock().await;
        let prefixes = self.prefixes()?;
        let (_, mut rules) = rules(ecr).await?;
        let at = rules.iter().position(|rule| prefixes_of(rule) == prefixes);
        match (at, with) {
            (Some(at), true) => rules[at] = self.rule(&prefixes)?,
            (None, true) => rules.push(self.rule(&prefixes)?),
            (Some(at), false) => drop(rules.remove(at)),
            (None, false) => return Ok(()),
        }
        let all = ReplicationConfiguration::builder().set_rules(Some(rules)).build().map_err(invalid)?;
        let put = ecr.put_replication_configuration().replication_configuration(all).send().await;
        put.call("ecr:PutReplicationConfiguration").map(drop)
    }

    fn rule(&self, prefixes: &[String]) -> Result<SdkRule, Error> {
        let mut rule = SdkRule::builder();
        for prefix in prefixes {
            let filter =
                RepositoryFilter::builder().filter(prefix).filter_type(RepositoryFilterType::PrefixMatch);
            rule = rule.repository_filters(filter.build().map_err(invalid)?);
        }
        for to in self.destinations.get()? {
            let to = ReplicationDestination::builder().region(&to.region).registry_id(to.registry_id.get()?);
            rule = rule.destinations(to.build().map_err(invalid)?);
        }
        rule.build().map_err(invalid)
    }
}

fn invalid(error: impl std::fmt::Display) -> Error {
    Error::Invalid(error.to_string())
}

/// The account, and all rules of its registry.
async fn rules(ecr: &Ecr) -> Result<(String, Vec<SdkRule>), Error> {
    let found = ecr.describe_registry().send().await.call("ecr:DescribeRegistry")?;
    let rules = found.replication_configuration.map(|all| all.rules).unwrap_or_default();
    Ok((found.registry_id.unwrap_or_default(), rules))
}

fn prefixes_of(rule: &SdkRule) -> Vec<String> {
    let mut prefixes: Vec<String> = rule.repository_filters().iter().map(|f| f.filter.clone()).collect();
    prefixes.sort();
    prefixes.dedup();
    prefixes
}
