//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html>

use crate::{Aws, Call, id::Arn, shown::shown};
use aws_sdk_eventbridge::types::{RuleState, Tag, Target as SdkTarget};
use causeway_core::{
    Class, Cx, Error, Live, Name, Recovery, Resource, Status, Tags, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// A rule of the default event bus, with the places that matching events are sent to.
///
/// Looking at all rules of a region costs one call for every hundred, and one or two for each that is wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// Unique on the bus: up to 64 letters, digits and `.-_`.
    pub name: Name,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Which events match, in the JSON of
    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>.
    pub event_pattern: Json,
    /// `ENABLED` or `DISABLED`. `None`: enabled when it is made, and then as people leave it.
    #[serde(default)]
    pub state: Option<String>,
    /// Where matching events go, by an id that is unique in the rule: five at most.
    #[serde(default)]
    pub targets: BTreeMap<String, Target>,
    /// Tags; the engine adds its own.
    #[serde(default)]
    pub tags: Tags,
}

/// Where events go. A queue or a topic must allow it in its policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Of a queue, a topic, a function, a log group.
    pub arn: Value<Arn>,
}

outputs! {
    /// What a rule tells others.
    pub struct RuleOutputs => RuleRefs {
        /// `arn:aws:events:..:rule/..`
        pub arn: Arn,
        /// The name.
        pub name: String,
    }
}

impl Rule {
    /// A rule that is on, and sends what matches `pattern` to `target`, called `id`.
    pub fn new(name: impl Into<Name>, pattern: Json, id: &str, target: impl Into<Value<Arn>>) -> Self {
        Rule {
            name: name.into(),
            description: None,
            event_pattern: pattern,
            state: Some("ENABLED".into()),
            targets: [(id.to_owned(), Target { arn: target.into() })].into(),
            tags: Tags::default(),
        }
    }
}

/// As many as one call takes.
const MOST: usize = 10;

impl Resource for Rule {
    const KIND: &'static str = "aws.events.rule";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name"];
    type Client = Aws;
    type Outputs = RuleOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let events = &cx.client.events;
        let name = cx.name(&self.name);
        let recorded = cx.recorded.as_ref().map(|recorded| &recorded.arn);
        let (rule, confirmed) = tokio::join!(
            events.rules.get(name.clone()),
            cx.client.tag_index.confirms(cx, recorded, &self.tags)
        );
        let Some(rule) = rule? else { return Ok(None) };
        let arn = rule.arn.clone().unwrap_or_default();
        let found = async {
            tokio::try_join!(targets(cx, &name), async {
                if let Some(tags) = confirmed {
                    return Ok(tags);
                }
                let tags = events.list_tags_for_resource().resource_arn(&arn).send().await;
                let tags = tags.call("events:ListTagsForResource")?.tags.unwrap_or_default();
                Ok(Tags::live(tags.into_iter().map(|tag| (tag.key, tag.value))))
            })
        };
        let Some((targets, tags)) = found.await.found()? else { return Ok(None) };
        let pattern = rule.event_pattern.as_deref().map(serde_json::from_str).transpose();
        let pattern =
            pattern.map_err(|source| Error::Decode { what: "an event pattern", kind: Self::KIND, source })?;
        Ok(Some(Live {
            spec: Rule {
                name: self.name.live(cx.instance, &name),
                description: shown(self.description.as_ref(), rule.description, String::new()),
                event_pattern: pattern.unwrap_or(Json::Null),
                state: shown(
                    self.state.as_ref(),
                    rule.state.map(|state| state.as_str().to_owned()),
                    "ENABLED".into(),
                ),
                targets,
                tags: tags.clone(),
            },
            outputs: RuleOutputs { arn: arn.into(), name },
            status: Status::Ready,
            owner: tags.owner(),
        }))
    }

    /// Without targets: `update` sets them.
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let tags = self.tags.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
        self.put(cx, Some(tags)).await
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let events = &cx.client.events;
        let (name, arn) = (&live.outputs.name, live.outputs.arn.as_str());
        if ["description", "event_pattern", "state"].into_iter().any(|field| diff.touches(field)) {
            // Tags of a rule that is there are ignored by this call.
            self.put(cx, None).await?;
        }
        if diff.touches("targets") {
            let gone: Vec<String> =
                live.spec.targets.keys().filter(|id| !self.targets.contains_key(*id)).cloned().collect();
            remove_targets(cx, name, &gone).await?;
            let mut wanted = vec![];
            for (id, target) in self.targets.iter().filter(|(id, t)| live.spec.targets.get(*id) != Some(t)) {
                let target = SdkTarget::builder().id(id).arn(target.arn.get()?.as_str()).build();
                wanted.push(target.map_err(|e| Error::Invalid(e.to_string()))?);
            }
            for some in wanted.chunks(MOST) {
                let put = events.put_targets().rule(name).set_targets(Some(some.to_vec())).send().await;
                let put = put.call("events:PutTargets")?;
                // Each entry has an outcome of its own.
                let failed = put.failed_entries.unwrap_or_default().into_iter();
                let failed = failed.map(|entry| (entry.target_id, entry.error_code, entry.error_message));
                refused("events:PutTargets", name, failed)?;
            }
        }
        let steps = self.tags.steps(&live.spec.tags, diff);
        if !steps.set.is_empty() {
            let set = steps.set.iter().map(|(key, value)| tag(key, value)).collect::<Result<_, _>>()?;
            let set = events.tag_resource().resource_arn(arn).set_tags(Some(set)).send().await;
            set.call("events:TagResource")?;
        }
        if !steps.remove.is_empty() {
            let keys = steps.remove.iter().map(ToString::to_string).collect();
            let untag = events.untag_resource().resource_arn(arn).set_tag_keys(Some(keys)).send().await;
            untag.call("events:UntagResource")?;
        }
        Ok(())
    }

    /// A rule with targets cannot be deleted.
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let ids: Vec<String> = live.spec.targets.keys().cloned().collect();
        remove_targets(cx, &live.outputs.name, &ids).await?;
        let delete = cx.client.events.delete_rule().name(&live.outputs.name).send().await;
        delete.call("events:DeleteRule").found().map(drop)
    }
}

impl Rule {
    async fn put(&self, cx: &Cx<'_, Self>, tags: Option<Vec<Tag>>) -> Result<(), Error> {
        let put = cx
            .client
            .events
            .put_rule()
            .name(cx.name(&self.name))
            .description(self.description.clone().unwrap_or_default())
            .event_pattern(self.event_pattern.to_string())
            .state(self.state.as_deref().map_or(RuleState::Enabled, RuleState::from))
            .set_tags(tags);
        put.send().await.call("events:PutRule").map(drop)
    }
}

async fn targets(cx: &Cx<'_, Rule>, rule: &str) -> Result<BTreeMap<String, Target>, Error> {
    let mut found = BTreeMap::new();
    let mut next = None;
    loop {
        let page = cx.client.events.list_targets_by_rule().rule(rule).set_next_token(next).send().await;
        let page = page.call("events:ListTargetsByRule")?;
        for target in page.targets.unwrap_or_default() {
            found.insert(target.id, Target { arn: Arn(target.arn).into() });
        }
        next = page.next_token;
        if next.is_none() {
            return Ok(found);
        }
    }
}

async fn remove_targets(cx: &Cx<'_, Rule>, rule: &str, ids: &[String]) -> Result<(), Error> {
    for some in ids.chunks(MOST) {
        let remove = cx.client.events.remove_targets().rule(rule).set_ids(Some(some.to_vec())).send().await;
        let Some(removed) = remove.call("events:RemoveTargets").found()? else { return Ok(()) };
        let failed = removed.failed_entries.unwrap_or_default().into_iter();
        let failed = failed.map(|entry| (entry.target_id, entry.error_code, entry.error_message));
        refused("events:RemoveTargets", rule, failed)?;
    }
    Ok(())
}

/// The error of the first target that was refused, though the call as a whole was not.
fn refused(
    call: &'static str,
    rule: &str,
    mut failed: impl Iterator<Item = (Option<String>, Option<String>, Option<String>)>,
) -> Result<(), Error> {
    let Some((id, code, message)) = failed.next() else { return Ok(()) };
    let code = code.unwrap_or_default();
    // <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargetsResultEntry.html>
    let class = match code.as_str() {
        "ConcurrentModificationException" => Class::NotNow,
        "InternalException" | "InternalFailure" => Class::Transient,
        _ => Class::Final,
    };
    let (id, message) = (id.unwrap_or_default(), message.unwrap_or_default());
    let why = format!("target `{id}` of rule `{rule}`: {code}: {message}");
    Err(Error::Call { call, class, source: why.into() })
}

fn tag(key: &str, value: &str) -> Result<Tag, Error> {
    Tag::builder().key(key).value(value).build().map_err(|e| Error::Invalid(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_was_refused_fails_the_call() {
        let entry = |code: &str| [(Some("queue".to_owned()), Some(code.to_owned()), Some("no".to_owned()))];
        let class = |code| refused("events:PutTargets", "r", entry(code).into_iter()).unwrap_err().class();
        assert_eq!(class("ConcurrentModificationException"), Class::NotNow);
        assert_eq!(class("ResourceNotFoundException"), Class::Final);
        assert!(refused("events:PutTargets", "r", std::iter::empty()).is_ok());
    }
}
