//! Route 53: <https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html>.
//!
//! A batch does all of its changes or none. A set is deleted as it was listed and created as it is wanted, which counts as
//! much as an `UPSERT` and is refused where somebody else has changed it meanwhile. A batch is done when all of the name
//! servers answer with it (INSYNC).

use super::{Change, Limits, Provider, SetChange, TtlRule, Weight};
use crate::{
    error::ProviderError,
    name::Name,
    record::{AliasTarget, Entry, Kind, in_zone_file, normal},
    zone::Zone,
};
use aws_config::{SdkConfig, retry::RetryConfig};
use aws_sdk_route53::{
    Client,
    config::Builder,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    types as sdk,
};
use causeway_core::error::chain;
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::time::Instant;

/// What a batch may hold: 1,000 records, those of an `UPSERT` counted twice, and 32,000 characters of values.
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html#limits-api-requests-changeresourcerecordsets>
const CHUNK: Weight = Weight { operations: 1000, characters: 32_000 };

/// How long it may take until all name servers have a batch. It is usually a minute at most.
const INSYNC: Duration = Duration::from_secs(300);

/// The pauses between two looks: all calls of an account share five a second.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(5)];

/// The IAM actions that it needs. The id of a zone saves `route53:ListHostedZones`.
pub const ACTIONS: [&str; 4] = [
    "route53:ListHostedZones",
    "route53:ListResourceRecordSets",
    "route53:ChangeResourceRecordSets",
    "route53:GetChange",
];

/// An account at AWS.
pub struct Route53 {
    client: Client,
    limits: Limits,
}

impl Route53 {
    /// Speaks as `config` says. The SDK repeats nothing: a batch that had its effect would be refused the second time.
    pub fn new(config: &SdkConfig) -> Self {
        let config = Builder::from(config).retry_config(RetryConfig::disabled()).build();
        let limits = Limits {
            chunk: CHUNK,
            ttl: TtlRule { automatic: None, min: 0, max: 2_147_483_647, usual: 300 },
            proxies: false,
            comment: None,
            labels: false,
            aliases: true,
            flattens: false,
        };
        Route53 { client: Client::from_conf(config), limits }
    }

    async fn until_in_sync(&self, id: &str) -> Result<(), ProviderError> {
        const CALL: &str = "route53:GetChange";
        let (begun, mut pause) = (Instant::now(), PAUSES[0]);
        loop {
            let answer = self.client.get_change().id(id).send().await.map_err(|e| failed(CALL, &e))?;
            if answer.change_info().is_some_and(|info| *info.status() == sdk::ChangeStatus::Insync) {
                return Ok(());
            }
            if begun.elapsed() > INSYNC {
                let words = format!("the name servers do not have `{id}` after {} s", INSYNC.as_secs());
                return Err(ProviderError::Server { call: CALL, words });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES[1]);
        }
    }
}

/// What a failed call means, by its code.
fn failed<E>(
    call: &'static str,
    error: &SdkError<E, aws_sdk_route53::config::http::HttpResponse>,
) -> ProviderError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let SdkError::ServiceError(answer) = error else {
        return ProviderError::Unreached { call, source: chain(error).into() };
    };
    let code = error.code().unwrap_or("without a code");
    let words = format!("{code}: {}", error.message().unwrap_or("without a reason"));
    match code {
        "Throttling" | "ThrottlingException" | "PriorRequestNotComplete" | "TooManyRequestsException" => {
            ProviderError::Throttled { call, words, after: None }
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "UnrecognizedClientException"
        | "MissingAuthenticationToken" => ProviderError::Denied {
            call,
            words,
            remedy: "let the credentials make this call on this hosted zone",
        },
        _ if answer.raw().status().as_u16() >= 500 => ProviderError::Server { call, words },
        _ => ProviderError::Refused { call, words },
    }
}

/// A name as Route 53 lists it, with octal escapes: `\052.example.com.`.
fn listed_name(text: &str) -> Name {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        match after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(octet) => {
                out.push(char::from(octet));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Name::as_listed(&out)
}

/// The records of a set.
fn entries(set: &sdk::ResourceRecordSet) -> Vec<Entry> {
    let (name, word) = (listed_name(set.name()), set.r#type().as_str());
    let ttl = set.ttl().and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or_default();
    let is_chosen = set.set_identifier().is_some()
        || set.traffic_policy_instance_id().is_some()
        || set.health_check_id().is_some();
    if let Some(target) = set.alias_target() {
        let kind = match word {
            "A" => Kind::Alias,
            "AAAA" => Kind::Alias6,
            other => Kind::Other(format!("{other} alias")),
        };
        let value = normal(&kind, target.dns_name());
        return vec![Entry {
            is_opaque: is_chosen || value.is_err(),
            alias: Some(AliasTarget {
                zone: target.hosted_zone_id().to_owned(),
                evaluate_health: target.evaluate_target_health(),
            }),
            handle: target.dns_name().to_owned(),
            ..Entry::new(name, kind, value.unwrap_or_else(|_| target.dns_name().to_owned()), ttl)
        }];
    }
    let of = |record: &sdk::ResourceRecord| {
        let kind = Kind::of(word);
        let value = normal(&kind, record.value());
        Entry {
            is_opaque: is_chosen || value.is_err(),
            handle: record.value().to_owned(),
            ..Entry::new(name.clone(), kind, value.unwrap_or_else(|_| record.value().to_owned()), ttl)
        }
    };
    set.resource_records().iter().map(of).collect()
}

/// A value as it is written to Route 53: as it was listed, if it was.
fn written(entry: &Entry) -> String {
    if !entry.handle.is_empty() {
        return entry.handle.clone();
    }
    in_zone_file(&entry.kind, &entry.value).unwrap_or_else(|_| entry.value.clone())
}

fn record_set(set: &SetChange, entries: &[Entry]) -> Result<sdk::ResourceRecordSet, BuildError> {
    let build = sdk::ResourceRecordSet::builder()
        .name(format!("{}.", set.name))
        .r#type(sdk::RrType::from(set.word.as_str()));
    let alias = entries.iter().find_map(|entry| Some((entry, entry.alias.as_ref()?)));
    if let Some((entry, target)) = alias {
        let target = sdk::AliasTarget::builder()
            .hosted_zone_id(&target.zone)
            .dns_name(written(entry))
            .evaluate_target_health(target.evaluate_health)
            .build()?;
        return build.alias_target(target).build();
    }
    let values = entries.iter().map(|entry| sdk::ResourceRecord::builder().value(written(entry)).build());
    let ttl = entries.iter().map(|entry| entry.ttl).min().unwrap_or_default();
    build.ttl(ttl.into()).set_resource_records(Some(values.collect::<Result<_, _>>()?)).build()
}

/// What is deleted, and then what is created: a CNAME cannot come while an address is there.
fn batch(changes: &[Change]) -> Result<sdk::ChangeBatch, BuildError> {
    let sets = || changes.iter().flat_map(|change| &change.sets);
    let mut batch = sdk::ChangeBatch::builder();
    for (action, part) in [(sdk::ChangeAction::Delete, false), (sdk::ChangeAction::Create, true)] {
        for set in sets() {
            let entries = if part { &set.after } else { &set.before };
            if !entries.is_empty() {
                let set = record_set(set, entries)?;
                batch = batch
                    .changes(sdk::Change::builder().action(action.clone()).resource_record_set(set).build()?);
            }
        }
    }
    batch.build()
}

impl Provider for Route53 {
    fn name(&self) -> &'static str {
        "Route 53"
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Zones of the internet. One inside of networks is named by its id.
    fn zones(&self) -> BoxFuture<'_, Result<Vec<Zone>, ProviderError>> {
        Box::pin(async {
            let mut pages = self.client.list_hosted_zones().into_paginator().send();
            let mut zones = vec![];
            while let Some(page) = pages.next().await {
                let page = page.map_err(|e| failed("route53:ListHostedZones", &e))?;
                for zone in page.hosted_zones() {
                    if !zone.config().is_some_and(sdk::HostedZoneConfig::private_zone) {
                        let id = zone.id().trim_start_matches("/hostedzone/").to_owned();
                        zones.push(Zone { name: listed_name(zone.name()), id });
                    }
                }
            }
            Ok(zones)
        })
    }

    fn list<'a>(&'a self, zone: &'a Zone) -> BoxFuture<'a, Result<Vec<Entry>, ProviderError>> {
        Box::pin(async move {
            let mut all = vec![];
            let (mut name, mut kind, mut identifier) = (None, None, None);
            loop {
                let page = self
                    .client
                    .list_resource_record_sets()
                    .hosted_zone_id(&zone.id)
                    .set_start_record_name(name)
                    .set_start_record_type(kind)
                    .set_start_record_identifier(identifier)
                    .send()
                    .await
                    .map_err(|e| failed("route53:ListResourceRecordSets", &e))?;
                all.extend(page.resource_record_sets().iter().flat_map(entries));
                if !page.is_truncated() {
                    return Ok(all);
                }
                name = page.next_record_name;
                kind = page.next_record_type;
                identifier = page.next_record_identifier;
            }
        })
    }

    fn weigh(&self, change: &Change) -> Weight {
        let entries = || change.sets.iter().flat_map(|set| set.before.iter().chain(&set.after));
        Weight {
            operations: entries().count(),
            characters: entries().map(|entry| written(entry).chars().count()).sum(),
        }
    }

    fn change<'a>(
        &'a self,
        zone: &'a Zone,
        changes: &'a [Change],
    ) -> BoxFuture<'a, Result<Vec<Entry>, ProviderError>> {
        const CALL: &str = "route53:ChangeResourceRecordSets";
        Box::pin(async move {
            let batch =
                batch(changes).map_err(|e| ProviderError::Refused { call: CALL, words: e.to_string() })?;
            let request = self.client.change_resource_record_sets().hosted_zone_id(&zone.id);
            let answer =
                request.change_batch(batch).send().await.map_err(|error| match error.as_service_error() {
                    Some(service) if service.is_invalid_change_batch() => {
                        ProviderError::Refused { call: CALL, words: reasons(service) }
                    }
                    _ => failed(CALL, &error),
                })?;
            if let Some(info) = answer.change_info() {
                self.until_in_sync(info.id()).await?;
            }
            let now = changes.iter().flat_map(|change| &change.sets).flat_map(|set| &set.after);
            Ok(now.map(|entry| Entry { handle: written(entry), ..entry.clone() }).collect())
        })
    }
}

/// All that is wrong with a batch.
fn reasons(
    error: &aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError,
) -> String {
    use aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError as Answer;
    let all = match error {
        Answer::InvalidChangeBatch(batch) => batch.messages().join("; "),
        _ => String::new(),
    };
    let one = error.message().unwrap_or("without a reason");
    format!("InvalidChangeBatch: {}", if all.is_empty() { one } else { &all })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: Kind, value: &str, ttl: u32) -> Entry {
        let value = normal(&kind, value).unwrap();
        Entry::new(Name::parse("*.ai.example.com").unwrap(), kind, value, ttl)
    }

    fn set(word: &str, before: Vec<Entry>, after: Vec<Entry>) -> SetChange {
        SetChange { name: Name::parse("*.ai.example.com").unwrap(), word: word.into(), before, after }
    }

    #[test]
    fn a_wildcard_is_listed_with_an_escape() {
        assert_eq!(listed_name("\\052.AI.example.com.").as_str(), "*.ai.example.com");
        assert_eq!(listed_name("plain.example.com.").as_str(), "plain.example.com");
    }

    #[test]
    fn what_is_there_is_deleted_before_anything_is_created() {
        let mut there = entry(Kind::Txt, "a", 60);
        there.handle = "\"\" \"a\"".into();
        let changes = [Change {
            sets: vec![
                set("CNAME", vec![], vec![entry(Kind::Cname, "lb.example.net", 300)]),
                set("A", vec![entry(Kind::A, "192.0.2.1", 60), entry(Kind::A, "192.0.2.2", 60)], vec![]),
                set("TXT", vec![there], vec![entry(Kind::Txt, &"x".repeat(300), 60)]),
            ],
        }];
        let batch = batch(&changes).unwrap();
        let told: Vec<String> = batch
            .changes()
            .iter()
            .map(|c| {
                let set = c.resource_record_set().unwrap();
                format!("{} {} {}", c.action(), set.r#type(), set.resource_records().len())
            })
            .collect();
        assert_eq!(told, ["DELETE A 2", "DELETE TXT 1", "CREATE CNAME 1", "CREATE TXT 1"]);
        let values: Vec<&str> = batch
            .changes()
            .iter()
            .flat_map(|c| c.resource_record_set())
            .flat_map(|s| s.resource_records())
            .map(sdk::ResourceRecord::value)
            .collect();
        // As it was listed, however odd; and long text in strings.
        assert_eq!(values[2], "\"\" \"a\"");
        assert_eq!(values[4], format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45)));
    }

    #[test]
    fn an_alias_has_no_ttl_and_no_values() {
        let mut alias = entry(Kind::Alias, "Lb.example.net.", 300);
        alias.alias = Some(AliasTarget { zone: "Z1".into(), evaluate_health: true });
        let set = record_set(&set("A", vec![], vec![alias.clone()]), &[alias]).unwrap();
        assert_eq!((set.ttl(), set.resource_records().len()), (None, 0));
        let back = entries(&set).remove(0);
        assert_eq!((back.kind, back.value.as_str()), (Kind::Alias, "lb.example.net"));
        assert!(back.alias.unwrap().evaluate_health);
    }
}
