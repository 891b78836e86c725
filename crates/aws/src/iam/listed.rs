//! Roles from the lists of all roles: two calls for up to a thousand of them, where one role alone takes three and one
//! more for each of its policies.

use crate::Call;
use aws_sdk_iam::{
    Client,
    types::{EntityType, Role, RoleDetail},
};
use causeway_core::Error;
use std::collections::{BTreeMap, BTreeSet};

/// Entries in one page, the most that IAM takes. It may answer with fewer.
const PAGE: i32 = 1000;

/// A role as the lists show it: neither of them shows everything.
#[derive(Clone)]
pub(crate) struct Listed {
    /// With its policies and tags.
    pub(super) detail: RoleDetail,
    /// With its description and its longest session.
    pub(super) role: Role,
}

/// The roles in `names`, as far as the lists pay: of one role none is made, and no more pages are turned than there are
/// roles to be found. Those that were not come to are left out; so are all of them without the permission to list.
pub(super) async fn roles(api: Client, names: BTreeSet<String>) -> Result<BTreeMap<String, Listed>, Error> {
    if names.len() < 2 {
        return Ok(BTreeMap::new());
    }
    match tokio::try_join!(details(&api, &names), shorts(&api, &names)) {
        Ok((details, mut shorts)) => {
            let both = details.into_iter().filter_map(|(name, detail)| {
                let role = shorts.remove(&name)?;
                Some((name, Listed { detail, role }))
            });
            Ok(both.collect())
        }
        Err(error) => {
            tracing::debug!(error = error.chain(), "roles are read one by one");
            Ok(BTreeMap::new())
        }
    }
}

async fn details(api: &Client, names: &BTreeSet<String>) -> Result<BTreeMap<String, RoleDetail>, Error> {
    let list = api.get_account_authorization_details().filter(EntityType::Role).max_items(PAGE);
    let mut pages = list.into_paginator().send();
    let mut found = BTreeMap::new();
    for _ in 0..names.len() {
        let Some(page) = pages.next().await else { break };
        let page = page.call("iam:GetAccountAuthorizationDetails")?.role_detail_list.unwrap_or_default();
        let page = page.into_iter().filter_map(|role| Some((role.role_name.clone()?, role)));
        found.extend(page.filter(|(name, _)| names.contains(name)));
        if found.len() == names.len() {
            break;
        }
    }
    Ok(found)
}

async fn shorts(api: &Client, names: &BTreeSet<String>) -> Result<BTreeMap<String, Role>, Error> {
    let mut pages = api.list_roles().max_items(PAGE).into_paginator().send();
    let mut found = BTreeMap::new();
    for _ in 0..names.len() {
        let Some(page) = pages.next().await else { break };
        let page = page.call("iam:ListRoles")?.roles.into_iter().map(|role| (role.role_name.clone(), role));
        found.extend(page.filter(|(name, _)| names.contains(name)));
        if found.len() == names.len() {
            break;
        }
    }
    Ok(found)
}
