//! One incarnation of a resource without the engine, for what the engine never shows: a create that was not recorded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use causeway_core::{
    Address, Class, Cx, Error, Live, Owner, Resource, Status, Tags,
    diff::{Diff, diff},
    secret::{SealKey, Sealed},
};
use serde_json::Value as Json;

/// One incarnation of a resource.
pub(crate) struct One<'a, R: Resource> {
    client: &'a R::Client,
    address: Address,
    instance: String,
    recorded: Option<R::Outputs>,
    applied: Json,
}

impl<'a, R: Resource> One<'a, R> {
    pub(crate) fn new(client: &'a R::Client, instance: &str) -> Self {
        One {
            client,
            address: Address::from("thing"),
            instance: instance.to_owned(),
            recorded: None,
            applied: Json::Null,
        }
    }

    pub(crate) fn cx(&self) -> Cx<'_, R> {
        Cx {
            client: self.client,
            address: &self.address,
            instance: &self.instance,
            recorded: self.recorded.clone(),
        }
    }

    /// The spec with the tags that the engine would add.
    fn tagged(&self, spec: &R) -> R {
        let mut json = serde_json::to_value(spec).unwrap();
        if let Some(Json::Object(tags)) = json.get_mut("tags") {
            for (key, value) in [
                (Tags::STACK, "stack"),
                (Tags::ADDRESS, self.address.0.as_str()),
                (Tags::INSTANCE, self.instance.as_str()),
            ] {
                tags.insert(key.into(), value.into());
            }
        }
        serde_json::from_value(json).unwrap()
    }

    pub(crate) async fn read(&self, spec: &R) -> Option<Live<R>> {
        spec.read(&self.cx()).await.unwrap_or_else(|e| panic!("read: {}", e.chain()))
    }

    fn diff(wanted: &Json, live: &Live<R>, applied: &Json) -> Diff {
        let sealed = |json: &Json| Sealed::of(json, &SealKey::fixed("k"));
        diff(&sealed(wanted), &sealed(&serde_json::to_value(&live.spec).unwrap()), &sealed(applied))
    }

    /// Creates or updates until nothing differs; says which fields differed at first.
    pub(crate) async fn apply(&mut self, spec: &R) -> (Live<R>, Vec<String>) {
        let spec = self.tagged(spec);
        let wanted = serde_json::to_value(&spec).unwrap();
        // The empty place is looked at first, as the engine does.
        let mut touched = vec![];
        let mut applied = self.applied.clone();
        if self.read(&spec).await.is_none() {
            repeat(async || spec.create(&self.cx()).await).await;
            applied = wanted.clone();
        }
        for step in 0..8 {
            let live = self.ready(&spec).await;
            let diff = Self::diff(&wanted, &live, &applied);
            touched.extend(diff.changes.iter().map(|c| c.path.clone()).filter(|_| step == 0));
            if diff.is_empty() {
                if let Owner::Tagged { instance, .. } = &live.owner {
                    assert_eq!(*instance, self.instance);
                } else {
                    assert_eq!(live.owner, Owner::Parent);
                }
                self.recorded = Some(live.outputs.clone());
                self.applied = wanted;
                return (live, touched);
            }
            repeat(async || spec.update(&self.cx(), &live, &diff).await).await;
            applied = wanted.clone();
        }
        panic!("{} does not settle", R::KIND);
    }

    async fn ready(&self, spec: &R) -> Live<R> {
        for _ in 0..60 {
            match self.read(spec).await {
                Some(live) if live.status == Status::Ready => return live,
                Some(Live { status: Status::Failed(why), .. }) => panic!("{} failed: {why}", R::KIND),
                _ => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
            }
        }
        panic!("{} never gets ready", R::KIND);
    }

    /// Deletes, and sees that it is gone.
    pub(crate) async fn delete(&self, spec: &R) {
        let spec = self.tagged(spec);
        for _ in 0..60 {
            let Some(live) = self.read(&spec).await else { return };
            repeat(async || spec.delete(&self.cx(), &live).await).await;
        }
        panic!("{} is still there", R::KIND);
    }
}

/// Again while the answer is "not now".
async fn repeat<T>(mut call: impl AsyncFnMut() -> Result<T, Error>) -> T {
    for _ in 0..60 {
        match call().await {
            Ok(done) => return done,
            Err(e) if matches!(e.class(), Class::NotNow | Class::Throttled) => {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            Err(e) => panic!("{} ({:?})", e.chain(), e.class()),
        }
    }
    panic!("never");
}
