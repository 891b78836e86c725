//! Of several that run beside each other, one works: whoever holds a Lease of Kubernetes, as its own controllers do.
//! <https://kubernetes.io/docs/concepts/architecture/leases/>
//!
//! Clocks of machines are not compared: a holder is taken for gone when nobody has touched the Lease for its whole duration, by the
//! clock of whoever looks. Who cannot renew stops before others may begin. And should two work at a time after all, journals and
//! providers see to it that nothing is done twice.

use crate::{
    File,
    config::LeaseConfig,
    source::{SourceError, kubernetes},
};
use causeway_core::error::chain;
use k8s_openapi::{
    api::coordination::v1::{Lease as Object, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{Api, api::PostParams};
use std::time::Duration;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// A Lease, as one of those that want it sees it.
pub struct Lease {
    api: Api<Object>,
    name: String,
    identity: String,
    duration: Duration,
    /// The version that somebody else's was last seen in, and since when.
    seen: Option<(String, Instant)>,
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is ours.
    Ours,
    /// Somebody else has it.
    Theirs(String),
    /// Nobody knows, as the Lease cannot be asked for.
    Unknown(String),
}

impl Lease {
    /// The Lease of `config`, for `identity`, which must be another one for each process. Nothing is taken yet.
    ///
    /// # Errors
    /// When no client of the cluster can be made.
    pub async fn connect(config: &LeaseConfig, file: &File, identity: String) -> Result<Self, SourceError> {
        let cluster = config.cluster.as_ref().and_then(|name| file.config.clusters.get(name));
        let client = kubernetes::connect(cluster, file.folder()).await?;
        let namespace = config.namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
        Ok(Lease {
            api: Api::namespaced(client, &namespace),
            name: config.name.clone(),
            identity,
            duration: Duration::from_secs(config.seconds.into()),
            seen: None,
        })
    }

    fn failed(&self, act: &str, error: kube::Error) -> SourceError {
        SourceError::new(format!("{act} the Lease `{}`", self.name), error)
    }

    /// Takes the Lease, or renews it, if it is free or ours.
    ///
    /// # Errors
    /// When the API server cannot be asked, or does not allow it.
    pub async fn take(&mut self) -> Result<Turn, SourceError> {
        let now = || Some(MicroTime(k8s_openapi::jiff::Timestamp::now()));
        let there = self.api.get_opt(&self.name).await.map_err(|e| self.failed("reading", e))?;
        let mut lease = there.unwrap_or_default();
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
        match holder {
            Some(holder) if holder == self.identity => {}
            Some(holder) => {
                let theirs = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok());
                let duration = theirs.map_or(self.duration, Duration::from_secs);
                match &self.seen {
                    Some((seen, since)) if *seen == version => {
                        if since.elapsed() <= duration {
                            return Ok(Turn::Theirs(holder));
                        }
                    }
                    _ => {
                        self.seen = Some((version, Instant::now()));
                        return Ok(Turn::Theirs(holder));
                    }
                }
                spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default() + 1);
                spec.acquire_time = now();
            }
            None => spec.acquire_time = now(),
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(self.duration.as_secs()).ok();
        spec.renew_time = now();
        // It is written as it was read, so of two one is refused.
        let written = if version.is_empty() {
            lease.metadata.name = Some(self.name.clone());
            self.api.create(&PostParams::default(), &lease).await
        } else {
            self.api.replace(&self.name, &PostParams::default(), &lease).await
        };
        match written {
            Ok(_) => Ok(Turn::Ours),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Ok(Turn::Theirs("somebody who was quicker".into()))
            }
            Err(e) => Err(self.failed("writing", e)),
        }
    }

    /// Gives it back, so that nobody has to wait.
    ///
    /// # Errors
    /// As [`Lease::take`].
    pub async fn release(&mut self) -> Result<(), SourceError> {
        let there = self.api.get_opt(&self.name).await.map_err(|e| self.failed("reading", e))?;
        let Some(mut lease) = there else { return Ok(()) };
        let Some(spec) = lease.spec.as_mut() else { return Ok(()) };
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(());
        }
        spec.holder_identity = Some(String::new());
        match self.api.replace(&self.name, &PostParams::default(), &lease).await {
            Ok(_) => Ok(()),
            // Whoever has it now has it.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(e) => Err(self.failed("writing", e)),
        }
    }

    /// Takes it and keeps it, until that is ended.
    pub fn keep(mut self) -> Kept {
        let (told, turn) = watch::channel(Turn::Unknown("nobody has asked yet".into()));
        let (end, mut ended) = oneshot::channel::<()>();
        let third = self.duration / 3;
        let task = tokio::spawn(async move {
            let mut ours_until: Option<Instant> = None;
            loop {
                let asked = Instant::now();
                let now = match timeout(third, self.take()).await {
                    Ok(Ok(turn)) => turn,
                    Ok(Err(error)) => Turn::Unknown(chain(&error)),
                    Err(_) => Turn::Unknown(format!("no answer within {} s", third.as_secs())),
                };
                match &now {
                    Turn::Ours => ours_until = Some(asked + self.duration),
                    Turn::Theirs(_) => ours_until = None,
                    Turn::Unknown(_) => {}
                }
                // Others may begin when the duration is over; so we end before.
                let still = ours_until.is_some_and(|until| Instant::now() + third < until);
                let now = if still { Turn::Ours } else { now };
                told.send_if_modified(|before| std::mem::replace(before, now.clone()) != now);
                tokio::select! {
                    () = sleep(third) => {}
                    _ = &mut ended => {
                        let released = timeout(third, self.release()).await;
                        tracing::debug!(?released, "the lease is given back");
                        return;
                    }
                }
            }
        });
        Kept { turn, end, task }
    }
}

/// A Lease that is taken and renewed beside everything else.
pub struct Kept {
    turn: watch::Receiver<Turn>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Kept {
    /// Whose turn it is, and when that changes.
    pub fn turn(&self) -> watch::Receiver<Turn> {
        self.turn.clone()
    }

    /// Returns when it is not ours any more; at once, if it is not.
    pub async fn lost(&self) {
        // An error means that nobody keeps it any more.
        let _ = self.turn.clone().wait_for(|turn| *turn != Turn::Ours).await;
    }

    /// Gives it back.
    pub async fn end(self) {
        // Both mean that it has ended already.
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}
