//! Asks others to stay away while a run is at work. Only politeness: what keeps two runs apart is that the next entry
//! has one key. Clocks that disagree therefore cost a wait or a fenced run, never an entry.

use super::{
    objects::{Object, Objects, Only, Put, pauses},
    store::random,
};
use causeway_core::store::{Holder, StoreError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::sync::oneshot;

const KEY: &str = "lease";

/// The object. The one who wrote it stands in its metadata.
#[derive(Serialize, Deserialize)]
struct Paper {
    /// Who, on which host, in which process.
    who: String,
    /// When it was taken, by the holder's clock.
    #[serde(default)]
    since: Option<Timestamp>,
    /// By the holder's clock. `None`: given back.
    until: Option<Timestamp>,
}

impl Paper {
    /// Who holds it, expired or not. Nobody if it was given back.
    fn holder(self) -> Option<Holder> {
        let Paper { who, since, until: Some(until) } = self else { return None };
        Some(Holder { who, since, until: Some(until) })
    }
}

/// A lease that is ours.
pub(super) struct Lease {
    objects: Arc<Objects>,
    who: String,
    since: Timestamp,
    holder: String,
    etag: String,
    time: Duration,
}

/// Takes the lease for `who`, unless somebody holds one that has not expired.
pub(super) async fn take(objects: Arc<Objects>, who: &str, time: Duration) -> Result<Lease, StoreError> {
    let (who, since) = (who.to_owned(), Timestamp::now());
    let mut lease = Lease { objects, who, since, holder: random(), etag: String::new(), time };
    let mut pauses = pauses();
    loop {
        let there = lease.objects.get(KEY).await?;
        if let Some(there) = &there
            && lease.is_ours(there)
        {
            lease.etag.clone_from(&there.etag);
            return Ok(lease);
        }
        if let Some(holder) = there.as_ref().and_then(paper).and_then(Paper::holder)
            && holder.is_live(Timestamp::now())
        {
            return Err(StoreError::Held(holder.to_string()));
        }
        let only = there.map_or(Only::New, |there| Only::Over(there.etag));
        let unknown = match lease.write(&only, true).await? {
            Put::Written(etag) => {
                lease.etag = etag;
                return Ok(lease);
            }
            // Somebody was quicker: the next look tells who.
            Put::Refused => None,
            Put::Unknown(error) => Some(error),
        };
        match (pauses.next(), unknown) {
            (Some(pause), _) => tokio::time::sleep(pause).await,
            (None, Some(error)) => return Err(lease.objects.failed("writing", KEY)(error)),
            (None, None) => return Err(StoreError::Held("several others that are just starting".into())),
        }
    }
}

/// Who holds it, expired or not.
pub(super) async fn holder(objects: &Objects) -> Result<Option<Holder>, StoreError> {
    Ok(objects.get(KEY).await?.as_ref().and_then(paper).and_then(Paper::holder))
}

/// Ends the lease of whoever holds it.
pub(super) async fn take_away(objects: &Objects) -> Result<(), StoreError> {
    for pause in pauses() {
        let Some(there) = objects.get(KEY).await? else { return Ok(()) };
        let paper = paper(&there).unwrap_or(Paper {
            who: String::new(),
            since: None,
            until: Some(Timestamp::UNIX_EPOCH),
        });
        if paper.until.is_none() {
            return Ok(());
        }
        let body = text(objects, &Paper { until: None, ..paper })?;
        if let Put::Written(_) = objects.put(KEY, body, &random(), &Only::Over(there.etag)).await? {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
    }
    Err(StoreError::Held("somebody who renews it all the time".into()))
}

impl Lease {
    /// Renews the lease until `stop` is heard or gone, then gives it back. Ends early if somebody took it over.
    pub(super) async fn keep(mut self, mut stop: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                _ = &mut stop => break,
                () = tokio::time::sleep(self.time / 3) => {}
            }
            match self.again(true).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!("somebody took over the lease of the journal");
                    return;
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the lease was not renewed");
                }
            }
        }
        if let Err(error) = self.again(false).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the lease was not given back");
        }
    }

    /// Writes it again, held or not. `false` if it is not ours any more.
    async fn again(&mut self, held: bool) -> Result<bool, StoreError> {
        for pause in pauses().take(5) {
            if let Put::Written(etag) = self.write(&Only::Over(self.etag.clone()), held).await? {
                self.etag = etag;
                return Ok(true);
            }
            // The answer to the last write may have been lost.
            match self.objects.get(KEY).await? {
                Some(there) if self.is_ours(&there) => {
                    let as_wanted = paper(&there).is_some_and(|paper| paper.until.is_some() == held);
                    let moved = self.etag != there.etag;
                    self.etag = there.etag;
                    if moved && as_wanted {
                        return Ok(true);
                    }
                }
                _ => return Ok(false),
            }
            tokio::time::sleep(pause).await;
        }
        Ok(true)
    }

    async fn write(&self, only: &Only, held: bool) -> Result<Put, StoreError> {
        let until = held.then(|| Timestamp::now() + self.time);
        let body = text(&self.objects, &Paper { who: self.who.clone(), since: Some(self.since), until })?;
        self.objects.put(KEY, body, &self.holder, only).await
    }

    fn is_ours(&self, there: &Object) -> bool {
        there.writer.as_ref() == Some(&self.holder)
    }
}

/// What stands in it. Nothing if it does not decode, which must not keep everybody out for ever.
fn paper(there: &Object) -> Option<Paper> {
    serde_json::from_slice(&there.body).ok()
}

fn text(objects: &Objects, paper: &Paper) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(paper).map_err(objects.failed("encoding", KEY))
}
