//! EventBridge.

mod rule;

pub use rule::{Rule, RuleOutputs, RuleRefs, Target};

use crate::{Aws, Call};
use aws_config::SdkConfig;
use aws_sdk_eventbridge::types::Rule as SdkRule;
use causeway_core::{Error, coalesce::Coalesce, registry::ProviderKinds};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
};

/// Speaks to EventBridge.
pub struct Events {
    api: aws_sdk_eventbridge::Client,
    /// Rules of the default bus, by name.
    pub(crate) rules: Coalesce<String, SdkRule>,
}

impl Events {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_eventbridge, config);
        let list = api.clone();
        let rules = Coalesce::new(usize::MAX, move |names| rules_by_name(list.clone(), names));
        Events { api, rules }
    }
}
impl Deref for Events {
    type Target = aws_sdk_eventbridge::Client;
    fn deref(&self) -> &Self::Target {
        &self.api
    }
}

pub(crate) fn register(kinds: ProviderKinds<'_, Aws>) -> ProviderKinds<'_, Aws> {
    kinds.add::<Rule>()
}

/// A bus has 300 rules unless more were asked for, and 100 fit on a page.
async fn rules_by_name(
    api: aws_sdk_eventbridge::Client,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, SdkRule>, Error> {
    let mut found = BTreeMap::new();
    let only = names.first().filter(|_| names.len() == 1).cloned();
    let mut next = None;
    loop {
        let page = api.list_rules().set_name_prefix(only.clone()).set_next_token(next).send().await;
        let page = page.call("events:ListRules")?;
        for rule in page.rules.unwrap_or_default() {
            match &rule.name {
                Some(name) if names.contains(name) => found.insert(name.clone(), rule),
                _ => None,
            };
        }
        next = page.next_token;
        if next.is_none() {
            return Ok(found);
        }
    }
}
