//! What an account has in IAM, many things with few calls: one role alone takes three, and one more for each of its
//! policies.
//!
//! The lists may lag behind, and tell the tags of roles only.

use crate::{Call, id::Arn};
use aws_config::SdkConfig;
use aws_sdk_iam::{
    Client,
    types::{EntityType, ManagedPolicyDetail, Role, RoleDetail},
};
use causeway_core::{Error, coalesce::Coalesce};
use std::collections::{BTreeMap, BTreeSet};

/// Entries in one page, the most that IAM takes. It may answer with fewer.
const PAGE: i32 = 1000;

/// A thing that is looked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// By name; with what only the shorter list shows, if that is wanted.
    Role { name: String, whole: bool },
    /// By name.
    Profile(String),
    /// By ARN.
    Policy(String),
}

#[derive(Clone)]
enum Thing {
    Role(Box<ListedRole>),
    Profile(ListedProfile),
    Policy(Box<ManagedPolicyDetail>),
}

/// A role as the lists show it: neither of them shows everything.
#[derive(Clone)]
pub(super) struct ListedRole {
    /// With its policies and tags.
    pub(super) detail: RoleDetail,
    /// With its description and its longest session, where they were asked for.
    pub(super) short: Option<Role>,
}

/// An instance profile as the list of roles shows it: one without a role is in none.
#[derive(Clone)]
pub(super) struct ListedProfile {
    pub(super) name: String,
    pub(super) arn: Arn,
    pub(super) path: String,
    pub(super) role: String,
}

/// Looks into the lists, once for all that is looked for at about the same time.
#[derive(Clone)]
pub(crate) struct Listing(Coalesce<Key, Thing>);

impl Listing {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        let api = crate::client::client!(aws_sdk_iam, config);
        Listing(Coalesce::new(usize::MAX, move |keys| list(api.clone(), keys)))
    }

    /// `whole`: with its description and its longest session, which take a call of their own.
    pub(super) async fn role(&self, name: &str, whole: bool) -> Result<Option<ListedRole>, Error> {
        let found = self.0.get(Key::Role { name: name.to_owned(), whole }).await?;
        Ok(found.and_then(|thing| if let Thing::Role(role) = thing { Some(*role) } else { None }))
    }

    pub(super) async fn profile(&self, name: &str) -> Result<Option<ListedProfile>, Error> {
        let found = self.0.get(Key::Profile(name.to_owned())).await?;
        Ok(found.and_then(|thing| if let Thing::Profile(profile) = thing { Some(profile) } else { None }))
    }

    pub(super) async fn policy(&self, arn: &Arn) -> Result<Option<ManagedPolicyDetail>, Error> {
        let found = self.0.get(Key::Policy(arn.0.clone())).await?;
        Ok(found.and_then(|thing| if let Thing::Policy(policy) = thing { Some(*policy) } else { None }))
    }
}

/// The things in `keys`, as far as the lists pay: for one alone none is made, and no more pages are turned than there are
/// things to be found. Those that were not come to are left out; so is everything without the permission to list.
async fn list(api: Client, keys: BTreeSet<Key>) -> Result<BTreeMap<Key, Thing>, Error> {
    if keys.len() < 2 {
        return Ok(BTreeMap::new());
    }
    match tokio::try_join!(details(&api, &keys), shorts(&api, &keys)) {
        Ok((Details { roles, mut found }, mut shorts)) => {
            for (key, detail) in roles {
                let short = shorts.remove(&key);
                if short.is_some() || matches!(key, Key::Role { whole: false, .. }) {
                    found.insert(key, Thing::Role(Box::new(ListedRole { detail, short })));
                }
            }
            Ok(found)
        }
        Err(error) => {
            tracing::debug!(error = error.chain(), "what IAM has is read one by one");
            Ok(BTreeMap::new())
        }
    }
}

#[derive(Default)]
struct Details {
    roles: BTreeMap<Key, RoleDetail>,
    /// What is no role.
    found: BTreeMap<Key, Thing>,
}

async fn details(api: &Client, keys: &BTreeSet<Key>) -> Result<Details, Error> {
    let mut list = api.get_account_authorization_details().max_items(PAGE).filter(EntityType::Role);
    if keys.iter().any(|key| matches!(key, Key::Policy(_))) {
        list = list.filter(EntityType::LocalManagedPolicy);
    }
    let mut pages = list.into_paginator().send();
    let mut all = Details::default();
    for _ in 0..keys.len() {
        let Some(page) = pages.next().await else { break };
        let page = page.call("iam:GetAccountAuthorizationDetails")?;
        for role in page.role_detail_list.unwrap_or_default() {
            for profile in role.instance_profile_list() {
                let key = Key::Profile(profile.instance_profile_name.clone());
                if let Some(name) = role.role_name.clone().filter(|_| keys.contains(&key)) {
                    let profile = ListedProfile {
                        name: profile.instance_profile_name.clone(),
                        arn: Arn(profile.arn.clone()),
                        path: profile.path.clone(),
                        role: name,
                    };
                    all.found.insert(key, Thing::Profile(profile));
                }
            }
            let name = role.role_name.clone().unwrap_or_default();
            let either = [false, true].map(|whole| Key::Role { name: name.clone(), whole });
            all.roles
                .extend(either.into_iter().filter(|key| keys.contains(key)).map(|key| (key, role.clone())));
        }
        for policy in page.policies.unwrap_or_default() {
            if let Some(key) = policy.arn.clone().map(Key::Policy).filter(|key| keys.contains(key)) {
                all.found.insert(key, Thing::Policy(Box::new(policy)));
            }
        }
        if all.roles.len() + all.found.len() == keys.len() {
            break;
        }
    }
    Ok(all)
}

async fn shorts(api: &Client, keys: &BTreeSet<Key>) -> Result<BTreeMap<Key, Role>, Error> {
    let wanted = keys.iter().filter(|key| matches!(key, Key::Role { whole: true, .. })).count();
    let mut pages = api.list_roles().max_items(PAGE).into_paginator().send();
    let mut found = BTreeMap::new();
    for _ in 0..wanted {
        let Some(page) = pages.next().await else { break };
        let page = page.call("iam:ListRoles")?.roles.into_iter();
        let page = page.map(|role| (Key::Role { name: role.role_name.clone(), whole: true }, role));
        found.extend(page.filter(|(key, _)| keys.contains(key)));
        if found.len() == wanted {
            break;
        }
    }
    Ok(found)
}
