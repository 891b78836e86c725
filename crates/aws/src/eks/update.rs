//! Updates that this program began, and what became of them:
//! <https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribeUpdate.html>
//!
//! EKS goes on showing a thing as active for a moment after it took an update, and says only in the update why one
//! failed. A run that is begun anew sees no more than the thing's own status.

use super::{Eks, issues};
use crate::Call;
use aws_sdk_eks::types::{Update, UpdateStatus};
use causeway_core::{Error, Status, error::Found};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What an update is about. EKS runs one of each at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Of {
    /// By its name.
    Cluster(String),
    /// By the names of its cluster and its own.
    NodeGroup(String, String),
    /// By the names of its cluster and its own.
    Addon(String, String),
}

/// The ids of updates on their way.
#[derive(Default)]
pub(crate) struct Updates(Mutex<BTreeMap<Of, String>>);

impl Updates {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Of, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an update that EKS has just taken.
    pub(crate) fn began(&self, of: Of, update: Option<Update>) {
        if let Some(id) = update.and_then(|update| update.id) {
            self.lock().insert(of, id);
        }
    }
}

impl Eks {
    /// The status of what is being updated; `status` where no update of ours is on its way.
    pub(crate) async fn or_updating(&self, of: Of, status: Status) -> Result<Status, Error> {
        let Some(id) = self.updates.lock().get(&of).cloned() else { return Ok(status) };
        let describe = self.describe_update().update_id(id);
        let describe = match &of {
            Of::Cluster(name) => describe.name(name),
            Of::NodeGroup(cluster, name) => describe.name(cluster).nodegroup_name(name),
            Of::Addon(cluster, name) => describe.name(cluster).addon_name(name),
        };
        let update = describe.send().await.call("eks:DescribeUpdate").found()?.and_then(|u| u.update);
        let outcome = update.as_ref().and_then(outcome);
        if !matches!(outcome, Some(Status::Pending(_))) {
            self.updates.lock().remove(&of);
        }
        Ok(outcome.unwrap_or(status))
    }
}

/// `None` once it is over and did what it was to do.
fn outcome(update: &Update) -> Option<Status> {
    match update.status() {
        Some(UpdateStatus::InProgress) => Some(Status::Pending("updating".into())),
        Some(status @ (UpdateStatus::Failed | UpdateStatus::Cancelled)) => {
            let errors = update.errors().iter().map(|e| {
                (e.error_code().map(|c| c.as_str().to_owned()), e.error_message().map(str::to_owned))
            });
            let how = status.as_str().to_lowercase();
            Some(Status::Failed(format!("the update {how}: {}", issues(errors))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_eks::types::{ErrorCode, ErrorDetail};

    #[test]
    fn a_failed_update_says_why() {
        let of = |status| Update::builder().id("1").status(status);
        assert_eq!(outcome(&of(UpdateStatus::Successful).build()), None);
        assert!(matches!(outcome(&of(UpdateStatus::InProgress).build()), Some(Status::Pending(_))));
        let why = ErrorDetail::builder()
            .error_code(ErrorCode::PodEvictionFailure)
            .error_message("Reached max retries while trying to evict pods")
            .build();
        let Some(Status::Failed(why)) = outcome(&of(UpdateStatus::Failed).errors(why).build()) else {
            panic!("not failed")
        };
        assert!(why.contains("PodEvictionFailure: Reached max retries"), "{why}");
    }
}
