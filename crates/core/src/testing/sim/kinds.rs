//! The simulated kinds: one of every recovery class, and one of every habit that makes engines stumble.

use super::{Caller, GOING, Object, Refusal, SimCloud, Verb, World, error, refusal, token_of};
use crate::{
    claim::ClaimedBy,
    diff::{Change, Diff},
    error::{Class, Error},
    outputs,
    resource::{Cx, Live, Recovery, Resource, Tags, Timing},
    secret::Secret,
    undo::{Mark, UndoRule},
    value::{Name, Set, Value},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, time::Duration};

outputs! {
    /// What a network tells others.
    pub struct NetworkOutputs => NetworkRefs {
        /// `network-...`
        pub network_id: String,
    }
}
outputs! {
    /// What a gateway tells others.
    pub struct GatewayOutputs => GatewayRefs {
        /// `gateway-...`
        pub gateway_id: String,
    }
}
outputs! {
    /// What a role tells others.
    pub struct RoleOutputs => RoleRefs {
        /// `role-...`
        pub arn: String,
    }
}
outputs! {
    /// What a subnet tells others.
    pub struct SubnetOutputs => SubnetRefs {
        /// `subnet-...`
        pub subnet_id: String,
    }
}
outputs! {
    /// What a database tells others.
    pub struct DatabaseOutputs => DatabaseRefs {
        /// `database-...`
        pub database_id: String,
        /// Host and port; empty until it is ready.
        pub endpoint: String,
    }
}
outputs! {
    /// What a task tells others.
    pub struct TaskOutputs => TaskRefs {
        /// The task with its revision.
        pub arn: String,
        /// From 1.
        pub revision: u64,
    }
}
outputs! {
    /// What a service tells others.
    pub struct ServiceOutputs => ServiceRefs {
        /// `service-...`
        pub service_id: String,
    }
}
outputs! {
    /// What a look-up tells others.
    pub struct LookupOutputs => LookupRefs {
        /// The id of what was found.
        pub id: String,
    }
}

/// A network: neither name nor token, so that only its tags say whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    /// Its addresses.
    pub cidr: String,
    /// `None`: the cloud chooses `true`.
    pub dns: Option<bool>,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A gateway: made with an idempotency token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gateway {
    /// The network that it is in.
    pub network: Value<String>,
    /// How much it can carry.
    pub size: Option<u32>,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A role: its name is unique, whoever made it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Unique in the region.
    pub name: Name,
    /// Cannot change in place.
    pub path: Option<String>,
    /// What it may do.
    pub policy: String,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A subnet: carries no tags, and is unique in its network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subnet {
    /// The network that it is in.
    pub network: Value<String>,
    /// Its addresses.
    pub cidr: String,
    /// `None`: the cloud chooses `false`.
    pub public: Option<bool>,
}

/// A database: slow, full of data, with a password that is never shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    /// Unique in the region.
    pub name: Name,
    /// Cannot change in place.
    pub engine: String,
    /// Moves up one at a time.
    pub version: u32,
    /// In GiB.
    pub size: u32,
    /// `None`: the cloud chooses 7.
    pub backup_days: Option<u32>,
    /// Never shown.
    pub password: Option<Secret>,
    /// Where it is.
    pub subnets: Set<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A task: every change is a new revision; old ones stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// What its revisions are revisions of.
    pub family: String,
    /// What runs; `broken` never comes up.
    pub image: String,
    /// As whom.
    pub role: Value<String>,
    /// With what around it.
    #[serde(default)]
    pub environment: BTreeMap<String, Value<String>>,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A service: runs a task, and takes a while to roll out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Unique in the region.
    pub name: Name,
    /// The task with its revision.
    pub task: Value<String>,
    /// How often it runs.
    pub count: u32,
    /// Where it is.
    pub subnets: Set<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
}

/// Something that others made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lookup {
    /// Its name.
    pub name: String,
}

fn caller<'a, R: Resource<Client = SimCloud>>(cx: &'a Cx<'_, R>) -> Caller<'a> {
    Caller { kind: R::KIND, address: &cx.address.0, instance: cx.instance }
}

/// What the cloud keeps of a spec: everything but its tags.
fn fields<R: Resource>(spec: &R, name: Option<String>) -> Result<Json, Error> {
    let mut json =
        serde_json::to_value(spec).map_err(|source| Error::Decode { what: "spec", kind: R::KIND, source })?;
    if let Some(m) = json.as_object_mut() {
        m.remove("tags");
        if let Some(name) = name {
            m.insert("name".into(), json!(name));
        }
    }
    Ok(json)
}

/// The live spec of an object, with its name as `name` would write it.
fn spec<R: Resource>(object: &Object, name: Option<Name>) -> Result<R, Error> {
    let mut json = object.fields.clone();
    if let Some(tags) = &object.tags {
        json["tags"] = json!(tags.0);
    }
    if let Some(name) = name {
        json["name"] = json!(name);
    }
    if R::KIND == Database::KIND {
        json["password"] = Json::Null;
    }
    serde_json::from_value(json).map_err(|source| Error::Decode { what: "spec", kind: R::KIND, source })
}

fn by_id(world: &World, kind: &str, region: &str, id: &str) -> Option<Object> {
    world.objects.get(id).filter(|o| o.kind == kind && o.region == region).cloned()
}

/// By a field that is unique, once it can be seen.
fn by_field(
    world: &World,
    now: Duration,
    kind: &str,
    region: &str,
    field: &str,
    value: &str,
) -> Option<Object> {
    let lag = world.habits.name_lag.get(kind).copied().unwrap_or_default();
    let mut all = world.objects.values().filter(|o| o.kind == kind && o.region == region);
    all.find(|o| o.field(field) == value && o.born + lag <= now).cloned()
}

/// By the tag of an incarnation, once that can be searched.
fn by_tag(world: &World, now: Duration, kind: &str, region: &str, instance: &str) -> Option<Object> {
    let lag = world.habits.tag_lag;
    let mut all = world.objects.values().filter(|o| o.kind == kind && o.region == region);
    all.find(|o| !instance.is_empty() && o.tag(Tags::INSTANCE) == Some(instance) && o.born + lag <= now)
        .cloned()
}

/// Puts a new object into the world.
fn make(
    world: &mut World,
    now: Duration,
    kind: &'static str,
    region: &str,
    fields: Json,
    tags: Option<Tags>,
) -> String {
    let id = world.new_id(kind);
    let usual = world.habits.ready_after.get(kind).copied();
    let busy = usual.map(|after| (now + world.varied(after), "being created".to_owned()));
    let object = Object {
        id: id.clone(),
        kind,
        region: region.to_owned(),
        fields,
        tags,
        born: now,
        busy,
        going: None,
        failed: None,
        token: None,
    };
    world.objects.insert(id.clone(), object);
    id
}

fn taken(world: &World, kind: &str, region: &str, field: &str, value: &str) -> Result<(), Refusal> {
    let mut all = world.objects.values().filter(|o| o.kind == kind && o.region == region);
    match all.find(|o| o.field(field) == value) {
        Some(o) => Err(refusal("AlreadyExists", Class::Final, format!("{value} is {}", o.id))),
        None => Ok(()),
    }
}

fn object<'w>(world: &'w mut World, id: &str) -> Result<&'w mut Object, Refusal> {
    world
        .objects
        .get_mut(id)
        .ok_or_else(|| refusal("NotFound", Class::NotFound, format!("{id} does not exist")))
}

/// Writes the fields that differ; those that are wanted no more go back to what the cloud chooses.
fn write(object: &mut Object, wanted: &Json, diff: &Diff, only: Option<&str>) {
    for change in &diff.changes {
        let field = change.path.split('.').next().unwrap_or_default();
        if field == "tags" || only.is_some_and(|o| o != field) {
            continue;
        }
        object.fields[field] = match change.change {
            Change::Removed { .. } if wanted[field].is_null() => chosen(object.kind, field),
            _ => wanted[field].clone(),
        };
    }
}

fn write_tags(object: &mut Object, wanted: &Tags, diff: &Diff) {
    if let Some(live) = object.tags.clone() {
        let steps = wanted.steps(&live, diff);
        let mut tags = live.0.clone();
        tags.extend(steps.set.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())));
        steps.remove.into_iter().for_each(|k| drop(tags.remove(k)));
        object.tags = Some(Tags(tags));
    }
}

/// What the cloud chooses where nothing is asked for.
fn chosen(kind: &str, field: &str) -> Json {
    match (kind, field) {
        ("sim.network", "dns") => json!(true),
        ("sim.subnet", "public") => json!(false),
        ("sim.database", "backup_days") => json!(7),
        ("sim.gateway", "size") => json!(1),
        _ => Json::Null,
    }
}

fn with_chosen(kind: &str, mut fields: Json) -> Json {
    if let Some(m) = fields.as_object_mut() {
        for (field, value) in m.iter_mut().filter(|(_, v)| v.is_null()) {
            *value = chosen(kind, field);
        }
    }
    fields
}

async fn found<R: Resource<Client = SimCloud>>(
    cx: &Cx<'_, R>,
    name: Option<&Name>,
    find: impl FnOnce(&World, Duration, &str) -> Option<Object>,
    outputs: impl FnOnce(&Object) -> R::Outputs,
) -> Result<Option<Live<R>>, Error> {
    let region = cx.client.region().to_owned();
    let seen = cx.client.look(R::KIND, |w, now| find(w, now, &region).map(|o| (o.status(now), o))).await?;
    let Some((status, object)) = seen else { return Ok(None) };
    let name = name.and_then(|n| Some(n.live(cx.instance, object.field("name").as_str()?)));
    Ok(Some(Live { spec: spec(&object, name)?, outputs: outputs(&object), status, owner: object.owner() }))
}

async fn changed<R: Resource<Client = SimCloud>>(
    cx: &Cx<'_, R>,
    id: &str,
    change: impl FnOnce(&mut Object, Duration),
) -> Result<(), Error> {
    cx.client
        .mutate(caller(cx), Verb::Update, |w, now| {
            let object = object(w, id)?;
            if object.busy.as_ref().is_some_and(|(until, _)| *until > now) || object.going.is_some() {
                return Err(refusal("InvalidState", Class::NotNow, format!("{id} is busy")));
            }
            change(object, now);
            Ok(())
        })
        .await
}

async fn removed<R: Resource<Client = SimCloud>>(
    cx: &Cx<'_, R>,
    id: &str,
    takes: Duration,
) -> Result<(), Error> {
    cx.client
        .mutate(caller(cx), Verb::Delete, |w, now| {
            object(w, id)?;
            if matches!(R::KIND, "sim.network" | "sim.subnet") {
                w.unused(id)?;
            }
            let object = object(w, id)?;
            if object.failed.is_none() && object.busy.as_ref().is_some_and(|(until, _)| *until > now) {
                return Err(refusal("InvalidState", Class::NotNow, format!("{id} is busy")));
            }
            object.going.get_or_insert(now + takes);
            Ok(())
        })
        .await
}

impl Resource for Network {
    const KIND: &'static str = "sim.network";
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("network_id");
    const RECOVERY: Recovery = Recovery::Tag { settle: Duration::from_secs(30) };
    const REPLACE: &'static [&'static str] = &["cidr"];
    type Client = SimCloud;
    type Outputs = NetworkOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let find = |w: &World, now, region: &str| match &cx.recorded {
            Some(r) => by_id(w, Self::KIND, region, &r.network_id),
            None => by_tag(w, now, Self::KIND, region, cx.instance),
        };
        found(cx, None, find, |o| NetworkOutputs { network_id: o.id.clone() }).await
    }
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let fields = with_chosen(Self::KIND, fields(self, None)?);
        let make = |w: &mut World, now| {
            make(w, now, Self::KIND, cx.client.region(), fields, Some(self.tags.clone()));
            Ok(())
        };
        cx.client.mutate(caller(cx), Verb::Create, make).await
    }
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let wanted = fields(self, None)?;
        changed(cx, &live.outputs.network_id, |o, _| {
            write(o, &wanted, diff, None);
            write_tags(o, &self.tags, diff);
        })
        .await
    }
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        removed(cx, &live.outputs.network_id, Duration::ZERO).await
    }
}

impl Resource for Gateway {
    const KIND: &'static str = "sim.gateway";
    const CLAIMED_BY: ClaimedBy = ClaimedBy::Id("gateway_id");
    const RECOVERY: Recovery = Recovery::Token;
    const REPLACE: &'static [&'static str] = &["network"];
    const TIMING: Timing = Timing::seconds(90, 5, 600);
    type Client = SimCloud;
    type Outputs = GatewayOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let find = |w: &World, now, region: &str| match &cx.recorded {
            Some(r) => by_id(w, Self::KIND, region, &r.gateway_id),
            None => by_tag(w, now, Self::KIND, region, cx.instance),
        };
        found(cx, None, find, |o| GatewayOutputs { gateway_id: o.id.clone() }).await
    }
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let fields = with_chosen(Self::KIND, fields(self, None)?);
        let network = self.network.get()?.clone();
        let token = cx.token();
        let request = json!([fields, self.tags]);
        let make = |w: &mut World, now| {
            let derived = self.tags.0.get(Tags::INSTANCE).map(|i| token_of(i));
            if token.len() != 32 || derived.as_ref() != Some(&token) {
                let why = format!("token {token} does not derive from the incarnation");
                return Err(refusal("InvalidToken", Class::Final, why));
            }
            let same = |o: &&Object| o.token.as_ref().is_some_and(|(t, _)| *t == token);
            if let Some(known) = w.objects.values().find(same) {
                return match &known.token {
                    Some((_, r)) if *r == request => Ok(()),
                    _ => Err(refusal("IdempotentParameterMismatch", Class::Final, known.id.clone())),
                };
            }
            w.usable(&network, now)?;
            let id = make(w, now, Self::KIND, cx.client.region(), fields, Some(self.tags.clone()));
            object(w, &id)?.token = Some((token, request));
            Ok(())
        };
        cx.client.mutate(caller(cx), Verb::Create, make).await
    }
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let wanted = fields(self, None)?;
        changed(cx, &live.outputs.gateway_id, |o, _| {
            write(o, &wanted, diff, None);
            write_tags(o, &self.tags, diff);
        })
        .await
    }
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        removed(cx, &live.outputs.gateway_id, Duration::from_secs(45)).await
    }
}

impl Resource for Role {
    const KIND: &'static str = "sim.role";
    const KEEPS: &'static [&'static str] = &["path"];
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name", "path"];
    type Client = SimCloud;
    type Outputs = RoleOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let name = cx.name(&self.name);
        let find = |w: &World, now, region: &str| by_field(w, now, Self::KIND, region, "name", &name);
        found(cx, Some(&self.name), find, |o| RoleOutputs { arn: o.id.clone() }).await
    }
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let name = cx.name(&self.name);
        let fields = fields(self, Some(name.clone()))?;
        let make = |w: &mut World, now| {
            taken(w, Self::KIND, cx.client.region(), "name", &name)?;
            make(w, now, Self::KIND, cx.client.region(), fields, Some(self.tags.clone()));
            Ok(())
        };
        cx.client.mutate(caller(cx), Verb::Create, make).await
    }
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let wanted = fields(self, Some(cx.name(&self.name)))?;
        changed(cx, &live.outputs.arn, |o, _| {
            write(o, &wanted, diff, None);
            write_tags(o, &self.tags, diff);
        })
        .await
    }
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        removed(cx, &live.outputs.arn, Duration::ZERO).await
    }
}

impl Resource for Subnet {
    const KIND: &'static str = "sim.subnet";
    const RECOVERY: Recovery = Recovery::NaturalKey(&["network", "cidr"]);
    const REPLACE: &'static [&'static str] = &["network", "cidr"];
    type Client = SimCloud;
    type Outputs = SubnetOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let network = self.network.get()?.clone();
        let find = |w: &World, _, region: &str| {
            let mut all = w.objects.values().filter(|o| o.kind == Self::KIND && o.region == region);
            all.find(|o| *o.field("network") == network && *o.field("cidr") == self.cidr).cloned()
        };
        found(cx, None, find, |o| SubnetOutputs { subnet_id: o.id.clone() }).await
    }
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let fields = with_chosen(Self::KIND, fields(self, None)?);
        let network = self.network.get()?.clone();
        let make = |w: &mut World, now| {
            w.usable(&network, now)?;
            let mut all = w.objects.values().filter(|o| o.kind == Self::KIND);
            if let Some(o) = all.find(|o| *o.field("network") == network && *o.field("cidr") == self.cidr) {
                return Err(refusal("CidrConflict", Class::Final, format!("overlaps with {}", o.id)));
            }
            make(w, now, Self::KIND, cx.client.region(), fields, None);
            Ok(())
        };
        cx.client.mutate(caller(cx), Verb::Create, make).await
    }
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let wanted = fields(self, None)?;
        changed(cx, &live.outputs.subnet_id, |o, _| write(o, &wanted, diff, None)).await
    }
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        removed(cx, &live.outputs.subnet_id, Duration::ZERO).await
    }
}

impl Resource for Database {
    const KIND: &'static str = "sim.database";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name", "engine"];
    const DATA: bool = true;
    const UNDO: &'static [UndoRule] =
        &[UndoRule::change("version", Mark::Irreversible, "there is no way back to an older version")];
    const TIMING: Timing = Timing::seconds(300, 10, 1800);
    type Client = SimCloud;
    type Outputs = DatabaseOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let name = cx.name(&self.name);
        let find = |w: &World, now, region: &str| by_field(w, now, Self::KIND, region, "name", &name);
        let now = cx.client.now();
        let outputs = |o: &Object| DatabaseOutputs {
            database_id: o.id.clone(),
            endpoint: match o.status(now) {
                crate::Status::Ready => format!("{}.db:5432", o.id),
                _ => String::new(),
            },
        };
        found(cx, Some(&self.name), find, outputs).await
    }
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let name = cx.name(&self.name);
        if let Some(password) = &self.password {
            password.expose()?;
        }
        let subnets = self.subnets.get()?;
        let fields = with_chosen(Self::KIND, fields(self, Some(name.clone()))?);
        let make = |w: &mut World, now| {
            taken(w, Self::KIND, cx.client.region(), "name", &name)?;
            subnets.iter().try_for_each(|s| w.usable(s, now))?;
            make(w, now, Self::KIND, cx.client.region(), fields, Some(self.tags.clone()));
            Ok(())
        };
        cx.client.mutate(caller(cx), Verb::Create, make).await
    }
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let mut wanted = fields(self, Some(cx.name(&self.name)))?;
        let version = diff.touches("version").then(|| live.spec.version + 1);
        if let Some(version) = version {
            if self.version < version {
                let why = format!("{} cannot go back to {}", live.spec.version, self.version);
                return Err(Error::Invalid(why));
            }
            wanted["version"] = json!(version);
        }
        if let Some(password) = &self.password {
            password.expose()?;
        }
        changed(cx, &live.outputs.database_id, |o, now| match version {
            // An upgrade goes alone.
            Some(_) => {
                write(o, &wanted, diff, Some("version"));
                o.busy = Some((now + Duration::from_secs(120), "upgrading".into()));
            }
            None => {
                write(o, &wanted, diff, None);
                write_tags(o, &self.tags, diff);
                o.busy = Some((now + Duration::from_secs(20), "modifying".into()));
            }
        })
        .await
    }
    async fn copy(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<Option<String>, Error> {
        // What is going has been copied.
        if matches!(&live.status, crate::Status::Pending(on) if on == GOING) {
            return Ok(None);
        }
        let name = format!("{}-{}", live.outputs.database_id, cx.instance);
        if cx.client.copy(&name).await {
            return Ok(Some(name));
        }
        Err(error(Self::KIND, refusal("NotYet", Class::NotNow, format!("copy {name} is being made"))))
    }
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        removed(cx, &live.outputs.database_id, Duration::from_secs(180)).await
    }
}

impl Task {
    fn arn(&self, o: &Object) -> String {
        format!("{}:{}", o.id, o.field("revision"))
    }
}

impl Resource for Task {
    const KIND: &'static str = "sim.task";
    const RECOVERY: Recovery = Recovery::Name(&["family"]);
    const REPLACE: &'static [&'static str] = &["family"];
    const MOVES: &'static [&'static str] = &["arn", "revision"];
    type Client = SimCloud;
    type Outputs = TaskOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let find =
            |w: &World, now, region: &str| by_field(w, now, Self::KIND, region, "family", &self.family);
        let outputs = |o: &Object| TaskOutputs {
            arn: self.arn(o),
            revision: o.field("revision").as_u64().unwrap_or_default(),
        };
        found(cx, None, find, outputs).await
    }
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let mut fields = fields(self, None)?;
        fields["revision"] = json!(1);
        let role = self.role.get()?.clone();
        let make = |w: &mut World, now| {
            w.usable(&role, now)?;
            taken(w, Self::KIND, cx.client.region(), "family", &self.family)?;
            make(w, now, Self::KIND, cx.client.region(), fields, Some(self.tags.clone()));
            Ok(())
        };
        cx.client.mutate(caller(cx), Verb::Create, make).await
    }
    /// Registers another revision. The object in the cloud is the family, at its latest revision.
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let wanted = fields(self, None)?;
        let id = live.outputs.arn.split(':').next().unwrap_or_default();
        changed(cx, id, |o, _| {
            write(o, &wanted, diff, None);
            write_tags(o, &self.tags, diff);
            o.fields["revision"] = json!(o.field("revision").as_u64().unwrap_or_default() + 1);
        })
        .await
    }
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        let id = live.outputs.arn.split(':').next().unwrap_or_default();
        removed(cx, id, Duration::ZERO).await
    }
}

/// What becomes of a rollout of `task`.
fn outcome(world: &World, task: &str) -> Option<String> {
    let family = world.objects.get(task.split(':').next()?)?;
    (*family.field("image") == "broken").then(|| "the rollout failed: image `broken` exits".to_owned())
}

fn task_exists(world: &World, task: &str, now: Duration) -> Result<(), Refusal> {
    let (id, revision) = task.split_once(':').unwrap_or((task, ""));
    world.usable(id, now)?;
    let latest = world.objects.get(id).and_then(|o| o.field("revision").as_u64()).unwrap_or_default();
    match revision.parse::<u64>() {
        Ok(n) if n <= latest => Ok(()),
        _ => Err(refusal("NotFound", Class::Final, format!("{task} does not exist"))),
    }
}

impl Resource for Service {
    const KIND: &'static str = "sim.service";
    const RECOVERY: Recovery = Recovery::Name(&["name"]);
    const REPLACE: &'static [&'static str] = &["name", "subnets"];
    const TIMING: Timing = Timing::seconds(60, 5, 600);
    type Client = SimCloud;
    type Outputs = ServiceOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let name = cx.name(&self.name);
        let find = |w: &World, now, region: &str| by_field(w, now, Self::KIND, region, "name", &name);
        found(cx, Some(&self.name), find, |o| ServiceOutputs { service_id: o.id.clone() }).await
    }
    async fn create(&self, cx: &Cx<'_, Self>) -> Result<(), Error> {
        let name = cx.name(&self.name);
        let fields = fields(self, Some(name.clone()))?;
        let (task, subnets) = (self.task.get()?.clone(), self.subnets.get()?);
        let make = |w: &mut World, now| {
            taken(w, Self::KIND, cx.client.region(), "name", &name)?;
            task_exists(w, &task, now)?;
            subnets.iter().try_for_each(|s| w.usable(s, now))?;
            let failed = outcome(w, &task);
            let id = make(w, now, Self::KIND, cx.client.region(), fields, Some(self.tags.clone()));
            object(w, &id)?.failed = failed;
            Ok(())
        };
        cx.client.mutate(caller(cx), Verb::Create, make).await
    }
    async fn update(&self, cx: &Cx<'_, Self>, live: &Live<Self>, diff: &Diff) -> Result<(), Error> {
        let wanted = fields(self, Some(cx.name(&self.name)))?;
        let (task, id) = (self.task.get()?.clone(), live.outputs.service_id.clone());
        let change = |w: &mut World, now| {
            task_exists(w, &task, now)?;
            let failed = outcome(w, &task);
            let object = object(w, &id)?;
            write(object, &wanted, diff, None);
            write_tags(object, &self.tags, diff);
            object.failed = failed;
            object.busy = Some((now + Duration::from_secs(60), "rolling out".into()));
            Ok(())
        };
        cx.client.mutate(caller(cx), Verb::Update, change).await
    }
    async fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> Result<(), Error> {
        removed(cx, &live.outputs.service_id, Duration::from_secs(30)).await
    }
}

impl Resource for Lookup {
    const KIND: &'static str = "sim.lookup";
    const RECOVERY: Recovery = Recovery::Observed;
    type Client = SimCloud;
    type Outputs = LookupOutputs;

    async fn read(&self, cx: &Cx<'_, Self>) -> Result<Option<Live<Self>>, Error> {
        let find = |w: &World, now, region: &str| by_field(w, now, Self::KIND, region, "name", &self.name);
        found(cx, None, find, |o| LookupOutputs { id: o.id.clone() }).await
    }
    async fn create(&self, _: &Cx<'_, Self>) -> Result<(), Error> {
        Err(Error::Invalid(format!("there is no `{}`; somebody has to make it first", self.name)))
    }
    async fn update(&self, _: &Cx<'_, Self>, _: &Live<Self>, _: &Diff) -> Result<(), Error> {
        Ok(())
    }
    async fn delete(&self, _: &Cx<'_, Self>, _: &Live<Self>) -> Result<(), Error> {
        Ok(())
    }
}
