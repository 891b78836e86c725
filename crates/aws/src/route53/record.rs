//! <https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html>

use super::{RecordKey, text};
use crate::{Aws, Call, id::HostedZoneId, shown::shown};
use aws_sdk_route53::types as sdk;
use causeway_core::{
    Cx, Error, Live, Owner, Recovery, Resource, Set, Status, Timing, Value, diff::Diff, error::Found, outputs,
};
use serde::{Deserialize, Serialize};

/// How long answers may be kept where a spec does not say, in seconds.
const TTL: u32 = 300;

/// All values of one name and type: a record set with simple routing. Weighted and other routed sets are left out.
///
/// It is ready when the service has taken it; its name servers answer with it within a minute.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The zone.
    pub zone_id: Value<HostedZoneId>,
    /// The whole name, like `*.coder.example.com`. Case and a dot at the end do not matter.
    pub name: Value<String>,
    /// `A`, `AAAA`, `CNAME`, `TXT` and the like. A CNAME cannot stand at the top of a zone: use an alias.
    pub r#type: String,
    /// How long answers may be kept, in seconds. `None`: 300. An alias takes that of its target.
    #[serde(default)]
    pub ttl: Option<u32>,
    /// The values. Those of a TXT record are plain text, of any length: quotes and pieces are made from it.
    #[serde(default)]
    pub values: Set<String>,
    /// Answers with the addresses of something in AWS, instead of `values`.
    #[serde(default)]
    pub alias: Option<Alias>,
}

/// Something in AWS with a name of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    /// Its name, like the `dns_name` of a load balancer.
    pub dns_name: Value<String>,
    /// The zone that its name lives in, not the one of the record.
    pub zone_id: Value<HostedZoneId>,
    /// Whether the record is left out of answers while its target is not healthy.
    #[serde(default)]
    pub evaluate_target_health: bool,
}

impl Record {
    /// A record with values.
    pub fn new<V: Into<Value<String>>>(
        zone_id: impl Into<Value<HostedZoneId>>,
        name: impl Into<Value<String>>,
        record_type: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        Record {
            zone_id: zone_id.into(),
            name: name.into(),
            r#type: record_type.to_owned(),
            ttl: Some(TTL),
            values: values.into_iter().collect(),
            alias: None,
        }
    }

    /// An A record that answers with the addresses of something in AWS.
    pub fn alias(
        zone_id: impl Into<Value<HostedZoneId>>,
        name: impl Into<Value<String>>,
        target_name: impl Into<Value<String>>,
        target_zone_id: impl Into<Value<HostedZoneId>>,
    ) -> Self {
        Record {
            zone_id: zone_id.into(),
            name: name.into(),
            r#type: "A".to_owned(),
            ttl: None,
            values: Set::default(),
            alias: Some(Alias {
                dns_name: target_name.into(),
                zone_id: target_zone_id.into(),
                evaluate_target_health: false,
            }),
        }
    }
}

outputs! {
    /// What a record tells others.
    pub struct RecordOutputs => RecordRefs {
        /// The whole name, without a dot at the end.
        pub fqdn: String,
    }
}

impl Resource for Record {
    const KIND: &'static str = "aws.route53.record";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["zone_id", "name", "type"]);
    const REPLACE: &'static [&'static str] = &["zone_id", "name", "type"];
    const TIMING: Timing = Timing::QUICK;
    type Client = Aws;
    type Outputs = RecordOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let Some(found) = self.look(cx).await? else { return Ok(None) };
        Ok(Some(self.live(found)))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        // Not UPSERT: what somebody else wrote under this name since the plan was made must not be overwritten.
        self.change(cx, sdk::ChangeAction::Create, self.set(self.ttl.unwrap_or(TTL))?).await
    }

    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let unmanaged = live.spec.ttl.filter(|_| !diff.touches("ttl"));
        let ttl = self.ttl.or(unmanaged).unwrap_or(TTL);
        self.change(cx, sdk::ChangeAction::Upsert, self.set(ttl)?).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        // A delete has to say exactly what is there, in the words of the service.
        let Some(found) = self.look(cx).await? else { return Ok(()) };
        self.change(cx, sdk::ChangeAction::Delete, found).await
    }
}

impl Record {
    async fn look(&self, cx: &Cx<'_, Self>) -> Result<Option<sdk::ResourceRecordSet>, Error> {
        let key = RecordKey::new(self.zone_id.get()?.as_str(), self.name.get()?, &self.r#type);
        cx.client.route53.records.get(key).await
    }

    async fn change(
        &self,
        cx: &Cx<'_, Self>,
        action: sdk::ChangeAction,
        set: sdk::ResourceRecordSet,
    ) -> Result<(), Error> {
        let deletes = action == sdk::ChangeAction::Delete;
        let change = sdk::Change::builder().action(action).resource_record_set(set).build().map_err(wrong)?;
        let batch = sdk::ChangeBatch::builder().changes(change).build().map_err(wrong)?;
        let answer = cx
            .client
            .route53
            .change_resource_record_sets()
            .hosted_zone_id(self.zone_id.get()?.as_str())
            .change_batch(batch)
            .send()
            .await
            .call("route53:ChangeResourceRecordSets");
        // A record is gone with its zone.
        if deletes { answer.found().map(drop) } else { answer.map(drop) }
    }

    /// In the words of the SDK.
    fn set(&self, ttl: u32) -> Result<sdk::ResourceRecordSet, Error> {
        let set = sdk::ResourceRecordSet::builder()
            .name(text::name(self.name.get()?))
            .r#type(sdk::RrType::from(self.r#type.as_str()));
        let set = match &self.alias {
            Some(alias) => set.alias_target(
                sdk::AliasTarget::builder()
                    .dns_name(alias.dns_name.get()?)
                    .hosted_zone_id(alias.zone_id.get()?.as_str())
                    .evaluate_target_health(alias.evaluate_target_health)
                    .build()
                    .map_err(wrong)?,
            ),
            None => {
                let values = self.values.get()?;
                let values = values
                    .iter()
                    .map(|value| {
                        sdk::ResourceRecord::builder().value(text::sent(&self.r#type, value)).build()
                    })
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(wrong)?;
                set.ttl(i64::from(ttl)).set_resource_records(Some(values))
            }
        };
        set.build().map_err(wrong)
    }

    /// In our words: where the service means the same as the spec, in the spelling of the spec.
    fn live(&self, found: sdk::ResourceRecordSet) -> Live<Self> {
        let name = text::name(&found.name);
        let record_type = found.r#type.as_str();
        let wanted = self.values.0.iter().filter_map(|v| v.get().ok());
        let wanted: Vec<&String> = wanted.collect();
        let spelled = |value: &str| {
            let shown = text::shown(record_type, value);
            let ours = wanted.iter().find(|w| text::same(record_type, w, &shown));
            ours.map_or(shown, |ours| (*ours).clone())
        };
        let values = found.resource_records.unwrap_or_default();
        Live {
            outputs: RecordOutputs { fqdn: name.clone() },
            status: Status::Ready,
            owner: Owner::Parent,
            spec: Record {
                zone_id: self.zone_id.clone(),
                name: match self.name.get() {
                    Ok(wanted) if text::name(wanted) == name => self.name.clone(),
                    _ => Value::Known(name),
                },
                r#type: record_type.to_owned(),
                // An alias has none, whatever the spec says.
                ttl: match &found.alias_target {
                    Some(_) => None,
                    None => shown(self.ttl.as_ref(), found.ttl.and_then(|t| u32::try_from(t).ok()), TTL),
                },
                values: values.iter().map(|r| spelled(&r.value)).collect(),
                alias: found.alias_target.map(|target| self.live_alias(target)),
            },
        }
    }

    fn live_alias(&self, target: sdk::AliasTarget) -> Alias {
        let name = text::name(&target.dns_name);
        // The service answers in lower case, and the console writes another prefix for the same target.
        let plain = |name: &str| text::name(name).trim_start_matches("dualstack.").to_owned();
        let wanted = self.alias.as_ref().and_then(|a| a.dns_name.get().ok());
        let ours = wanted.filter(|wanted| plain(wanted) == plain(&name));
        Alias {
            dns_name: Value::Known(ours.cloned().unwrap_or(name)),
            zone_id: Value::Known(target.hosted_zone_id.into()),
            evaluate_target_health: target.evaluate_target_health,
        }
    }
}

fn wrong(error: aws_sdk_route53::error::BuildError) -> Error {
    Error::Invalid(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> HostedZoneId {
        "Z1".into()
    }

    fn set(name: &str, record_type: &str, values: &[&str]) -> sdk::ResourceRecordSet {
        let values =
            values.iter().map(|v| sdk::ResourceRecord::builder().value(*v).build().unwrap()).collect();
        sdk::ResourceRecordSet::builder()
            .name(name)
            .r#type(sdk::RrType::from(record_type))
            .ttl(300)
            .set_resource_records(Some(values))
            .build()
            .unwrap()
    }

    fn json(record: &Record) -> serde_json::Value {
        serde_json::to_value(record).unwrap()
    }

    #[test]
    fn what_means_the_same_is_spelled_as_wanted() {
        let wanted = Record::new(zone(), "*.Coder.example.com.", "CNAME", ["LB.Example.net."]);
        let live = wanted.live(set("\\052.coder.example.com.", "CNAME", &["lb.example.net"]));
        assert_eq!(json(&live.spec), json(&wanted));
        assert_eq!(live.outputs.fqdn, "*.coder.example.com");
        let live = wanted.live(set("\\052.coder.example.com.", "CNAME", &["other.example.net."]));
        assert_eq!(live.spec.values, ["other.example.net"].into_iter().collect());
    }

    #[test]
    fn text_goes_out_in_quotes_and_comes_back_plain() {
        let wanted = Record::new(zone(), "example.com", "TXT", ["v=spf1 -all", "say \"hi\""]);
        let sent = wanted.set(TTL).unwrap();
        assert_eq!(sent.resource_records()[0].value, "\"v=spf1 -all\"");
        assert_eq!(json(&wanted.live(sent).spec), json(&wanted));
    }

    #[test]
    fn an_alias_has_no_values_and_no_time_to_live() {
        let wanted = Record::alias(
            zone(),
            "example.com",
            "Web-1.us-east-2.elb.amazonaws.com".to_owned(),
            HostedZoneId::from("Z3AADJGX6KTTL2"),
        );
        let sent = wanted.set(TTL).unwrap();
        assert_eq!(sent.ttl, None);
        assert!(sent.resource_records().is_empty());
        let mut answered = sent;
        answered.alias_target.as_mut().unwrap().dns_name =
            "dualstack.web-1.us-east-2.elb.amazonaws.com.".into();
        let live = wanted.live(answered);
        assert_eq!(json(&live.spec), json(&wanted));
    }
}
