//! Where the journal of a stack is: `--state`, `[state]`, or beside the configuration.

use crate::{
    cli::Global,
    failure::{Code, Failure},
};
use aws_config::{Region, SdkConfig};
use causeway_aws::s3::S3Store;
use causeway_config::{File, S3State, StateConfig};
use causeway_core::{
    engine::{EngineError, still_here},
    journal::{Stamped, State},
    store::{Hold, Holder, LocalStore, Store, StoreError},
};
use futures::future::BoxFuture;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where a journal is kept.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket.
    Bucket(Bucket),
}

/// A bucket, or a part of one, with everything said about it.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) prefix: String,
    pub(crate) region: String,
    pub(crate) kms_key: Option<String>,
    /// Whether the first apply makes it.
    pub(crate) create: bool,
}

impl Place {
    /// Where flags and configuration say; `beside` is the folder where it is if they say nothing.
    pub(crate) fn of(global: &Global, file: &File, beside: &Path) -> Self {
        let state = &file.config.state;
        match (&global.state, &state.s3, &state.folder) {
            (Some(folder), _, _) => Place::Folder(folder.clone()),
            (None, Some(s3), _) => Place::Bucket(Bucket::of(s3, file)),
            (None, None, _) if global.sandbox => Place::Folder(beside.to_owned()),
            (None, None, Some(folder)) => Place::Folder(file.folder().join(folder)),
            (None, None, None) => Place::Folder(beside.to_owned()),
        }
    }

    /// The store. `sdk` speaks to the cloud that the stack is in.
    pub(crate) fn store(&self, sdk: &SdkConfig) -> Arc<dyn Store> {
        match self {
            Place::Folder(folder) => Arc::new(LocalStore::new(folder)),
            Place::Bucket(bucket) if bucket.create => Arc::new(Unmade(bucket.store(sdk))),
            Place::Bucket(bucket) => Arc::new(bucket.store(sdk)),
        }
    }

    /// The bucket that `apply` has to make first.
    ///
    /// # Errors
    /// When nobody can say whether it is there.
    pub(crate) async fn to_be_made(&self, sdk: &SdkConfig) -> Result<Option<&Bucket>, Failure> {
        let Place::Bucket(bucket) = self else { return Ok(None) };
        if !bucket.create {
            return Ok(None);
        }
        match bucket.store(sdk).load().await {
            Err(StoreError::Missing(_)) => Ok(Some(bucket)),
            answer => answer.map(|_| None).map_err(|e| EngineError::Load(e).into()),
        }
    }
}

/// A journal in a bucket that the first apply makes: until then it is empty, and cannot be written.
struct Unmade(S3Store);

impl Store for Unmade {
    fn load(&self) -> BoxFuture<'_, Result<Vec<Stamped>, StoreError>> {
        Box::pin(async {
            match self.0.load().await {
                Err(StoreError::Missing(_)) => Ok(vec![]),
                answer => answer,
            }
        })
    }

    fn append<'a>(&'a self, after: u64, batch: &'a [Stamped]) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.append(after, batch)
    }

    fn hold<'a>(&'a self, who: &'a str) -> BoxFuture<'a, Result<Hold, StoreError>> {
        self.0.hold(who)
    }

    fn holder(&self) -> BoxFuture<'_, Result<Option<Holder>, StoreError>> {
        Box::pin(async {
            match self.0.holder().await {
                Err(StoreError::Missing(_)) => Ok(None),
                answer => answer,
            }
        })
    }

    fn unlock(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.unlock()
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        self.0.settle()
    }

    fn place(&self) -> String {
        self.0.place()
    }

    fn home(&self) -> String {
        self.0.home()
    }
}

/// Where nothing is said about the journal of Coder on EKS, has `file` say it: in a bucket of the account, which the first apply
/// makes. Three regions are not to be had back from one machine. `account` is asked only where the file names none.
///
/// # Errors
/// Those of `account`.
pub(crate) async fn settle(
    global: &Global,
    file: &mut File,
    account: impl Future<Output = Result<String, Failure>>,
) -> Result<(), Failure> {
    let config = &mut file.config;
    let said = global.sandbox || global.state.is_some() || config.state != StateConfig::default();
    if said || config.eks.is_none() {
        return Ok(());
    }
    let account = match &config.stack.account {
        Some(account) => account.clone(),
        None => account.await?,
    };
    config.state.s3 = Some(S3State {
        bucket: format!("causeway-{account}-{}", config.stack.region),
        prefix: None,
        region: None,
        kms_key: None,
        create: true,
    });
    Ok(())
}

/// Looks whether `place` is where the journal goes on: not a bucket beside which there is a folder with one.
///
/// # Errors
/// There is, and it was never moved. Whoever planned now would take all that it made for somebody else's.
pub(crate) async fn nothing_left_behind(place: &Place, beside: &Path) -> Result<(), Failure> {
    let Place::Bucket(bucket) = place else { return Ok(()) };
    let local = LocalStore::new(beside);
    let entries = local.load().await.map_err(EngineError::Load)?;
    let state = State::fold(&entries).map_err(EngineError::Bad)?;
    if entries.is_empty() || still_here(&state, &local).is_err() {
        return Ok(());
    }
    let why = format!(
        "`[state]` names the bucket `{}`, and a journal of this stack goes on in {}",
        bucket.name,
        beside.display()
    );
    Err(Failure::new(Code::Refused, why)
        .hint("`deploy state move --to s3` moves it there")
        .hint("to stay with the folder, take `s3` out of `[state]`"))
}

impl Bucket {
    /// As the configuration says.
    pub(crate) fn of(s3: &S3State, file: &File) -> Self {
        let stack = &file.config.stack;
        Bucket {
            name: s3.bucket.clone(),
            prefix: s3.prefix.clone().unwrap_or_else(|| stack.name.clone()),
            region: s3.region.clone().unwrap_or_else(|| stack.region.clone()),
            kms_key: s3.kms_key.clone(),
            create: s3.create,
        }
    }

    /// The journal in it.
    pub(crate) fn store(&self, sdk: &SdkConfig) -> S3Store {
        let config = sdk.to_builder().region(Region::new(self.region.clone())).build();
        S3Store::new(&config, &self.name, &self.prefix, self.kms_key.clone())
    }
}

/// The folder of the journal of a stack that is not in a sandbox, if nothing else is said.
pub(crate) fn beside(file: &File) -> PathBuf {
    file.folder().join(".causeway").join(&file.config.stack.name)
}
