//! Removes one incarnation.

use super::{Run, StepError, Target};
use crate::{
    claim,
    error::Class,
    event::Event,
    journal::{Act, Entry, Phase},
    observe::kind_of,
    plan::{Action, Step, passed_on},
    registry::AnyLive,
    resource::{Owner, Status},
    value::{Address, is_unknown, resolve},
};
use serde_json::Value as Json;
use tokio::time::Instant;

impl Run {
    pub(super) async fn remove(&self, address: &Address, instance: &str) -> Result<Action, StepError> {
        let Some(record) = self.journal.record(address, instance) else { return Ok(Action::Keep) };
        let kind = kind_of(&self.registry, address, &record.request.kind)?.as_ref();
        let target = Target {
            address,
            kind,
            place: record.request.place.clone(),
            instance: instance.to_owned(),
            recorded: claim::known(kind, &record),
            going: true,
        };
        if self.is_kept(address) {
            return Ok(Action::Keep);
        }
        let planned = self.planned(address).map(|s| s.action);
        if planned == Some(Action::ReplaceDeleteFirst)
            && record.phase == Phase::Ready
            && let Some(node) = self.stack.nodes().get(address)
        {
            let spec = resolve(&node.spec, &|r| self.known(r));
            if !is_unknown(&spec) && !self.still_replaces(&target, &spec, &record).await? {
                self.keep(address);
                return Ok(Action::Keep);
            }
        }
        let spec = record.request.spec.as_json();
        let unsure = record.phase == Phase::Creating;
        let found =
            if unsure { self.settled(&target, spec).await? } else { self.read(&target, spec).await? };
        let passed_on = self.journal.with(|state| passed_on(kind, state, address, &record));
        let found = ours(found, instance).filter(|live| live.owner != Owner::Parent || !passed_on);
        let forgotten = self.plan.steps.iter().any(|s| {
            s.action == Action::Forget && s.address == *address && s.instance.as_deref() == Some(instance)
        });
        if let Some(live) = found.filter(|_| !kind.retain()) {
            if forgotten {
                return Err(StepError::Stale("it has come back".into()));
            }
            // Nobody was asked to permit that.
            let asked =
                |s: &Step| s.address == *address && s.instance.as_deref() == Some(instance) && !s.data;
            if self.plan.steps.iter().any(asked) && kind.holds_data(&live.spec) {
                let what = kind.takes_along(&live.spec).join(", ");
                return Err(StepError::Stale(format!("holds data that was not there: {what}")));
            }
            let begin = Entry::Begin {
                address: address.clone(),
                instance: instance.to_owned(),
                act: Act::Delete,
                request: record.request.clone(),
            };
            self.journal.append(begin).await?;
            // What was never ready was never told to anybody who could have put data into it.
            if kind.data() && !unsure {
                self.copy(&target, spec, &live).await?;
            }
            self.delete(&target, spec, live).await?;
        }
        self.gone(address, instance)?;
        Ok(Action::Delete)
    }

    /// Waits until a copy of its data can be used, and writes down what that is called.
    async fn copy(&self, target: &Target<'_>, spec: &Json, live: &AnyLive) -> Result<(), StepError> {
        let timing = target.kind.timing();
        let deadline = Instant::now() + timing.timeout;
        let pace = self.pace(timing.poll);
        loop {
            match self.repeated(target, || target.kind.copy(target.at(), spec, live)).await {
                Ok(None) => return Ok(()),
                Ok(Some(copy)) => {
                    let (address, instance) = (target.address.clone(), target.instance.clone());
                    return Ok(self.journal.append(Entry::Copied { address, instance, copy }).await?);
                }
                Err(e) if e.class() == Class::NotNow => {
                    let on = e.chain();
                    if Instant::now() >= deadline {
                        return Err(StepError::TimedOut { after: timing.timeout, on });
                    }
                    (self.listener)(Event::Waiting { address: target.address.clone(), on });
                    pace.pause().await;
                }
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Deletes, and again while something is still in the way, until it is not there any more.
    async fn delete(&self, target: &Target<'_>, spec: &Json, mut live: AnyLive) -> Result<(), StepError> {
        let timing = target.kind.timing();
        let deadline = Instant::now() + timing.timeout;
        let pace = self.pace(timing.poll);
        let mut accepted = false;
        loop {
            let mut on = match &live.status {
                Status::Pending(on) => on.clone(),
                _ => "for it to be gone".to_owned(),
            };
            if !accepted {
                match self.repeated(target, || target.kind.delete(target.at(), spec, &live)).await {
                    Ok(()) => accepted = true,
                    Err(e) if e.class() == Class::NotFound => return Ok(()),
                    Err(e) if e.class() == Class::NotNow && Instant::now() < deadline => on = e.chain(),
                    Err(e) => return Err(e.into()),
                }
            }
            match ours(self.read(target, spec).await?, &target.instance) {
                None => return Ok(()),
                Some(now) => live = now,
            }
            if Instant::now() >= deadline {
                return Err(StepError::TimedOut { after: timing.timeout, on });
            }
            (self.listener)(Event::Waiting { address: target.address.clone(), on });
            pace.pause().await;
        }
    }
}

/// What was found, unless the name has passed to another incarnation.
fn ours(found: Option<AnyLive>, instance: &str) -> Option<AnyLive> {
    found.filter(|live| match &live.owner {
        Owner::Tagged { instance: theirs, .. } => theirs == instance,
        Owner::Nobody | Owner::Anybody | Owner::Parent => true,
    })
}
