//! A target that changed has to be read several times: load balancers come and go while they are replaced.

use crate::{
    source::{Answer, Read, Source, read_all},
    wanted::{Because, Left, SOURCE, address_of, values},
};
use causeway_core::journal::State;
use causeway_dns::Name;
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// What sources say once `reads` of each that would change a record agree, `pause` apart. Names of which they did not are
/// told apart.
pub(crate) async fn agreed(
    sources: &[Arc<dyn Source>],
    state: &State,
    reads: u32,
    pause: Duration,
) -> (Vec<Read>, Vec<Left>) {
    let mut all = read_all(sources).await;
    let mut unsettled: BTreeMap<String, Left> = BTreeMap::new();
    for _ in 1..reads {
        let moving =
            |read: &Read| read.answer.as_ref().is_ok_and(|answer| changes(&read.label, answer, state));
        let again: BTreeSet<String> = all.iter().filter(|r| moving(r)).map(|r| r.label.clone()).collect();
        if again.is_empty() {
            break;
        }
        tokio::time::sleep(pause).await;
        let ask: Vec<Arc<dyn Source>> =
            sources.iter().filter(|s| again.contains(s.label())).cloned().collect();
        for now in read_all(&ask).await {
            let Some(before) = all.iter_mut().find(|read| read.label == now.label) else { continue };
            if let (Ok(was), Ok(is)) = (&before.answer, &now.answer) {
                for (name, why) in differing(was, is) {
                    let why = format!("{}: {why}", now.label);
                    unsettled.insert(name.clone(), Left { name, because: Because::Unsettled, why });
                }
            }
            *before = now;
        }
    }
    (all, unsettled.into_values().collect())
}

/// Whether `answer` would change or remove a record that the journal has.
fn changes(label: &str, answer: &Answer, state: &State) -> bool {
    let mut said = BTreeSet::new();
    for found in &answer.found {
        let Ok(name) = Name::parse(&found.name) else { continue };
        let address = address_of(&name, found.class);
        if let Some(record) = state.records.get(&address) {
            let recorded = values(record.request.spec.as_json());
            if recorded != found.values.iter().cloned().collect() {
                return true;
            }
        }
        said.insert(address);
    }
    let waiting = answer.waiting.iter().filter_map(|w| Name::parse(&w.name).ok());
    said.extend(waiting.map(|name| address_of(&name, causeway_dns::Class::Address)));
    let ours = state.records.iter().filter(|(_, record)| {
        let tag = record.request.spec.as_json().get("tags").and_then(|t| t.get(SOURCE));
        tag.and_then(Json::as_str) == Some(label)
    });
    ours.into_iter().any(|(address, _)| !said.contains(address))
}

/// The names of which two answers do not say the same.
fn differing(was: &Answer, is: &Answer) -> Vec<(String, String)> {
    let told = |answer: &Answer| -> BTreeMap<String, String> {
        let found =
            answer.found.iter().map(|f| (f.name.clone(), format!("{} {}", f.class, f.values.join(" "))));
        let waiting = answer.waiting.iter().map(|w| (w.name.clone(), "nothing".to_owned()));
        waiting.chain(found).collect()
    };
    let (was, is) = (told(was), told(is));
    let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let nothing = "nothing".to_owned();
    let differs = names.into_iter().filter_map(|name| {
        let (before, now) = (was.get(name).unwrap_or(&nothing), is.get(name).unwrap_or(&nothing));
        (before != now)
            .then(|| (name.clone(), format!("it was `{before}` and then `{now}`; another run will see")))
    });
    differs.collect()
}
