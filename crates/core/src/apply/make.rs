//! Makes, changes, adopts and waits.

use super::{Run, StepError, Target};
use crate::{
    claim::{self, Origin},
    diff::{Change, Diff, diff_sent},
    error::Class,
    event::Event,
    journal::{Act, Entry, Phase, Record, Request},
    observe::{kind_of, resolved_place},
    plan::{Action, foreign, outlived_by, own, replacing},
    registry::{AnyKind, AnyLive},
    resource::{Owner, Recovery, Status},
    secret::Sealed,
    stack::Node,
    value::{Address, Unresolved, is_unknown, references, resolve},
    wait::Pace,
};
use serde_json::{Value as Json, json};
use std::{collections::BTreeSet, sync::PoisonError, time::Duration};
use tokio::time::Instant;

/// How often a create is tried whose failure may pass.
const ATTEMPTS: u32 = 10;

/// How long the tag index may lag for kinds that are made with a token, where the token is not sent again.
const TOKEN_SETTLE: Duration = Duration::from_secs(60);

/// How long an accepted update may take to show.
const LAG: Duration = Duration::from_secs(30);

impl Run {
    pub(super) async fn make(&self, address: &Address) -> Result<Action, StepError> {
        let (Some(step), Some(node)) = (self.planned(address), self.stack.nodes().get(address)) else {
            return Ok(Action::Keep);
        };
        let kind = kind_of(&self.registry, address, node.kind)?.as_ref();
        let record = self.journal.with(|s| s.records.get(address).cloned());
        let spec = resolve(&node.spec, &|r| self.known(r));
        let place = resolved_place(&node.place, &|r| self.known(r));
        let Some(place) = place.filter(|_| !is_unknown(&spec)) else {
            return Err(unresolved(&spec).into());
        };
        let target = |instance: String, recorded| Target {
            address,
            kind,
            place: place.clone(),
            instance,
            recorded,
            going: false,
        };
        let known = |record: &Record| claim::known(kind, record);
        match (step.action, record) {
            (Action::Wait, _) => self.look(&target(String::new(), None), &spec).await,
            (Action::Record, Some(record)) => {
                let target = target(record.instance.clone(), record.outputs.clone());
                self.record(&target, node, spec, &record).await
            }
            (Action::Adopt, _) if step.instance.is_some() => {
                let outgoing = step.instance.as_ref().and_then(|i| self.journal.record(address, i));
                let Some(outgoing) = outgoing else {
                    return Err(StepError::Stale("what the journal says of it changed".into()));
                };
                let target = target(outgoing.instance.clone(), known(&outgoing));
                self.update(&target, node, spec, &outgoing, &step.diff, Act::Adopt).await?;
                Ok(Action::Adopt)
            }
            (Action::Adopt, None) => {
                let claimed = self.stack.claims().get(address).and_then(|id| claim::outputs(kind, id));
                self.adopt(target(String::new(), claimed), node, spec, &step.diff).await
            }
            (Action::Create, None) => {
                self.create(&target((self.new_instance)(), None), node, spec, None).await?;
                Ok(Action::Create)
            }
            // What people made and is gone since is not made again under its id.
            (Action::Create, Some(record))
                if record.phase == Phase::Creating && claim::claimed(&record.request).is_none() =>
            {
                let target = self.resumed(target(record.instance.clone(), None), &spec, &record).await?;
                self.create(&target, node, spec, Some(&record)).await?;
                Ok(Action::Create)
            }
            (Action::Create, Some(record)) => {
                self.gone(address, &record.instance)?;
                self.create(&target((self.new_instance)(), None), node, spec, None).await?;
                Ok(Action::Create)
            }
            (Action::Update, Some(record)) => {
                let target = target(record.instance.clone(), known(&record));
                self.update(&target, node, spec, &record, &step.diff, Act::Update).await
            }
            (Action::ReplaceDeleteFirst, None) => {
                self.create(&target((self.new_instance)(), None), node, spec, None).await?;
                Ok(Action::ReplaceDeleteFirst)
            }
            (Action::ReplaceCreateFirst, Some(record)) => {
                let old = target(record.instance.clone(), record.outputs.clone());
                if self.still_replaces(&old, &spec, &record).await? {
                    self.create(&target((self.new_instance)(), None), node, spec, None).await?;
                    return Ok(Action::ReplaceCreateFirst);
                }
                self.keep(address);
                self.update(&old, node, spec, &record, &step.diff, Act::Update).await
            }
            (Action::ReplaceDeleteFirst, Some(record)) if self.is_kept(address) => {
                let old = target(record.instance.clone(), record.outputs.clone());
                self.update(&old, node, spec, &record, &step.diff, Act::Update).await
            }
            _ => Err(StepError::Stale("what the journal says of it changed".into())),
        }
    }

    pub(super) fn keep(&self, address: &Address) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(address.clone());
    }

    pub(super) fn is_kept(&self, address: &Address) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).contains(address)
    }

    pub(super) fn gone(&self, address: &Address, instance: &str) -> Result<(), StepError> {
        let entry = Entry::Gone { address: address.clone(), instance: instance.to_owned() };
        self.journal.note(entry)?;
        Ok(())
    }

    /// Whether `spec`, now that every value is known, still cannot be reached in place.
    pub(super) async fn still_replaces(
        &self,
        old: &Target<'_>,
        spec: &Json,
        record: &Record,
    ) -> Result<bool, StepError> {
        let mut spec = spec.clone();
        own(&mut spec, &self.stack, old.address, &json!(record.instance));
        let recorded = record.request.spec.as_json();
        let Some(live) = self.read(old, recorded).await? else { return Ok(true) };
        let rest = diff_sent(&self.seal(&spec), &self.seal(&live.spec), &record.applied(), &record.sent());
        Ok(replacing(old.kind, &rest).is_some())
    }

    fn request(&self, node: &Node, target: &Target<'_>, spec: &Json) -> Request {
        Request {
            kind: node.kind.to_owned(),
            place: target.place.clone(),
            spec: self.seal(spec),
            after: outlived_by(&self.stack, &self.registry, node),
            protect: node.protect,
            origin: self.origin(node, target),
        }
    }

    /// What the journal says of this incarnation; a new one follows the names of what it replaces, or is what is
    /// claimed.
    fn origin(&self, node: &Node, target: &Target<'_>) -> Option<Origin> {
        if let Some(record) = self.journal.record(target.address, &target.instance) {
            return record.request.origin;
        }
        let adopted = self.planned(target.address).is_some_and(|s| s.action == Action::Adopt);
        match self.stack.claims().get(target.address) {
            Some(identity) if adopted => Some(Origin::Claimed(identity.clone())),
            _ => node.kept.then_some(Origin::Follows),
        }
    }

    async fn begin(&self, target: &Target<'_>, act: Act, request: Request) -> Result<(), StepError> {
        let (address, instance) = (target.address.clone(), target.instance.clone());
        Ok(self.journal.append(Entry::Begin { address, instance, act, request }).await?)
    }

    fn done(&self, target: &Target<'_>, live: &AnyLive, since: Instant) -> Result<(), StepError> {
        let entry = Entry::Done {
            address: target.address.clone(),
            instance: target.instance.clone(),
            outputs: live.outputs.clone(),
            took_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        self.journal.note(entry)?;
        self.publish(target.address, &live.outputs);
        Ok(())
    }

    /// Waits for something that is not ours to make.
    async fn look(&self, target: &Target<'_>, spec: &Json) -> Result<Action, StepError> {
        if self.read(target, spec).await?.is_none() {
            // The kind knows best what is missing.
            self.repeated(target, || target.kind.create(target.at(), spec)).await?;
        }
        let live = self.until_ready(target, spec).await?;
        self.publish(target.address, &live.outputs);
        Ok(Action::Wait)
    }

    async fn record(
        &self,
        target: &Target<'_>,
        node: &Node,
        mut spec: Json,
        record: &Record,
    ) -> Result<Action, StepError> {
        own(&mut spec, &self.stack, target.address, &json!(record.instance));
        let request = self.request(node, target, &spec);
        let outputs = record.outputs.clone().unwrap_or_default();
        if request.spec == record.request.spec {
            self.journal
                .append(Entry::Noted {
                    address: target.address.clone(),
                    instance: record.instance.clone(),
                    after: request.after,
                    protect: request.protect,
                })
                .await?;
        } else {
            self.begin(target, Act::Update, request).await?;
            let entry = Entry::Done {
                address: target.address.clone(),
                instance: record.instance.clone(),
                outputs: outputs.clone(),
                took_ms: 0,
            };
            self.journal.append(entry).await?;
        }
        self.publish(target.address, &outputs);
        Ok(Action::Record)
    }

    /// The incarnation to go on with when a create was begun by an earlier run: the same if it is there or wants the
    /// same, else a new one, because an idempotency token must not be sent again with another request.
    async fn resumed<'t>(
        &self,
        mut target: Target<'t>,
        spec: &Json,
        record: &Record,
    ) -> Result<Target<'t>, StepError> {
        let mut wanted = spec.clone();
        own(&mut wanted, &self.stack, target.address, &json!(record.instance));
        if self.seal(&wanted) == record.request.spec {
            return Ok(target);
        }
        let (begun, identity) = (record.request.spec.as_json(), target.kind.recovery().identity());
        match self.settled(&target, begun).await? {
            None => {
                self.gone(target.address, &record.instance)?;
                target.instance = (self.new_instance)();
            }
            // It could not be seen yet when this was planned, and would be made once more under the other name.
            Some(_) if identity.iter().any(|f| begun.get(f) != wanted.get(f)) => {
                return Err(StepError::Stale("it has appeared under its former name".into()));
            }
            Some(_) => {}
        }
        Ok(target)
    }

    /// Looks until "not found" counts.
    pub(super) async fn settled(
        &self,
        target: &Target<'_>,
        spec: &Json,
    ) -> Result<Option<AnyLive>, StepError> {
        let settle = match target.kind.recovery() {
            Recovery::Tag { settle } => settle,
            // Until its id is recorded it is found by its tag, too.
            Recovery::Token => TOKEN_SETTLE,
            _ => Duration::ZERO,
        };
        let deadline = Instant::now() + settle;
        let pace = self.pace(target.kind.timing().poll.min(settle));
        loop {
            let live = self.read(target, spec).await?;
            if live.is_some() || Instant::now() >= deadline {
                return Ok(live);
            }
            let on = "for its tags to be searchable".to_owned();
            (self.listener)(Event::Waiting { address: target.address.clone(), on });
            pace.pause().await;
        }
    }

    /// Makes it exist as wanted. `begun` is the record of a create that an earlier run began.
    async fn create(
        &self,
        target: &Target<'_>,
        node: &Node,
        mut spec: Json,
        begun: Option<&Record>,
    ) -> Result<(), StepError> {
        own(&mut spec, &self.stack, target.address, &json!(target.instance));
        let since = Instant::now();
        let resumed = begun.is_some_and(|r| r.instance == target.instance);
        let replayed = resumed && target.kind.recovery() == Recovery::Token;
        let mut there = if replayed {
            // The same request with the same token finds it, whatever the index says.
            self.read(target, &spec).await?
        } else if resumed {
            self.settled(target, &spec).await?
        } else if target.kind.recovery().identity().is_empty() {
            // Nothing can carry an incarnation that was made up just now.
            None
        } else {
            self.read(target, &spec).await?
        };
        self.check_owner(target, there.as_ref(), resumed)?;
        let request = self.request(node, target, &spec);
        // What is there was made by an earlier run, as that one wanted it.
        let made = begun.filter(|_| resumed && there.is_some());
        if begun.is_none_or(|r| !resumed || r.request != request || !r.pending.is_empty()) {
            self.begin(target, Act::Create, request).await?;
        }
        if there.is_none() {
            there = self.create_once(target, &spec).await?;
        }
        if let Some(AnyLive { status: Status::Failed(why), .. }) = &there {
            return Err(StepError::Failed(why.clone()));
        }
        let live = self.until_ready(target, &spec).await?;
        let (applied, sent) =
            made.map_or_else(|| (Sealed::default(), self.seal(&spec)), |r| (r.applied(), r.sent()));
        let live = self.converge(target, &spec, live, &applied, sent, None).await?;
        self.done(target, &live, since)
    }

    /// What is there must be ours, or be under a parent of ours after a crash.
    fn check_owner(
        &self,
        target: &Target<'_>,
        there: Option<&AnyLive>,
        resumed: bool,
    ) -> Result<(), StepError> {
        let Some(live) = there else { return Ok(()) };
        match &live.owner {
            Owner::Tagged { instance, .. } if *instance == target.instance => Ok(()),
            Owner::Anybody => Ok(()),
            // A crash between a create and its tags, where the API takes them apart.
            Owner::Parent | Owner::Nobody if resumed => Ok(()),
            owner => {
                let why = foreign(owner, self.stack.name(), target.address, false);
                Err(StepError::Stale(format!("it {}", why.unwrap_or_else(|| "appeared".into()))))
            }
        }
    }

    /// Sends the create until it had its effect; looks before each repetition.
    async fn create_once(&self, target: &Target<'_>, spec: &Json) -> Result<Option<AnyLive>, StepError> {
        let deadline = Instant::now() + target.kind.timing().timeout;
        let mut tries = self.reach.tries(&target.place, ATTEMPTS);
        loop {
            let error = match target.kind.create(target.at(), spec).await {
                Ok(()) => {
                    tries.answered();
                    return Ok(None);
                }
                Err(error) => error,
            };
            let again = match error.class() {
                Class::Throttled | Class::Transient => tries.may_go_on(&error),
                class => {
                    tries.answered();
                    class == Class::NotNow && Instant::now() < deadline
                }
            };
            if !again {
                return Err(tries.given_up(error).into());
            }
            let on = error.chain();
            tracing::debug!(address = %target.address, error = %on, "create is repeated");
            (self.listener)(Event::Waiting { address: target.address.clone(), on });
            if !tries.pause(&self.stop, &error).await {
                return Err(error.into());
            }
            // It may have had an effect. The same token finds that out by itself.
            if error.class() == Class::Transient
                && target.kind.recovery() != Recovery::Token
                && let Some(live) = self.settled(target, spec).await?
            {
                return Ok(Some(live));
            }
        }
    }

    /// Updates until nothing differs. Some clouds change one thing at a time.
    async fn converge(
        &self,
        target: &Target<'_>,
        spec: &Json,
        mut live: AnyLive,
        applied: &Sealed,
        mut sent: Sealed,
        planned: Option<&Diff>,
    ) -> Result<AnyLive, StepError> {
        let wanted = self.seal(spec);
        let mut last: Option<(Diff, Pace)> = None;
        loop {
            let rest = diff_sent(&wanted, &self.seal(&live.spec), applied, &sent);
            if rest.is_empty() {
                return Ok(live);
            }
            self.within(target.kind, &rest, planned)?;
            match &last {
                Some((before, ..)) if given_up(&rest, before) => return Ok(live),
                Some((same, pace)) if *same == rest => {
                    if pace.waited() > LAG {
                        let fields = rest.changes.into_iter().map(|c| c.path).collect();
                        return Err(StepError::NotConverged { fields });
                    }
                    pace.pause().await;
                }
                _ => {
                    self.update_once(target, spec, &live, &rest).await?;
                    // A step that could also have gone to a field which shows may have left the others out.
                    if rest.changes.iter().all(|c| never_shown(&c.change)) {
                        sent.clone_from(&wanted);
                    }
                    last = Some((rest, self.pace(target.kind.timing().poll)));
                }
            }
            live = self.until_ready(target, spec).await?;
        }
    }

    /// A step may change less than was planned, never more.
    fn within(&self, kind: &dyn AnyKind, rest: &Diff, planned: Option<&Diff>) -> Result<(), StepError> {
        if let Some(field) = replacing(kind, rest) {
            return Err(StepError::Stale(format!("`{field}` differs, which cannot change in place,")));
        }
        if let Some(planned) = planned {
            let beyond = rest.beyond(planned);
            if !beyond.is_empty() {
                return Err(StepError::Stale(format!("{} changed", beyond.join(", "))));
            }
        }
        Ok(())
    }

    async fn update_once(
        &self,
        target: &Target<'_>,
        spec: &Json,
        live: &AnyLive,
        rest: &Diff,
    ) -> Result<(), StepError> {
        let deadline = Instant::now() + target.kind.timing().timeout;
        let pace = self.pace(target.kind.timing().poll);
        loop {
            match self.repeated(target, || target.kind.update(target.at(), spec, live, rest)).await {
                Err(error) if error.class() == Class::NotNow && Instant::now() < deadline => {
                    (self.listener)(Event::Waiting { address: target.address.clone(), on: error.chain() });
                    pace.pause().await;
                }
                answer => return Ok(answer?),
            }
        }
    }

    async fn update(
        &self,
        target: &Target<'_>,
        node: &Node,
        mut spec: Json,
        record: &Record,
        planned: &Diff,
        act: Act,
    ) -> Result<Action, StepError> {
        own(&mut spec, &self.stack, target.address, &json!(record.instance));
        let since = Instant::now();
        let (recorded, applied, sent) = (record.request.spec.as_json(), record.applied(), record.sent());
        let Some(live) = self.read(target, recorded).await? else {
            return Err(StepError::Stale("it has disappeared".into()));
        };
        let rest = diff_sent(&self.seal(&spec), &self.seal(&live.spec), &applied, &sent);
        self.within(target.kind, &rest, Some(planned))?;
        let request = self.request(node, target, &spec);
        let idle = act == Act::Update && record.phase == Phase::Ready;
        if idle && rest.is_empty() && live.status == Status::Ready {
            if request == record.request {
                self.publish(target.address, &live.outputs);
                return Ok(Action::Keep);
            }
            return self.record(target, node, spec, record).await;
        }
        let act = if record.phase == Phase::Creating { Act::Create } else { act };
        self.begin(target, act, request).await?;
        // A change may be the very thing that mends what is failing, or what never gets ready; a cloud that does not
        // take it yet says so.
        let live = if rest.is_empty() { self.until_ready(target, &spec).await? } else { live };
        let live = self.converge(target, &spec, live, &applied, sent, Some(planned)).await?;
        self.done(target, &live, since)?;
        Ok(Action::Update)
    }

    async fn adopt(
        &self,
        mut target: Target<'_>,
        node: &Node,
        mut spec: Json,
        planned: &Diff,
    ) -> Result<Action, StepError> {
        let since = Instant::now();
        let Some(live) = self.read(&target, &spec).await? else {
            return Err(StepError::Stale("it has disappeared".into()));
        };
        let claimed = self.plan.claims.iter().any(|c| c.address == *target.address);
        if let Some(why) = foreign(&live.owner, self.stack.name(), target.address, self.adopt || claimed) {
            return Err(StepError::Stale(why));
        }
        target.instance = match &live.owner {
            Owner::Tagged { instance, .. } => instance.clone(),
            _ => (self.new_instance)(),
        };
        own(&mut spec, &self.stack, target.address, &json!(target.instance));
        self.begin(&target, Act::Adopt, self.request(node, &target, &spec)).await?;
        let live = self.until_ready(&target, &spec).await?;
        let none = Sealed::default();
        let live = self.converge(&target, &spec, live, &none, none.clone(), Some(planned)).await?;
        self.done(&target, &live, since)?;
        Ok(Action::Adopt)
    }
}

/// Whether the cloud will not say if it took this change.
fn never_shown(change: &Change) -> bool {
    matches!(change, Change::Set { from: Json::Null, .. } | Change::Removed { .. })
}

/// Whether `rest`, left by an accepted update of `before`, is only what the cloud chose for fields that are wanted no
/// more: what is unset is unmanaged.
fn given_up(rest: &Diff, before: &Diff) -> bool {
    let removal = |d: &Diff| d.changes.iter().all(|c| matches!(c.change, Change::Removed { .. }));
    let alone = removal(before);
    removal(rest)
        && rest
            .changes
            .iter()
            .all(|c| before.changes.iter().any(|b| b.path == c.path && (alone || b.change != c.change)))
}

fn unresolved(spec: &Json) -> crate::error::Error {
    let mut from = BTreeSet::new();
    references(spec, &mut from);
    Unresolved(from.iter().map(|a| a.0.as_str()).collect::<Vec<_>>().join(", ")).into()
}
