//! One kind of thing that Causeway manages. Read this first.
//!
//! The struct is what we want; `impl Resource` says how the cloud is asked: `read`, `create`, `update`, `delete`.
//! Nothing else is written per resource. The engine compares, waits, retries, adopts, tags and records.

use crate::{
    claim::ClaimedBy,
    diff::Diff,
    error::Error,
    place::Client,
    undo::UndoRule,
    value::{Address, Name, Outputs},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, future::Future, time::Duration};

/// One kind of thing. The implementing struct is its own spec.
pub trait Resource: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Stable name in journals and plans: `cloud.service.noun`, like `aws.eks.cluster`.
    const KIND: &'static str;
    /// How a create is made exactly once.
    const RECOVERY: Recovery;
    /// Fields that cannot change in place; every other field can. A name covers all fields inside it.
    const REPLACE: &'static [&'static str] = &[];
    /// Outputs that an in-place update may change, like a revision. All others stay known while it is planned.
    const MOVES: &'static [&'static str] = &[];
    /// Whether it holds data that nobody can bring back: never deleted or replaced without a permit that names it.
    const DATA: bool = false;
    /// What it is that nobody can bring back, where that is not data: a noun with its article.
    const HOLDS: Option<&'static str> = None;
    /// Whether it stays when it is wanted no more, and is only forgotten: what it stands in decides how long it lives,
    /// like an image in a repository.
    const RETAIN: bool = false;
    /// How one is claimed that people made.
    const CLAIMED_BY: ClaimedBy = ClaimedBy::usual(Self::RECOVERY);
    /// What stays as people made it when one is claimed, beside the fields that it is found by: only fields that
    /// cannot change in place, and that mean nothing to what depends on it.
    const KEEPS: &'static [&'static str] = &[];
    /// Acts that are not taken back as such acts usually are: what is lost, or remains. See [`undo`](crate::undo).
    const UNDO: &'static [UndoRule] = &[];
    /// The kind of what stands in it as resources of their own, where it shows what else stands there; see
    /// [`Resource::leave_out`].
    const PARTS: Option<&'static str> = None;
    /// How long things take, and how often to look.
    const TIMING: Timing = Timing::QUICK;
    /// Speaks to the place that the resource lives in.
    type Client: Client;
    /// What others may refer to.
    type Outputs: Outputs;

    /// Looks. The only observer: planning, adoption and every wait use it.
    ///
    /// Finds it by `cx.recorded` where the id is known, by the name or natural key in `self`, or by the tag
    /// [`Tags::INSTANCE`] with `cx.instance`. `None` means that it is not there.
    fn read(&self, cx: &Cx<'_, Self>) -> impl Future<Output = Result<Option<Live<Self>>, Error>> + Send;

    /// As [`Resource::read`], where it is to go: looks for what goes with it, too.
    fn read_along(
        &self,
        cx: &Cx<'_, Self>,
    ) -> impl Future<Output = Result<Option<Live<Self>>, Error>> + Send {
        self.read(cx)
    }

    /// What goes with it when it is deleted, of what [`Resource::read_along`] found in `self`: things that others made,
    /// and that are in no plan by themselves. The plan tells them.
    fn takes_along(&self) -> Vec<String> {
        vec![]
    }

    /// Whether what [`Resource::read_along`] found in `self` holds data. Only asked where [`Resource::DATA`].
    fn holds_data(&self) -> bool {
        true
    }

    /// Makes it exist, with `self.tags` in the same call wherever the API allows. Repeatable with the same
    /// [`Cx::token`]. What `update` can set may be left to `update`, except what `read` cannot see (a password).
    fn create(&self, cx: &Cx<'_, Self>) -> impl Future<Output = Result<(), Error>> + Send;

    /// Takes one step from `live` towards `self`; called again while anything differs.
    fn update(
        &self,
        cx: &Cx<'_, Self>,
        live: &Live<Self>,
        diff: &Diff,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Leaves the part with these outputs out of what `spec`, as it was read, shows as somebody else's. The stack wants
    /// that part, whoever made it, and takes it over itself. Only called for parts of the kind [`Resource::PARTS`].
    fn leave_out(_spec: &mut Self, _part: &serde_json::Value) {}

    /// Makes sure that a copy of its data can be used, before it is removed or replaced; called again while it answers
    /// [`Class::NotNow`](crate::Class::NotNow). Only called where [`Resource::DATA`], and never for what was not ready
    /// once. Answers with what the copy is called, and `None` where the cloud has none to offer, or there is nothing to
    /// keep. Any other error keeps it from being removed.
    fn copy(
        &self,
        _cx: &Cx<'_, Self>,
        _live: &Live<Self>,
    ) -> impl Future<Output = Result<Option<String>, Error>> + Send {
        std::future::ready(Ok(None))
    }

    /// How much longer than [`Resource::TIMING`] says a create or an update takes because of what is wanted, like a
    /// time for which two revisions have to run side by side.
    fn takes_longer(&self) -> Duration {
        Duration::ZERO
    }

    /// Starts removal; called again while it answers [`Class::NotNow`](crate::Class::NotNow), done when `read`
    /// answers `None`. `self` is what the last apply wanted.
    fn delete(&self, cx: &Cx<'_, Self>, live: &Live<Self>) -> impl Future<Output = Result<(), Error>> + Send;
}

/// How a create is made exactly once when its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The API takes an idempotency token: the same request is sent with the same [`Cx::token`].
    Token,
    /// We choose a name that is unique where it lives: looked up by these fields, the owner checked.
    Name(&'static [&'static str]),
    /// An idempotent put, or unique under its parent: looked up by these fields.
    NaturalKey(&'static [&'static str]),
    /// Not ours: only looked at, or waited for. Never recorded and never deleted; where `read` finds nothing, `create`
    /// answers with an error that says what is missing and what to do, or finds out what cannot be looked up yet.
    Observed,
    /// Neither: created with tags in the same call, looked up by the tag of this incarnation, and only after `settle`
    /// does "not found" count.
    Tag {
        /// How long the tag index may lag.
        settle: Duration,
    },
}

impl Recovery {
    /// The fields by which it is found without a record. Empty where it can only be found by its incarnation.
    pub fn identity(&self) -> &'static [&'static str] {
        match self {
            Recovery::Name(fields) | Recovery::NaturalKey(fields) => fields,
            Recovery::Token | Recovery::Observed | Recovery::Tag { .. } => &[],
        }
    }
}

/// How long a kind's operations take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A usual create, until journals of this stack know better.
    pub typical: Duration,
    /// The pause between two looks while waiting.
    pub poll: Duration,
    /// When waiting is given up.
    pub timeout: Duration,
}

impl Timing {
    /// For things that exist as soon as the call answers.
    pub const QUICK: Timing = Timing::seconds(2, 1, 300);

    /// Typical duration, pause between looks, and timeout, in seconds.
    pub const fn seconds(typical: u64, poll: u64, timeout: u64) -> Self {
        Timing {
            typical: Duration::from_secs(typical),
            poll: Duration::from_secs(poll),
            timeout: Duration::from_secs(timeout),
        }
    }
}

/// A resource as the cloud has it now, in the words of our spec.
#[derive(Clone, Debug)]
pub struct Live<R: Resource> {
    /// What is there. Fields that the cloud never shows (a password) are left unset.
    pub spec: R,
    /// What others may refer to.
    pub outputs: R::Outputs,
    /// Whether it can be used.
    pub status: Status,
    /// Whose it is.
    pub owner: Owner,
}

/// Whether a thing can be used yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It can.
    Ready,
    /// It is on its way; says what it waits for, for the progress line.
    Pending(String),
    /// It never will without a change; says why. A wait ends here.
    Failed(String),
}

/// Whose a live thing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The kind carries no tags: whoever owns its parent owns it.
    Parent,
    /// It could carry our tags and does not.
    Nobody,
    /// It is named by its content, so it is the same whoever put it there: an image under a tag.
    Anybody,
    /// It carries ownership tags.
    Tagged {
        /// [`Tags::STACK`].
        stack: String,
        /// [`Tags::ADDRESS`].
        address: String,
        /// [`Tags::INSTANCE`].
        instance: String,
    },
}

/// The tags of a taggable resource. A spec that has a field `tags: Tags` gets the stack's tags and the ownership
/// tags from the engine; `create` and `update` just write `self.tags`, `read` just reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tags(pub BTreeMap<String, String>);

impl Tags {
    /// Key of the tag that names the stack.
    pub const STACK: &'static str = "causeway:stack";
    /// Key of the tag that holds the address in the stack.
    pub const ADDRESS: &'static str = "causeway:address";
    /// Key of the tag that holds the incarnation.
    pub const INSTANCE: &'static str = "causeway:instance";

    /// Key of the tag that AWS puts on what a CloudFormation stack keeps.
    pub const CLOUDFORMATION: &'static str = "aws:cloudformation:stack-name";

    /// Tags from the cloud, without those that the cloud itself puts there (`aws:`), save the one that says who else
    /// keeps it.
    pub fn live<K: Into<String>, V: Into<String>>(tags: impl IntoIterator<Item = (K, V)>) -> Self {
        Tags(
            tags.into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .filter(|(k, _): &(String, String)| !k.starts_with("aws:") || k == Self::CLOUDFORMATION)
                .collect(),
        )
    }

    /// Whose a thing with these tags is.
    pub fn owner(&self) -> Owner {
        let get = |key| self.0.get(key).cloned();
        match (get(Self::STACK), get(Self::ADDRESS), get(Self::INSTANCE)) {
            (Some(stack), Some(address), Some(instance)) => Owner::Tagged { stack, address, instance },
            _ => Owner::Nobody,
        }
    }

    /// Keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// What to set and what to remove to get from `live` to these; tags that are in neither stay.
    pub fn steps<'a>(&'a self, live: &'a Tags, diff: &Diff) -> TagSteps<'a> {
        TagSteps {
            set: self.iter().filter(|(k, v)| live.0.get(*k).map(String::as_str) != Some(v)).collect(),
            remove: live
                .0
                .keys()
                .map(String::as_str)
                .filter(|k| !self.0.contains_key(*k) && diff.touches(&format!("tags.{k}")))
                .collect(),
        }
    }
}
impl<K: Into<String>, V: Into<String>, const N: usize> From<[(K, V); N]> for Tags {
    fn from(tags: [(K, V); N]) -> Self {
        Tags(tags.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }
}

/// What [`Tags::steps`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagSteps<'a> {
    /// To be written.
    pub set: Vec<(&'a str, &'a str)>,
    /// Keys to be removed.
    pub remove: Vec<&'a str>,
}

/// What a resource has at hand: the client, its address, and the id of this incarnation.
pub struct Cx<'a, R: Resource> {
    /// Speaks to the place that the resource lives in.
    pub client: &'a R::Client,
    /// The place in the stack.
    pub address: &'a Address,
    /// This incarnation: random, in the journal before the first call. Empty when something is looked for that was
    /// never recorded.
    pub instance: &'a str,
    /// The outputs of the last apply, once there was one.
    pub recorded: Option<R::Outputs>,
}

impl<R: Resource> Cx<'_, R> {
    /// Whether this is one of the many looks that a plan begins with, and nothing else follows from it: whatever acts
    /// looks again. A read may then take what a list or an index says that lags behind, as long as that is what the
    /// last apply left. Of anything else the service itself is asked.
    pub fn is_survey(&self) -> bool {
        crate::survey::Survey::current().is_some()
    }

    /// Which of the surveys this look is part of; none where [`Cx::is_survey`] is not. A client may answer all looks of one
    /// survey from one list that was fetched for it, however many they are.
    pub fn survey(&self) -> Option<u64> {
        crate::survey::Survey::current().map(|survey| survey.id())
    }

    /// Whether a read need not ask for what is unset in its spec. It is a survey, and the spec is what the last apply
    /// wanted and did, or what is wanted of something that never was applied: what is unset in either is compared with
    /// nothing. Not so where an apply was begun and not finished.
    pub fn may_skip_unset(&self) -> bool {
        crate::survey::Survey::current().is_some_and(|survey| survey.is_settled())
    }

    /// The idempotency token of this incarnation's create: 32 characters of `[0-9a-f]`, which every AWS API takes.
    pub fn token(&self) -> String {
        self.token_for("create")
    }

    /// A token for another call of this incarnation.
    pub fn token_for(&self, act: &str) -> String {
        let digest = Sha256::digest(format!("{}/{act}", self.instance).as_bytes());
        hex::encode(&digest[..16])
    }

    /// The name of this incarnation.
    pub fn name(&self, name: &Name) -> String {
        name.of(self.instance)
    }
}
