//! A new key, in four steps: it is thought up and kept beside the one in force; LiteLLM learns it; it is tried; it comes into
//! force. Whoever reads the one in force has one that works at any moment, and whoever still has the one before has, too.
//!
//! A run may end anywhere. The next one goes on with what it kept, or, if that is long ago, begins anew; what LiteLLM then knows
//! in vain is deleted. Two runs at once do not both succeed: a key comes into force only in place of the one that was seen.

use crate::{
    Held, LiteLlm,
    api::Error,
    held::{ALIAS, NoKey},
};
use causeway_core::Secret;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

/// So long after it was thought up a key that is not in force yet is left alone: it would come into force with an age that it
/// does not have.
const BEGUN: SignedDuration = SignedDuration::from_mins(15);

/// What a kept value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// In force.
    Current,
    /// In force before.
    Previous,
    /// To come into force.
    Pending,
}

/// A value, and what it is called where it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// Unique among all values that were ever kept there.
    pub id: String,
    /// The value.
    pub value: Secret,
}

/// Keeps one value in several stages, as Secrets Manager does.
pub trait Vault: Send + Sync {
    /// What is at this stage.
    ///
    /// # Errors
    /// Nobody can say.
    fn at(&self, stage: Stage) -> BoxFuture<'_, Result<Option<Version>, causeway_core::Error>>;
    /// Keeps a value that is to come into force, in place of another such. Its id.
    ///
    /// # Errors
    /// It was not kept, or nobody can say.
    fn keep<'a>(&'a self, value: &'a Secret) -> BoxFuture<'a, Result<String, causeway_core::Error>>;
    /// Brings the value with this id into force in place of that with the other one, which is then the previous one.
    ///
    /// # Errors
    /// Another one is in force, or nobody can say.
    fn promote<'a>(
        &'a self,
        id: &'a str,
        instead_of: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), causeway_core::Error>>;
}

/// How long keys live, and how long the one before has to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Hours that a key can be used.
    pub life: u8,
    /// Hours after which a key that came into force is everywhere.
    pub overlap: u8,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// The key in force is not everywhere yet, so none takes its place.
    TooEarly {
        /// What it is called.
        alias: String,
        /// From when on it is.
        until: Timestamp,
    },
    /// A new one is in force.
    New {
        /// What it is called.
        alias: String,
        /// The keys that nobody has any more, and that were deleted.
        deleted: Vec<String>,
    },
}

/// Why there is no new key. The one in force is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// LiteLLM.
    #[error("cannot {act}")]
    Api {
        /// What was tried.
        act: &'static str,
        /// Why not.
        #[source]
        source: Error,
    },
    /// Where keys are kept.
    #[error("cannot {act}")]
    Vault {
        /// What was tried.
        act: &'static str,
        /// Why not.
        #[source]
        source: causeway_core::Error,
    },
    /// LiteLLM has made a key and does not take it.
    #[error("LiteLLM does not take the key `{alias}` that it has just made")]
    Useless {
        /// What it is called.
        alias: String,
    },
    /// No key can be thought up.
    #[error("the operating system gives no random bytes")]
    Random(#[source] getrandom::Error),
    /// A key that cannot be read.
    #[error("the key cannot be kept")]
    Sealed(#[from] causeway_core::secret::SealedSecret),
}

fn api(act: &'static str) -> impl FnOnce(Error) -> RotationError {
    move |source| RotationError::Api { act, source }
}

fn vault(act: &'static str) -> impl FnOnce(causeway_core::Error) -> RotationError {
    move |source| RotationError::Vault { act, source }
}

/// Has a new key come into force, unless the one in force is still on its way.
///
/// # Errors
/// [`RotationError`]. Running it again goes on.
pub async fn make(
    litellm: &LiteLlm,
    kept: &dyn Vault,
    rotation: Rotation,
    now: Timestamp,
) -> Result<Made, RotationError> {
    let reading = "read the key that is in force";
    let current = kept.at(Stage::Current).await.map_err(vault(reading))?;
    let previous = kept.at(Stage::Previous).await.map_err(vault("read the key before that"))?;
    let held = current.as_ref().map_or(Err(NoKey), |version| Held::parse(&version.value)).ok();
    let mut leave = vec![];
    if let Some(held) = &held {
        leave.push(held.alias.clone());
        let everywhere = held.made + SignedDuration::from_hours(rotation.overlap.into());
        if now < everywhere {
            // One that does not work is of no use to those who have it, and they are fewer than those who will.
            if litellm.works(&held.key).await.map_err(api("try the key that is in force"))? {
                return Ok(Made::TooEarly { alias: held.alias.clone(), until: everywhere });
            }
            leave.extend(previous.as_ref().and_then(|one| Held::parse(&one.value).ok()).map(|one| one.alias));
        }
    }
    let in_force = current.as_ref().map(|version| version.id.as_str());
    let past = [in_force, previous.as_ref().map(|version| version.id.as_str())];
    let (id, new) = begun(kept, past, now).await?;
    litellm.ensure_user().await.map_err(api("make a user for the key"))?;
    let trying = "try the new key";
    if !litellm.works(&new.key).await.map_err(api(trying))? {
        litellm.generate(&new.key, &new.alias, rotation.life).await.map_err(api("make a key"))?;
        if !litellm.works(&new.key).await.map_err(api(trying))? {
            return Err(RotationError::Useless { alias: new.alias });
        }
    }
    kept.promote(&id, in_force).await.map_err(vault("bring the new key into force"))?;
    leave.push(new.alias.clone());
    let mut deleted = vec![];
    for alias in litellm.aliases().await.map_err(api("list the keys"))? {
        let ours = alias.starts_with(ALIAS) && !leave.contains(&alias);
        if ours && litellm.delete(&alias).await.map_err(api("delete an old key"))? {
            deleted.push(alias);
        }
    }
    Ok(Made::New { alias: new.alias, deleted })
}

/// The key that is to come into force: one that an earlier run has begun with a moment ago, or a new one. What is in force is
/// still called what it was before.
async fn begun(
    kept: &dyn Vault,
    past: [Option<&str>; 2],
    now: Timestamp,
) -> Result<(String, Held), RotationError> {
    let pending = kept.at(Stage::Pending).await.map_err(vault("read the key that is to come"))?;
    if let Some(pending) = pending.filter(|pending| !past.contains(&Some(&pending.id)))
        && let Ok(held) = Held::parse(&pending.value)
        && now.duration_since(held.made) < BEGUN
    {
        return Ok((pending.id, held));
    }
    let held = Held::new(now).map_err(RotationError::Random)?;
    let id = kept.keep(&held.text()?).await.map_err(vault("keep the new key"))?;
    Ok((id, held))
}

/// Where no key may take the place of another: has the one in force, and the one before that somebody may still have, live on.
/// The aliases of those that do.
///
/// # Errors
/// [`RotationError`]. They live as long as they would have.
pub async fn extend(
    litellm: &LiteLlm,
    kept: &dyn Vault,
    rotation: Rotation,
) -> Result<Vec<String>, RotationError> {
    let mut extended = vec![];
    for stage in [Stage::Current, Stage::Previous] {
        let version = kept.at(stage).await.map_err(vault("read the keys that are used"))?;
        let Some(held) = version.and_then(|version| Held::parse(&version.value).ok()) else { continue };
        let act = "have a key live longer";
        // One that has ended may have been ended by somebody.
        if litellm.works(&held.key).await.map_err(api(act))?
            && litellm.extend(&held.key, rotation.life).await.map_err(api(act))?
        {
            extended.push(held.alias);
        }
    }
    Ok(extended)
}
