//! The plainest cloud there is: a map in memory, under virtual time. What takes long here is the engine.
#![allow(dead_code, unreachable_pub, reason = "every benchmark uses another part of it")]

use causeway_core::{
    Cx, Engine, Error, Live, Name, Recovery, Registry, Resource, Stack, Status, Tags, Value,
    diff::Diff,
    outputs,
    place::{Client, Place},
    resource::Timing,
    store::Store,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    runtime::{Builder, Runtime},
    time::{Instant, sleep},
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anywhere {}
impl Place for Anywhere {
    const PROVIDER: &'static str = "plain";
}

/// What was made, and when it is ready.
#[derive(Clone, Default)]
pub struct Cloud {
    things: Arc<Mutex<HashMap<String, (serde_json::Value, Instant)>>>,
    latency: Duration,
}
impl Client for Cloud {
    type Place = Anywhere;
}

impl Cloud {
    /// Every call takes `latency`.
    pub fn new(latency: Duration) -> Self {
        Cloud { latency, ..Cloud::default() }
    }

    /// An engine for it, as a new process would make it.
    pub fn engine(&self, store: Arc<dyn Store>, at_once: usize) -> Engine {
        let mut registry = Registry::default();
        let cloud = self.clone();
        registry
            .provider(move |_| {
                let cloud = cloud.clone();
                async move { Ok(cloud) }
            })
            .add::<Thing<1>>()
            .add::<Thing<10>>()
            .add::<Thing<60>>()
            .add::<Thing<300>>()
            .add::<Thing<900>>();
        Engine::new(registry, store).at_once(at_once)
    }
}

outputs! {
    /// What a thing tells others.
    pub struct ThingOutputs => ThingRefs {
        /// Its name.
        pub id: String,
    }
}

/// Something that is ready so many seconds after it was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Thing<const SECONDS: u64> {
    pub name: Name,
    pub size: u32,
    pub description: String,
    pub needs: Vec<Value<String>>,
    #[serde(default)]
    pub tags: Tags,
}

impl<const SECONDS: u64> Resource for Thing<SECONDS> {
    const KIND: &'static str = match SECONDS {
        1 => "plain.one.second",
        10 => "plain.ten.seconds",
        60 => "plain.one.minute",
        300 => "plain.five.minutes",
        _ => "plain.fifteen.minutes",
    };
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const TIMING: Timing = Timing {
        typical: Duration::from_secs(SECONDS),
        poll: Duration::from_secs(1),
        timeout: Duration::from_secs(3600),
    };
    type Client = Cloud;
    type Outputs = ThingOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        sleep(cx.client.latency).await;
        let name = cx.name(&self.name);
        let found = cx.client.things.lock().expect("no panic holds it").get(&name).cloned();
        let Some((spec, ready)) = found else { return Ok(None) };
        let spec: Self = serde_json::from_value(spec).map_err(|e| Error::Invalid(e.to_string()))?;
        let status = if ready <= Instant::now() { Status::Ready } else { Status::Pending("made".into()) };
        let owner = spec.tags.owner();
        Ok(Some(Live { spec, outputs: ThingOutputs { id: name }, status, owner }))
    }

    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        sleep(cx.client.latency).await;
        let spec = serde_json::to_value(self).map_err(|e| Error::Invalid(e.to_string()))?;
        let ready = Instant::now() + Duration::from_secs(SECONDS);
        cx.client.things.lock().expect("no panic holds it").insert(cx.name(&self.name), (spec, ready));
        Ok(())
    }

    async fn update(&self, cx: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        self.create(cx).await
    }

    async fn delete(&self, cx: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        sleep(cx.client.latency).await;
        cx.client.things.lock().expect("no panic holds it").remove(&cx.name(&self.name));
        Ok(())
    }
}

/// Adds one that takes `SECONDS` and needs the ids in `needs`.
pub fn add<const SECONDS: u64>(stack: &mut Stack, name: &str, needs: &[Value<String>]) -> Value<String> {
    let thing = Thing::<SECONDS> {
        name: Name::from(name),
        size: 20,
        description: format!("a thing that others may need, of {SECONDS} seconds"),
        needs: needs.to_vec(),
        tags: Tags::default(),
    };
    stack.add(name, thing).id.clone()
}

/// `count` resources in groups of twenty: a network and what stands in it, as deep as real stacks are, each group
/// leaning on the one before.
pub fn synthetic(count: usize) -> Stack {
    let mut stack = Stack::new("synthetic");
    stack.tag("team", "platform");
    stack.at(&Anywhere {}, |stack| {
        let mut before: Vec<Value<String>> = vec![];
        for group in 0..count.div_ceil(20) {
            let size = 20.min(count - group * 20);
            let mut made: Vec<Value<String>> = vec![];
            stack.scope(&format!("group-{group}"), |stack| {
                for member in 0..size {
                    // A tree with two children a node; the first leans on the group before.
                    let mut needs: Vec<_> = made.get((member.max(1) - 1) / 2).cloned().into_iter().collect();
                    if member == 0 {
                        needs.extend(before.first().cloned().filter(|_| group % 10 != 0));
                    }
                    let name = format!("thing-{group}-{member}");
                    made.push(match member % 10 {
                        0..=5 => add::<1>(stack, &name, &needs),
                        6..=8 => add::<10>(stack, &name, &needs),
                        _ => add::<60>(stack, &name, &needs),
                    });
                }
            });
            before = made;
        }
    });
    stack
}

/// A runtime whose time passes only while everything waits.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}
